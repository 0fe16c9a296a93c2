/**
 * Processes as /proc shows them: whether one is ours, and which belong to a lab although nobody remembers them.
 *
 * Pids are used again, so a pid from a file proves nothing; its environment and its namespaces do. Whatever the
 * supervisor starts carries {@link LAB_DIR_VAR} in its environment, and so does what those start in turn.
 */

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

/** The environment variable that marks the processes of a lab; its value is the lab's directory. */
export const LAB_DIR_VAR = 'PODWIRE_LAB_DIR';

/** Where `ip netns` keeps the names of namespaces. Here too, because `sys/netns.ts` loads the FFI. */
export const NETNS_DIR = '/run/netns';

/** Whether a process exists that carries the mark of `labDir`. */
export function belongsTo(pid: number, labDir: string): boolean {
  const environ = read(`/proc/${pid}/environ`);
  return environ !== undefined && environ.split('\0').includes(`${LAB_DIR_VAR}=${labDir}`);
}

/**
 * All processes of a lab but ourselves: those with its mark, and those inside one of its network namespaces.
 *
 * @param netns  files of the namespaces: `/run/netns/demo.node1`
 */
export function processesOf(labDir: string, netns: readonly string[]): number[] {
  const inodes = new Set(netns.map(namespaceId).filter((id) => id !== undefined));
  inodes.delete(link('/proc/self/ns/net')!); // never the machine's own, whatever a file says
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(
      (pid) =>
        pid !== process.pid && (belongsTo(pid, labDir) || inodes.has(link(`/proc/${pid}/ns/net`) ?? '')),
    );
}

/** Whether the process exists and is no zombie. */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

/** Send a signal; a process that is gone is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Wait until none of `pids` is alive.
 *
 * @returns those that are when `ms` milliseconds have passed
 */
export async function waitGone(pids: readonly number[], ms: number): Promise<number[]> {
  const end = performance.now() + ms;
  for (;;) {
    const left = pids.filter(isAlive);
    if (left.length === 0 || performance.now() >= end) return left;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What `/proc/PID/ns/net` shows for the namespace whose file is `path`. */
function namespaceId(path: string): string | undefined {
  try {
    return `net:[${statSync(path).ino}]`;
  } catch {
    return undefined;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // it ended meanwhile
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
