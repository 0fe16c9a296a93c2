import t from 'tap';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, readLog, rotate } from '../../../src/agent/pods/logs.js';

const read = async (...args: Parameters<typeof readLog>): Promise<string> =>
  Buffer.concat((await readLog(...args).toArray()) as Buffer[]).toString();

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
    t.equal(lastLines(Buffer.from(text), count).toString(), expected, JSON.stringify([text, count]));
});

t.test('a log that is too long is cut, and read with what was cut off', async (t) => {
  const path = join(t.testdir(), '1.log');
  writeFileSync(path, 'one\ntwo\n');
  rotate(path, 8);
  t.notOk(existsSync(`${path}.1`), 'not yet too long');
  rotate(path, 7);
  appendFileSync(path, 'three\n');
  t.equal(readFileSync(path, 'utf8'), 'three\n');
  t.equal(await read(path, {}), 'one\ntwo\nthree\n');
  t.equal(await read(path, { tail: 2 }), 'two\nthree\n');
});

t.test('a log is followed until its container has ended, also over a cut', async (t) => {
  const path = join(t.testdir(), '1.log');
  const steps = [
    () => appendFileSync(path, 'one\n'),
    () => appendFileSync(path, 'two\n'),
    () => rotate(path, 1),
    () => appendFileSync(path, '3\n'),
  ];
  const isGrowing = () => {
    steps.shift()?.();
    return steps.length > 0;
  };
  t.equal(await read(path, { isGrowing }), 'one\ntwo\n3\n');
});

t.test('no log is an empty one', async (t) => {
  t.equal(await read(join(t.testdir(), 'none'), { tail: 5 }), '');
});
