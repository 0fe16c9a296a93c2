import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { dispatch } from '../../src/cli/dispatch.js';
import { planLab } from '../../src/lab/plan.js';
import { LAB_DIR_VAR } from '../../src/lab/processes.js';
import { labPaths, withLock, writeProcesses, writeRecord } from '../../src/lab/record.js';
import { testIo } from '../lib/io.js';
import { printed, start } from '../lib/spawn.js';

/** A run directory of this test alone. */
function runDir(t: Test): string {
  // Short: the path of a socket has at most 107 bytes, and tap's own folders are named after tests.
  const dir = mkdtempSync(join(tmpdir(), 'pwt-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const before = process.env['PODWIRE_RUN'];
  mkdirSync(join(dir, 'run'));
  process.env['PODWIRE_RUN'] = join(dir, 'run');
  t.teardown(() => {
    if (before === undefined) delete process.env['PODWIRE_RUN'];
    else process.env['PODWIRE_RUN'] = before;
  });
  return join(dir, 'run');
}

/** A lab on paper. */
function record(name: string): void {
  writeRecord(planLab({ objects: [], readManifest: () => [], taken: [], name }));
}

/** A process that passes for the lab's supervisor. */
async function fakeSupervisor(t: Test, name: string): Promise<number> {
  const child = start(t, ['sh', '-c', 'echo up; exec sleep 60'], {
    env: { [LAB_DIR_VAR]: labPaths(name).dir },
  });
  await printed(child, /up/);
  writeFileSync(labPaths(name).pid, `${child.pid}\n`);
  return child.pid!;
}

async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = testIo();
  const code = await dispatch(words, io);
  return { code, out: io.out(), err: io.err() };
}

t.test('without a lab, verbs say how to get one', async (t) => {
  runDir(t);
  const { code, err } = await run('get', 'pods');
  t.equal(code, 1);
  t.match(err, /^podwire get: No lab (is running; podwire up starts one|can be seen by this user)/);
  t.match((await run('status')).out, /No lab is running; podwire up starts one/);
  t.strictSame(JSON.parse((await run('status', '-o', 'json')).out), {
    labs: [],
    nodes: [],
    pods: [],
    problems: [],
  });
});

t.test('a user who may not look is told to be root', { skip: process.geteuid?.() !== 0 }, async (t) => {
  const dir = runDir(t);
  record('one');
  chmodSync(dir, 0o700);
  process.seteuid!(65534);
  t.teardown(() => process.seteuid!(0));
  const { code, err } = await run('status');
  process.seteuid!(0);
  t.equal(code, 1);
  t.match(err, /^podwire status: Cannot look into .* as this user; run podwire as root/);
});

t.test('a lab whose supervisor died is a problem of its own, and no lab to work in', async (t) => {
  runDir(t);
  record('one');
  const { out } = await run('status');
  t.match(out, /Lab one is not running: underlay/);
  t.match(out, /one: its supervisor is not running; podwire down --lab one clears away/);
  t.match((await run('get', 'pods', '--lab', 'one')).err, /Lab "one" is not running/);
  t.match((await run('get', 'pods', '--lab', 'two')).err, /There is no lab "two"; none is running/);
});

t.test('a pid that is somebody else’s is no supervisor', async (t) => {
  runDir(t);
  record('one');
  writeFileSync(labPaths('one').pid, `${process.pid}\n`);
  t.match((await run('status')).out, /Lab one is not running/);
});

t.test('with two labs running, one must be chosen', async (t) => {
  runDir(t);
  for (const name of ['one', 'two']) {
    record(name);
    await fakeSupervisor(t, name);
  }
  t.match((await run('tables')).err, /2 labs are running; choose one with --lab: one, two/);
  const { err } = await run('tables', '--lab', 'one', '--node', 'node7');
  t.match(err, /Lab "one" has no host "node7"; it has node1, node2/);
});

t.test('an agent that does not answer is named with its log', async (t) => {
  const dir = runDir(t);
  record('one');
  await fakeSupervisor(t, 'one');
  t.match(
    (await run('tables', 'fdb')).err,
    `The agent of node1 does not answer at ${dir}/one/node1.sock (ENOENT); see ${dir}/one/node1.log`,
  );
});

t.test('status tells which processes were started again', async (t) => {
  runDir(t);
  record('one');
  const pid = await fakeSupervisor(t, 'one');
  writeProcesses('one', [
    { name: 'server', restarts: 3, lastExit: 'exit code 1' },
    { name: 'node1', pid, restarts: 1, lastExit: 'SIGKILL' },
  ]);
  const { problems } = JSON.parse((await run('status', '-o', 'json')).out) as { problems: string[] };
  t.match(problems, [
    /^one: server does not run \(exit code 1\); see .*server\.log/,
    'one: node1 was started again once, last after SIGKILL',
    /^one: the server does not answer/,
  ]);
});

t.test('a lock keeps two from working on one lab, and one left by the dead keeps nobody', async (t) => {
  const dir = runDir(t);
  await withLock('one', async () => {
    await t.rejects(
      withLock('one', async () => {}),
      { message: /being brought up or down by process \d+/ },
    );
    await withLock('two', async () => {});
  });
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'one.lock'), '999999999');
  t.equal(await withLock('one', async () => 'in'), 'in');
});

t.test('the run directory goes with the last lab', async (t) => {
  const dir = runDir(t);
  await withLock('one', async () => {});
  t.throws(() => readdirSync(dir), { code: 'ENOENT' });
});

t.test('down refuses names that it must not take apart', async (t) => {
  runDir(t);
  t.match((await run('down', '--lab', 'host')).err, /use podwire agent --cleanup/);
  t.equal((await run('down', '--lab', '../etc')).code, 2);
});
