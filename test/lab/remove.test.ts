import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LAB_DIR_VAR, isAlive, processesOf } from '../../src/lab/processes.js';
import { labPaths, writeRecord } from '../../src/lab/record.js';
import { hasTraces, removeLab } from '../../src/lab/remove.js';
import { parseManifest } from '../../src/client/manifest.js';
import { planLab } from '../../src/lab/plan.js';
import { makeUnderlay } from '../../src/lab/underlay.js';
import { needsRoot } from '../lib/netns.js';
import { output, printed, start } from '../lib/spawn.js';

const skip = needsRoot();
// Lab names have 12 characters at most: pwt-PID is one, as long as the pid has 8.
const lab = `pwt-${process.pid}`;

function runDir(t: Test): void {
  const dir = mkdtempSync(join(tmpdir(), `${lab}-`));
  process.env['PODWIRE_RUN'] = dir;
  t.teardown(async () => {
    await removeLab(lab);
    delete process.env['PODWIRE_RUN'];
    rmSync(dir, { recursive: true, force: true });
  });
}

/** A process that says when it is up, and does not end by itself. */
async function endless(t: Test, argv: string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const child = start(t, argv, { env });
  await printed(child, /up/);
  return child.pid!;
}

const SLEEP = ['sh', '-c', 'echo up; exec sleep 100'];

t.test('a lab is removed with all that is in it, whoever made it', { skip }, async (t) => {
  runDir(t);
  const text = `apiVersion: podwire.dev/v1alpha1\nkind: Lab\nmetadata: {name: ${lab}}\nspec: {underlay: {cidr: 203.0.113.0/24}}\n`;
  const plan = planLab({ objects: parseManifest(text, 'lab.yaml'), readManifest: () => [], taken: [] });
  writeRecord(plan);
  await makeUnderlay(plan);
  output(['ip', 'netns', 'add', `${lab}.node1.default.web`]);

  const marked = await endless(t, SLEEP, { [LAB_DIR_VAR]: labPaths(lab).dir });
  const inside = await endless(t, ['ip', 'netns', 'exec', `${lab}.node1.default.web`, ...SLEEP]);
  const stranger = await endless(t, SLEEP);
  const deaf = await endless(t, ['sh', '-c', 'trap "" TERM; echo up; exec sleep 100'], {
    [LAB_DIR_VAR]: labPaths(lab).dir,
  });

  const mount = join(labPaths(lab).dir, 'node1', 'pods', 'x', 'root');
  mkdirSync(mount, { recursive: true });
  output(['mount', '-t', 'tmpfs', 'tmpfs', mount]);
  writeFileSync(join(mount, 'file'), 'x');

  await removeLab(lab);
  t.notOk(hasTraces(lab));
  t.strictSame([marked, inside, deaf, stranger].map(isAlive), [false, false, false, true]);
  t.notOk(existsSync(labPaths(lab).dir));
  t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), labPaths(lab).dir);
  t.notMatch(output(['ip', 'netns', 'list']), lab);
  t.notMatch(output(['ip', '-br', 'link']), lab);
});

t.test('removing what is not there does nothing', { skip }, async (t) => {
  runDir(t);
  t.notOk(hasTraces(lab));
  await removeLab(lab);
});

t.test('what is mounted below a lab is detached, never emptied', { skip }, async (t) => {
  runDir(t);
  const precious = t.testdir({ file: 'precious' });
  const mount = join(labPaths(lab).dir, 'node1', 'volume with blank');
  mkdirSync(mount, { recursive: true });
  output(['mount', '--bind', precious, mount]);
  await removeLab(lab);
  t.equal(readFileSync(join(precious, 'file'), 'utf8'), 'precious');
  t.notOk(existsSync(labPaths(lab).dir));
});

t.test('a supervisor is asked to end before its children are', { skip }, async (t) => {
  runDir(t);
  const dir = labPaths(lab).dir;
  mkdirSync(dir, { recursive: true });
  const words = join(dir, '..', 'words');
  const script = `
    process.on('SIGTERM', () => { fs.writeFileSync(${JSON.stringify(words)}, 'asked'); process.exit(); });
    setInterval(() => {}, 1e6);
    console.log('up');`;
  const pid = await endless(t, [process.execPath, '-e', script], { [LAB_DIR_VAR]: dir });
  writeFileSync(labPaths(lab).pid, `${pid}\n`);
  await removeLab(lab);
  t.equal(readFileSync(words, 'utf8'), 'asked');
});

t.test('the machine’s own namespace never marks a process as one of the lab', async (t) => {
  t.notOk(processesOf('/nowhere', ['/proc/1/ns/net']).includes(process.ppid));
});
