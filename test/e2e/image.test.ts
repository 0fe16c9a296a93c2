/**
 * The container image: built by buildah on a base made of this machine's own programs (no registry is asked), and run by runc
 * in a namespace that plays the host, with the capabilities that the Dockerfile names and no others.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { makeNetns, needsRoot, testName } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { cleanEnv, output, printed, runSync, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

/** What the base has of programs; a Debian has them all, but for what the Dockerfile would install. */
const PROGRAMS = (
  'bash sh env cat chmod cp cut grep head id ln ls mkdir mknod mv printf readlink rm rmdir sed seq setsid sleep sort stat ' +
  'tail touch tr true uname wc kill setpriv ip ethtool nsenter unshare mount umount pivot_root ping ps curl'
).split(' ');
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
/** Most that the image may have on top of its base: Node is 99 MB of it. */
const MOST_BYTES = 160e6;

function missing(): string | false {
  const names = ['buildah', 'runc', 'ldd'].filter((name) => spawnSync('which', [name]).status !== 0);
  return names.length > 0 && `needs ${names.join(', ')}`;
}

/** A folder that is the root of a small system: these programs, and the libraries that they and Node load. */
function makeBase(root: string): void {
  for (const dir of ['proc', 'sys', 'dev', 'run', 'tmp', 'etc', 'root', 'opt', 'var', 'usr'])
    mkdirSync(join(root, dir), { recursive: true });
  for (const dir of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(root, 'usr', dir));
    symlinkSync(`usr/${dir}`, join(root, dir));
  }
  const copy = (from: string): void => {
    const to = join(root, from);
    mkdirSync(dirname(to), { recursive: true });
    if (!existsSync(to)) copyFileSync(from, to);
  };
  const files = PROGRAMS.map((name) => output(['which', name], undefined, { PATH }).trim());
  files.forEach(copy);
  for (const line of output(['ldd', ...files.map((file) => realpathSync(file)), process.execPath]).split(
    '\n',
  )) {
    const library = /(\/\S+) \(0x/.exec(line)?.[1];
    if (library !== undefined) copy(library);
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
}

const OBJECTS = `
apiVersion: v1
kind: Node
metadata: { name: vm1 }
spec: { podCIDR: 10.244.1.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: a }
spec: { nodeName: vm1, containers: [{ name: main, image: debian }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web }
spec: { nodeName: vm1, containers: [{ name: main, image: nginx }] }
`;

t.test('the image', { skip: needsRoot() || missing() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), testName('image-')));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const buildah = [
    'buildah',
    '--root',
    join(folder, 'store'),
    '--runroot',
    join(folder, 'run'),
    '--storage-driver',
    'vfs',
  ];
  const build = (...words: string[]): string => output([...buildah, ...words]).trim();

  makeBase(join(folder, 'base'));
  const scratch = build('from', 'scratch');
  build('copy', '-q', scratch, join(folder, 'base'), '/');
  build('commit', '-q', scratch, 'localhost/base');
  const context = join(folder, 'context');
  const release = 'podwire-0';
  mkdirSync(join(context, release), { recursive: true });
  output([inRoot('scripts/stage'), join(context, release), '--with-node'], undefined, cleanEnv());
  output(['tar', '-C', context, '-czf', join(context, 'podwire.tar.gz'), release]);
  rmSync(join(context, release), { recursive: true });
  cpSync(inRoot('Dockerfile'), join(context, 'Dockerfile'));
  // In a namespace without a way out: what the Dockerfile would install is in the base.
  const netns = makeNetns(t);
  const inNetns = ['nsenter', `--net=/run/netns/${netns}`, '--'];
  output([
    ...inNetns,
    ...buildah,
    ...['bud', '--isolation', 'chroot', '--network', 'host', '--pull-never'],
    ...['--build-arg', 'BASE=localhost/base', '-t', 'localhost/podwire', context],
  ]);
  const bytes = (image: string): number =>
    (JSON.parse(build('images', '--json')) as { names: string[]; size: string }[])
      .filter(({ names }) => names.some((name) => name.startsWith(`localhost/${image}:`)))
      .map(({ size }) => Number.parseFloat(size) * (size.includes('GB') ? 1e9 : 1e6))[0]!;
  t.ok(
    bytes('podwire') - bytes('base') < MOST_BYTES,
    `${bytes('podwire') / 1e6} MB, its base ${bytes('base') / 1e6}`,
  );

  // The Dockerfile names them; they are what the run gets.
  const capabilities = [...readFileSync(inRoot('Dockerfile'), 'utf8').matchAll(/--cap-add (\w+)/g)].map(
    ([, name]) => name!,
  );
  t.ok(capabilities.includes('NET_ADMIN') && capabilities.includes('SYS_ADMIN'), capabilities.join(' '));
  const container = build('from', '--pull-never', '--device', '/dev/net/tun', 'localhost/podwire');
  output(['ip', '-n', netns, '-batch', '-'], 'link add eth0 type veth peer name wire\nlink set wire up\n');
  output(['ip', '-n', netns, '-batch', '-'], 'link set eth0 up\naddr add 192.0.2.1/24 dev eth0\n');
  const objects = join(folder, 'objects');
  mkdirSync(objects);
  writeFileSync(join(objects, 'objects.yaml'), OBJECTS);
  const run = (given: readonly string[], script: string): string[] => [
    ...inNetns,
    ...buildah,
    ...['run', '--isolation', 'oci', '--runtime', 'runc', '--network', 'host'],
    ...given.flatMap((name) => ['--cap-add', `CAP_${name}`]),
    ...['-v', `${objects}:/objects:ro`, container, '--', 'sh', '-c', script],
  ];

  t.match(output(run([], 'podwire --help')), /Usage: podwire VERB/, 'it needs nothing to say how it is used');

  // buildah has no `unmask`, so this run does by itself what systempaths=unconfined does.
  const agent = start(
    t,
    run(
      capabilities,
      'mount -o remount,bind,rw /proc/sys && exec podwire agent --node vm1 --iface eth0 --objects /objects',
    ),
  );
  t.teardown(() => runSync([...buildah, 'rm', '--all']));
  await printed(agent, /"The agent runs"/);
  const inHost = (...argv: string[]) => runSync(['ip', 'netns', 'exec', netns, ...argv]);
  const page = await until(
    'there is a page',
    () => inHost('curl', '-s', '--max-time', '2', 'http://10.244.1.3/').stdout || undefined,
  );
  t.match(page, /This is pod web/, 'the host reaches a pod in the container');
  t.equal(inHost('ping', '-c', '1', '-W', '5', '10.244.1.2').status, 0);
  const reached = output([
    ...['nsenter', '--target', agentPid(netns), '--all', '--', '/opt/podwire/scripts/podwire'],
    ...['exec', 'a', '--', 'curl', '-s', '--max-time', '5', 'http://10.244.1.3/'],
  ]);
  t.match(reached, /This is pod web/, 'and one pod the other');

  const closed = new Promise((resolve) => agent.once('close', resolve));
  process.kill(Number(agentPid(netns)), 'SIGTERM');
  await closed;
  t.equal(
    inHost('ip', 'rule').stdout.trim().split('\n').length,
    3,
    'what it changed on the host is taken back',
  );
});

/** The agent in the namespace. */
function agentPid(netns: string): string {
  const pids = output(['ip', 'netns', 'pids', netns]).trim().split('\n');
  const found = pids.find((pid) => {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words[0]!.endsWith('/bin/node') && words.includes('agent');
  });
  if (found === undefined) throw new Error(`no agent among ${pids.join(' ')}`);
  return found;
}
