import t from 'tap';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { logTime, parseEntry, toEntries } from '../../../src/agent/pods/log-entry.js';
import { LogWriter } from '../../../src/agent/pods/log-writer.js';
import { lastWordsOfLog, readLog } from '../../../src/agent/pods/logs.js';
import { random } from '../../lib/random.js';

const read = async (...args: Parameters<typeof readLog>): Promise<string> =>
  Buffer.concat((await readLog(...args).toArray()) as Buffer[]).toString();

const T = (second: number): string => `2016-10-06T00:17:0${second}.669794202Z`;
const entries = (...parts: [stream: 'stdout' | 'stderr', text: string, second?: number][]): string =>
  parts.map(([stream, text, second = 1]) => toEntries(stream, Buffer.from(text), T(second))).join('');

t.test('what is written becomes entries of the CRI', async (t) => {
  t.equal(
    entries(['stdout', 'a\n\nb\npart'], ['stderr', 'é\n', 2], ['stdout', 'ial\n', 3]),
    Buffer.from(
      `${T(1)} stdout F a\n${T(1)} stdout F \n${T(1)} stdout F b\n${T(1)} stdout P part\n` +
        `${T(2)} stderr F é\n${T(3)} stdout F ial\n`,
    ).toString('latin1'),
  );
  t.equal(toEntries('stdout', Buffer.alloc(0)), '');
  t.same(parseEntry(`${T(1)} stderr P x F y`), {
    time: T(1),
    stream: 'stderr',
    isPartial: true,
    text: 'x F y',
  });
  for (const bad of [
    '',
    'x',
    T(1),
    `${T(1)} stdout`,
    `${T(1)} stdin  F x`,
    `${T(1)} stdout X x`,
    'F '.repeat(30),
  ])
    t.equal(parseEntry(bad), undefined, JSON.stringify(bad));
});

t.test('times have nine digits and never go back', async (t) => {
  let last = '';
  for (let i = 0; i < 1000; i++) {
    const now = logTime();
    if (now < last) t.fail(`${now} after ${last}`);
    last = now;
  }
  t.match(last, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  t.ok(Math.abs(Date.parse(last) - Date.now()) < 5000, 'it is the time');
  t.equal(logTime(1_475_713_029_000_000_007n), '2016-10-06T00:17:09.000000007Z');
});

t.test('the last lines are found, with and without a final newline', async (t) => {
  for (const [text, count, expected] of [
    ['a\nb\nc\n', 2, 'b\nc\n'],
    ['a\nb\nc', 2, 'b\nc'],
    ['a\nb\n', 9, 'a\nb\n'],
    ['\n\n', 1, '\n'],
    ['\na', 1, 'a'],
    ['a', 1, 'a'],
    ['', 3, ''],
    ['a\n', 0, ''],
  ] as const)
    for (const size of [1, 2, 99]) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
      const path = join(t.testdir(), '1.log');
      writeFileSync(path, entries(...pieces.map((piece) => ['stdout', piece] as ['stdout', string])));
      t.equal(await read(path, { tail: count }), expected, JSON.stringify([text, count, size]));
    }
});

t.test('however the bytes come, they are read as they were written', async (t) => {
  const { int } = random(7);
  const dir = t.testdir();
  for (let round = 0; round < 60; round++) {
    const path = join(dir, `${round}.log`);
    const log = new LogWriter(path, (error) => t.fail(error.message), 1 << 20);
    const alphabet = 'ab\n\r\0é ';
    let all = '';
    for (let i = int(12); i > 0; i--) {
      const text = Array.from({ length: int(9) }, () => alphabet[int(alphabet.length)]).join('');
      all += text;
      log.write('stdout', Buffer.from(text));
    }
    log.close();
    t.equal(await read(path, {}), all, `round ${round}`);
    const lines = all.match(/[^\n]*\n|[^\n]+$/g) ?? [];
    for (let tail = 0; tail < 4; tail++)
      t.equal(await read(path, { tail }), tail === 0 ? '' : lines.slice(-tail).join(''), `tail ${tail}`);
    t.equal(await read(path, { limitBytes: 5 }), Buffer.from(all).subarray(0, 5).toString());
  }
});

t.test('only what is asked for: a time, a stream, the last lines of all', async (t) => {
  const path = join(t.testdir(), '1.log');
  writeFileSync(
    path,
    entries(['stdout', 'one\n', 1], ['stderr', 'two\n', 2], ['stdout', 'thr', 3], ['stdout', 'ee\nfour', 4]),
  );
  t.equal(await read(path, {}), 'one\ntwo\nthree\nfour');
  t.equal(await read(path, { timestamps: true }), `${T(1)} one\n${T(2)} two\n${T(3)} three\n${T(4)} four`);
  t.equal(await read(path, { since: T(2) }), 'two\nthree\nfour', 'what was written right then counts');
  t.equal(await read(path, { since: T(5) }), '');
  t.equal(await read(path, { tail: 2, since: T(4) }), 'ee\nfour');
  t.equal(await read(path, { tail: 3, since: T(1) }), 'two\nthree\nfour', 'the last lines first');
  t.equal(await read(path, { stream: 'stderr' }), 'two\n');
  t.equal(await read(path, { stream: 'stdout', timestamps: true, tail: 1 }), `${T(4)} four`);
  t.equal(lastWordsOfLog(path), 'one\ntwo\nthree\nfour');
  t.equal(lastWordsOfLog(`${path}.none`), undefined);
});

t.test('a log that is too long is cut, and read with what was cut off', async (t) => {
  const path = join(t.testdir(), '1.log');
  const log = new LogWriter(path, (error) => t.fail(error.message), 60);
  log.write('stdout', Buffer.from('one\n'));
  log.write('stdout', Buffer.from('two\n'));
  t.notOk(existsSync(`${path}.1`), 'not yet too long');
  log.write('stdout', Buffer.from('three\n'));
  log.close();
  t.match(readFileSync(path, 'utf8'), /^\S+ stdout F three\n$/);
  t.equal(await read(path, {}), 'one\ntwo\nthree\n');
  t.equal(await read(path, { tail: 2 }), 'two\nthree\n');
});

t.test('a log is followed until its container has ended, also over a cut', async (t) => {
  const path = join(t.testdir(), '1.log');
  const log = new LogWriter(path, (error) => t.fail(error.message), 60);
  const write = (text: string) => () => log.write('stdout', Buffer.from(text));
  const steps = ['one\n', 'two\n', 'three\n', 'half', ' a line\n', 'last\n'].map(write);
  const isGrowing = () => {
    steps.shift()?.();
    return steps.length > 0;
  };
  t.equal(await read(path, { isGrowing }), 'one\ntwo\nthree\nhalf a line\nlast\n');
  log.close();
  t.ok(existsSync(`${path}.1`));
});

t.test('half an entry, of an agent that was killed, spoils no other', async (t) => {
  const path = join(t.testdir(), '1.log');
  writeFileSync(path, `${entries(['stdout', 'one\n'])}${T(2)} stdo`);
  t.equal(await read(path, {}), 'one\n', 'while nobody goes on writing');
  const log = new LogWriter(path);
  log.write('stderr', Buffer.from('two\n'));
  log.close();
  t.equal(await read(path, {}), `one\n${T(2)} stdo\ntwo\n`);
  t.equal(await read(path, { stream: 'stderr' }), 'two\n');
});

t.test('a log that cannot be written is told once, and later lines are there', async (t) => {
  const dir = t.testdir({ '1.log': {} });
  const path = join(dir, '1.log');
  const problems: string[] = [];
  const log = new LogWriter(path, ({ message }) => problems.push(message));
  log.write('stdout', Buffer.from('lost\n'));
  log.write('stdout', Buffer.from('lost\n'));
  t.equal(problems.length, 1);
  t.match(problems[0], /EISDIR/);
});

t.test('an entry as long as a pipe holds is read whole', async (t) => {
  const path = join(t.testdir(), '1.log');
  const log = new LogWriter(path, (error) => t.fail(error.message), 1 << 24);
  const piece = 'x'.repeat(65_536);
  for (let i = 0; i < 9; i++) log.write('stdout', Buffer.from(piece));
  log.close();
  t.equal(await read(path, {}), piece.repeat(9));
});

t.test('no log is an empty one', async (t) => {
  t.equal(await read(join(t.testdir(), 'none'), { tail: 5 }), '');
  appendFileSync(join(t.testdir(), 'empty'), '');
  t.equal(await read(join(t.testdir(), 'empty'), {}), '');
});
