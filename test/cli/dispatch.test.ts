import t from 'tap';
import { dispatch } from '../../src/cli/dispatch.js';
import { CommandError, defineVerb, type Call } from '../../src/cli/verb.js';
import type { VerbRow } from '../../src/cli/verbs.js';
import { testIo } from '../lib/io.js';

/** A verb that takes everything, and remembers its call. */
function greet(calls: Call[] = []): VerbRow[] {
  const verb = defineVerb({
    usage: ['greet NAME… [-l] [--as WORD] [-- COMMAND…]'],
    description: 'Say hello.',
    options: {
      loud: { type: 'boolean', short: 'l', help: 'in capitals' },
      as: { type: 'string', value: 'WORD', help: 'the greeting' },
      file: { type: 'string', short: 'f', multiple: true, help: 'files' },
    },
    args: { min: 1, max: 2 },
    rest: true,
    example: ['podwire greet you'],
    async run(call) {
      calls.push(call as unknown as Call);
      if (call.args[0] === 'nobody') throw new CommandError('Cannot greet "nobody"; name somebody');
      return call.args[0] === 'three' ? 3 : 0;
    },
  });
  return [
    { name: 'greet', summary: 'say hello', load: async () => verb },
    { name: 'ghost', summary: 'unseen', hidden: true, load: async () => verb },
  ];
}

t.test('flags, arguments and what follows -- reach the verb apart', async (t) => {
  const calls: Call[] = [];
  const code = await dispatch(
    ['greet', '-l', 'you', '-f', 'a', '--file=b', '--', 'x', '-l', '--', 'y'],
    testIo(),
    greet(calls),
  );
  t.equal(code, 0);
  t.strictSame({ ...calls[0]!.flags }, { loud: true, file: ['a', 'b'] });
  t.strictSame(calls[0]!.args, ['you']);
  t.strictSame(calls[0]!.rest, ['x', '-l', '--', 'y']);
});

t.test('the exit code is the verb’s own', async (t) => {
  t.equal(await dispatch(['greet', 'three'], testIo(), greet()), 3);
});

t.test('an error of the verb is one sentence and exit code 1', async (t) => {
  const io = testIo();
  t.equal(await dispatch(['greet', 'nobody'], io, greet()), 1);
  t.equal(io.err(), 'podwire greet: Cannot greet "nobody"; name somebody\n');
});

t.test('bad usage ends with 2 and points to the help', async (t) => {
  for (const [words, message] of [
    [['greet'], /An argument is missing: podwire greet NAME/],
    [['greet', 'a', 'b', 'c'], /Unexpected argument "c"/],
    [['greet', 'a', '--wrong'], /Unknown option "--wrong"/],
    [['greet', 'a', '--as'], /--as .*argument missing/],
    [['wrong'], /Unknown verb "wrong"/],
    [['gree'], /did you mean "greet"/],
    [[], /Usage: podwire VERB/],
  ] as const) {
    const io = testIo();
    t.equal(await dispatch(words, io, greet()), 2, words.join(' '));
    t.match(io.err(), message);
    t.equal(io.out(), '');
  }
});

t.test('help goes to standard output, names every flag, and ends with an example', async (t) => {
  const io = testIo();
  t.equal(await dispatch(['greet', '--help'], io, greet()), 0);
  t.match(io.out(), /^podwire greet: say hello\n\nUsage: podwire greet NAME/);
  t.match(io.out(), /-l, --loud +in capitals/);
  t.match(io.out(), /--as WORD/);
  t.match(io.out(), /Example:\n {2}podwire greet you\n$/);
  const other = testIo();
  t.equal(await dispatch(['help', 'greet'], other, greet()), 0);
  t.equal(other.out(), io.out());
});

t.test('the overview lists the verbs, but not the hidden ones', async (t) => {
  const io = testIo();
  t.equal(await dispatch(['--help'], io, greet()), 0);
  t.match(io.out(), /greet {2}say hello/);
  t.notMatch(io.out(), /ghost/);
});
