import { once } from 'node:events';
import t from 'tap';
import { needsRoot } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { printed, runSync, start } from '../lib/spawn.js';

/** Run `runInside(argv)` in a process of its own, as the command line would. */
const inForeground = (...argv: string[]): string[] => [
  process.execPath,
  '--input-type=module',
  '-e',
  `const { runInside } = await import(${JSON.stringify(inRoot('dist/src/cli/foreground.js'))});` +
    `process.exit(await runInside(${JSON.stringify(argv)}));`,
];

/** A program that prints `ready`, and ends with 7 when it gets the signal. */
const exits7On = (signal: string): string[] => [
  process.execPath,
  '-e',
  `process.on('${signal}', () => process.exit(7)); setInterval(() => {}, 1e6); console.log('ready');`,
];

const skip = needsRoot();

t.test('the exit code is the program’s', async (t) => {
  t.equal(runSync(inForeground('sh', '-c', 'exit 0')).status, 0);
  t.equal(runSync(inForeground('sh', '-c', 'exit 42')).status, 42);
});

t.test('a program that a signal ended gives 128 and its number', async (t) => {
  t.equal(runSync(inForeground('sh', '-c', 'kill -9 $$')).status, 137);
  t.equal(runSync(inForeground('sh', '-c', 'kill -15 $$')).status, 143);
});

t.test('standard streams are the program’s own', async (t) => {
  const { stdout, stderr } = runSync(inForeground('sh', '-c', 'cat; echo no >&2'), { input: 'in and out' });
  t.equal(stdout, 'in and out');
  t.equal(stderr, 'no\n');
});

t.test('signals reach the program, which decides what to do', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const) {
    const child = start(t, inForeground(...exits7On(signal)));
    await printed(child, /ready/);
    child.kill(signal);
    const [status] = (await once(child, 'exit')) as [number];
    t.equal(status, 7, signal);
  }
});

t.test('signals pass nsenter by, which forks into a pid namespace', { skip }, async (t) => {
  const nsenter = ['nsenter', '--pid=/proc/self/ns/pid', '--'];
  const child = start(t, inForeground(...nsenter, ...exits7On('SIGTERM')));
  await printed(child, /ready/);
  child.kill('SIGTERM');
  t.strictSame(await once(child, 'exit'), [7, null]);

  const quiet = start(t, inForeground(...nsenter, 'sh', '-c', 'echo ready; exec sleep 100'));
  await printed(quiet, /ready/);
  quiet.kill('SIGTERM');
  t.strictSame(await once(quiet, 'exit'), [143, null], 'the death of the program is ours');
});

t.test('a program that does not exist is 127, as in a shell', async (t) => {
  t.equal(runSync(inForeground('nsenter', '--', 'no-such-program')).status, 127);
});
