/**
 * A host with systemd for end-to-end tests: the machine's own file system under an overlay, booted by systemd-nspawn in a
 * network namespace of the test, far enough for units to be started. What is written stays in the overlay, which is a tmpfs.
 *
 * Theory of operation. The mounts are in a mount namespace, and nspawn is the first process of a pid namespace: both go with
 * it, and it goes with us, however we end. (Killed alone, nspawn leaves its systemd running.) Each host has a cgroup of its own, else two of them would share one.
 * Units of the machine itself are not started (`basic.target`). What nspawn keeps read-only of /proc/sys is made
 * writable after systemd has written its own settings in vain: they would be the machine's. What then is written there
 * under net/ belongs to the namespace; nothing else is written.
 *
 * Not the same as on a machine: device policies have no effect where the devices cgroup is read-only.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needsRoot, testName } from './netns.js';
import type { TestScope } from './scope.js';
import { output, runSync, start, type Result } from './spawn.js';
import { until } from './until.js';

/** The hierarchies in which systemd makes cgroups: one, or two where version 1 is still there. */
const HIERARCHIES = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified', '/sys/fs/cgroup'].filter((path) =>
  existsSync(join(path, 'cgroup.procs')),
);

export interface SystemdHost {
  readonly name: string;
  /** Run a program there, at most three minutes. */
  run(...argv: string[]): Result;
  /** The same for one that must succeed, in bash. @returns its standard output */
  output(script: string): string;
  /** Write a file there. */
  write(path: string, text: string): void;
}

/** For `t.test(name, { skip: needsSystemd() }, …)`: why no host with systemd can be made here, or false. */
export function needsSystemd(): string | false {
  const root = needsRoot();
  if (root !== false) return root;
  if (spawnSync('systemd-nspawn', ['--version']).error) return 'needs systemd-nspawn (systemd-container)';
  if (!existsSync('/lib/systemd/systemd')) return 'needs systemd';
  const probe = join(HIERARCHIES[0] ?? '/sys/fs/cgroup', testName('probe'));
  try {
    mkdirSync(probe);
    rmdirSync(probe);
  } catch {
    return `needs to make cgroups below ${HIERARCHIES[0] ?? '/sys/fs/cgroup'}`;
  }
  return false;
}

const BOOT = `
set -e
for path in $HIERARCHIES; do
  mkdir "$path/$CGROUP"
  echo $$ >"$path/$CGROUP/cgroup.procs"
done
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t tmpfs -o mode=755 tmpfs "$BASE"
mkdir "$BASE/upper" "$BASE/work" "$BASE/root"
mount -t overlay -o "lowerdir=/,upperdir=$BASE/upper,workdir=$BASE/work" host "$BASE/root"
cd "$BASE/root"
rm -f etc/fstab etc/resolv.conf
: >etc/machine-id
: >etc/resolv.conf
echo "$NAME" >etc/hostname
rm -rf run/* var/log/journal var/lib/podwire*
exec systemd-nspawn --directory="$BASE/root" --machine="$CGROUP" --register=no --keep-unit --console=pipe \\
  --network-namespace-path="/run/netns/$NETNS" --capability=all --bind=/dev/net/tun --bind-ro="$RELEASE:/root/podwire" \\
  --resolv-conf=off --link-journal=no --boot systemd.unit=basic.target
`;

/**
 * Boot a host.
 *
 * @param netns    its network namespace
 * @param release  a folder that it finds as /root/podwire
 */
export async function bootHost(
  t: TestScope,
  name: string,
  netns: string,
  release: string,
): Promise<SystemdHost> {
  const cgroup = testName(name);
  const base = mkdtempSync(join(tmpdir(), `${cgroup}-`));
  t.teardown(() => rmdirSync(base));
  t.teardown(() => HIERARCHIES.forEach((path) => removeCgroup(join(path, cgroup))));
  const unshare = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--mount-proc',
    '--fork',
    '--kill-child',
  ];
  const guard = start(t, ['setpriv', '--pdeathsig', 'KILL', ...unshare, 'bash', '-c', BOOT], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      HIERARCHIES: HIERARCHIES.slice(0, 2).join(' '),
      CGROUP: cgroup,
      BASE: base,
      NAME: name,
      NETNS: netns,
      RELEASE: release,
    },
  });
  let said = '';
  for (const stream of [guard.stdout!, guard.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const first = await until('systemd runs', () => {
    if (guard.exitCode !== null) throw new Error(`systemd-nspawn ended with ${guard.exitCode}: ${said}`);
    const nspawn = childOf(guard.pid!, 'systemd-nspawn');
    return nspawn && childOf(nspawn, 'systemd');
  });
  const inside = (argv: readonly string[]): string[] => [
    'nsenter',
    '--target',
    String(first),
    '--all',
    '--',
    ...argv,
  ];
  const host: SystemdHost = {
    name,
    run: (...argv) => runSync(inside(argv)),
    output: (script) => output(inside(['bash', '-ec', script])),
    write: (path, text) => void output(inside(['sh', '-c', 'cat >"$0"', path]), text),
  };
  await until('systemd has started its basic units', () => {
    const { stdout } = host.run('systemctl', 'is-active', 'basic.target');
    return stdout === 'active\n';
  });
  host.output('mount -o remount,bind,rw /proc/sys');
  return host;
}

/** The first child of a process, if it has become this program. */
function childOf(pid: number, program: string): number | undefined {
  try {
    const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
    return child > 0 && readFileSync(`/proc/${child}/comm`, 'utf8').trim() === program ? child : undefined;
  } catch {
    return undefined; // it has just ended
  }
}

/** Remove a cgroup of which all processes have ended, with those below it. */
function removeCgroup(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  for (const end = performance.now() + 60_000; performance.now() < end;)
    try {
      return rmdirSync(path);
    } catch {
      // its last process is still ending
    }
}
