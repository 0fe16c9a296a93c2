import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { takeLock } from '../../src/agent/lock.js';
import { inRoot } from '../lib/root.js';
import { testName } from '../lib/netns.js';
import { printed, start } from '../lib/spawn.js';

const makeDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), testName('')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

t.test('a second agent of the same host is refused with the pid of the first', async (t) => {
  const dir = makeDir();
  const pidFile = join(dir, 'agent.pid');
  const lock = await takeLock(dir, pidFile, 'node "a"');
  t.equal(readFileSync(pidFile, 'utf8'), `${process.pid}\n`);
  await t.rejects(takeLock(dir, pidFile, 'node "a"'), {
    message: `Cannot run an agent for node "a": process ${process.pid} does so already; end that one first`,
  });
  const other = await takeLock(makeDir(), join(dir, 'other.pid'), 'node "b"');
  await other.release();
  await lock.release();
  t.notOk(existsSync(pidFile));
  await (await takeLock(dir, pidFile, 'node "a"')).release();
});

t.test('the lock of an agent that was killed is free', async (t) => {
  const dir = makeDir();
  const pidFile = join(dir, 'agent.pid');
  const module = inRoot('dist/src/agent/lock.js');
  const child = start(t, [
    process.execPath,
    '--input-type=module',
    '-e',
    `const { takeLock } = await import(${JSON.stringify(module)});
     await takeLock(${JSON.stringify(dir)}, ${JSON.stringify(pidFile)}, 'it');
     console.log('taken');
     setInterval(() => {}, 1000);`,
  ]);
  await printed(child, /taken/);
  await t.rejects(takeLock(dir, pidFile, 'it'), {
    message: new RegExp(`process ${child.pid} does so already`),
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  await (await takeLock(dir, pidFile, 'it')).release();
  t.pass('taken, although the pid file was still there');
});
