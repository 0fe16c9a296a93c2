/**
 * The holder: the process that *is* a pod. It is PID 1 of namespaces of its own and sleeps.
 *
 * Theory of operation. `ip netns add` names the network namespace. Then, detached from the agent,
 *
 *     nsenter --net=/run/netns/NAME  unshare --mount --uts --ipc --pid --fork  sh -c SETUP
 *
 * where SETUP, already PID 1, mounts a tmpfs, lays an overlay of it over the machine's root, mounts /proc, /sys,
 * /dev, /run and /tmp, makes the overlay the root, and becomes `sleep infinity`. All mounts belong to the holder's
 * mount namespace alone: SIGKILL to the holder ends every process of the pod and removes every mount. `unshare`,
 * which only waits, is then killed, so that a pod costs one process; the holder becomes a child of the machine's
 * PID 1 and outlives the agent.
 *
 * While SETUP runs, its standard output is a pipe to the agent: should the agent die, the next `echo` fails and so
 * does SETUP. Every process on the way carries `PODWIRE_HOLDER=folder` in its environment; {@link killHolder}
 * finds by it what no state file names yet.
 *
 * SIGCHLD is ignored by the holder, which makes the kernel reap what is orphaned in the pod.
 *
 * Volumes lie in a folder of the same tmpfs, and show at /.volumes in the holder's mount namespace; see entry.ts for how
 * a container gets its own. They go with the holder.
 *
 * Not handled: separate mounts of the machine do not show through an overlay of its root.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../api/types.js';
import { run, succeed } from '../../sys/command.js';
import { netnsPath } from '../../sys/netns.js';
import type { ResolverFiles } from './pod-dns.js';
import { ended, isAlive, processesWithEnv, refOf, signal, statOf, type ProcessRef } from './procfs.js';

/** What a command finds as PATH unless its container says otherwise. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** No set-up takes this long on a machine that works: 80 ms is usual, and 20 s on a busy machine that is emulated. */
const SETUP_LIMIT_MS = 60_000;

const SETUP = `
set -e
umask 022
read -r pid rest </proc/self/stat # the machine's /proc still: our pid as the agent knows it
echo "pid $pid"
mount -t tmpfs -o mode=755 podwire "$POD_DIR/root"
cd "$POD_DIR/root"
mkdir upper work pod
mkdir -m 700 volumes
eval "$POD_VOLUMES"
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work podwire pod
cd pod
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o mode=755,nosuid tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
umask 0
for device in null:3 zero:5 full:7 random:8 urandom:9; do
  name="\${device%:*}"
  mknod -m 666 "dev/$name" c 1 "\${device#*:}" 2>/dev/null || { # not allowed inside a user namespace
    : >"dev/$name"
    mount --bind "/dev/$name" "dev/$name"
  }
done
mknod -m 666 dev/tty c 5 0 2>/dev/null || { : >dev/tty; mount --bind /dev/tty dev/tty; }
umask 022
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mkdir run/lock
mkdir ".$POD_VOLUMES_AT"
mount -n --rbind ../volumes ".$POD_VOLUMES_AT"
# These may be links into the machine's /run: never write through them.
rm -f etc/hostname etc/hosts etc/resolv.conf etc/nsswitch.conf
printf %s "$POD_HOSTNAME" >/proc/sys/kernel/hostname
printf '%s\\n' "$POD_HOSTNAME" >etc/hostname
printf %s "$POD_HOSTS" >etc/hosts
printf %s "$POD_RESOLV" >etc/resolv.conf
printf %s "$POD_NSSWITCH" >etc/nsswitch.conf
# The state of this host's pods is none of a pod's business.
if [ -d ".$POD_SECRET" ]; then mount -t tmpfs -o ro,mode=700,size=4k tmpfs ".$POD_SECRET"; fi
if [ "$POD_LO" ]; then ip link set lo up; fi
mkdir .machine
pivot_root . .machine
cd /
umount -n -l .machine
rmdir .machine
echo ready
exec env -i --ignore-signal=CHLD "PODWIRE_HOLDER=$POD_DIR" "PATH=$PATH" \\
  sleep infinity </dev/null >/dev/null 2>&1
`;

/** What a holder is made of. */
export interface HolderOptions {
  /** The pod's own folder, an absolute path. */
  dir: string;
  /** The folder that no pod may see. */
  secretDir: string;
  /** The network namespace, which must exist; undefined: the one we are in. */
  netns: string | undefined;
  hostname: string;
  /** What its resolver reads. */
  files: ResolverFiles;
  pod: Pod;
  /** Shell lines that make its volumes, see entry.ts; and where they are inside. */
  volumes: { script: string; at: string };
}

/**
 * Make the network namespace, by the name that `ip netns` shows.
 *
 * @throws {CommandError} also when there is one of that name already
 */
export async function addNetns(netns: string): Promise<void> {
  const argv = ['ip', 'netns', 'add', netns];
  succeed(argv, await run(argv));
}

/** Remove the namespace's name, and with the last process in it the namespace. None of that name is no error. */
export async function removeNetns(netns: string): Promise<void> {
  const argv = ['ip', 'netns', 'del', netns];
  const outcome = await run(argv);
  if (!outcome.stderr.includes('No such file')) succeed(argv, outcome);
}

/**
 * Make a holder; when it returns, programs can be started in it.
 *
 * @throws {Error} with the words of the step that failed; nothing is left then but the namespace's name
 */
export async function startHolder(options: HolderOptions): Promise<ProcessRef> {
  const { dir, netns, hostname, pod, files } = options;
  mkdirSync(join(dir, 'root'), { recursive: true, mode: 0o700 });
  const { hostNetwork = false } = pod.spec;
  const enter = netns === undefined ? [] : ['nsenter', `--net=${netnsPath(netns)}`, '--'];
  const [program, ...args] = [...enter, 'unshare', '--mount', '--uts', '--ipc', '--pid', '--fork', '--'];
  const child = spawn(program, [...args, 'sh', '-c', SETUP], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: DEFAULT_PATH,
      LC_ALL: 'C',
      PODWIRE_HOLDER: dir,
      POD_DIR: dir,
      POD_SECRET: options.secretDir,
      POD_HOSTNAME: hostname,
      POD_VOLUMES: options.volumes.script,
      POD_VOLUMES_AT: options.volumes.at,
      POD_HOSTS: files.hosts,
      POD_RESOLV: files.resolvConf,
      POD_LO: hostNetwork ? '' : 'up',
      POD_NSSWITCH: NSSWITCH,
    },
  });
  let stdout = '';
  let stderr = '';
  try {
    await new Promise<void>((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error('it took too long')), SETUP_LIMIT_MS);
      const settle = (error?: Error) => {
        clearTimeout(limit);
        if (error) reject(error);
        else resolve();
      };
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
        if (stdout.endsWith('ready\n')) settle();
      });
      child.on('error', settle);
      child.on('close', (code) => settle(new Error(stderr.trim() || `exit code ${code}`)));
    });
    const holder = refOf(Number(/^pid (\d+)$/m.exec(stdout)?.[1]));
    if (!holder) throw new Error('its holder ended at once');
    // `unshare` has nothing left to do but to wait.
    if (child.pid !== undefined && statOf(holder.pid)?.parent === child.pid) child.kill('SIGKILL');
    return holder;
  } catch (error) {
    await killHolder(dir, undefined);
    throw new Error(`Cannot make namespaces of pod "${pod.metadata.name}": ${(error as Error).message}`);
  } finally {
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
  }
}

/**
 * End a pod: its holder, every process in it, every mount, and whatever of a holder is half made.
 *
 * @param dir     the pod's folder, by which stray processes are known
 * @param holder  the holder where a state file names it
 * @throws {Error} when something is still there after ten seconds
 */
export async function killHolder(dir: string, holder: ProcessRef | undefined): Promise<void> {
  const limit = performance.now() + 10_000;
  for (;;) {
    // Looked for again each time: what is half made may have forked between our look and our signal.
    const victims: ProcessRef[] = processesWithEnv(`PODWIRE_HOLDER=${dir}`);
    if (holder && isAlive(holder)) victims.push(holder);
    if (victims.length === 0) return;
    for (const { pid } of victims) signal(pid, 'SIGKILL');
    await ended(victims, 1000);
    if (performance.now() > limit)
      throw new Error(
        `Cannot end holder ${victims.map(({ pid }) => pid).join(', ')}: still there after 10 s`,
      );
  }
}

const NSSWITCH = `passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
`;
