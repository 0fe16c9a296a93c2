/**
 * Processes of the machine as /proc shows them: who is alive, whose child, in whose pid namespace.
 *
 * A pid alone names nobody, it is used again; pid and start time together do. A zombie counts as dead: it holds
 * no namespace and no file any more.
 *
 * Source: proc(5).
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** One process for as long as it lives, also across restarts of the agent. */
export interface ProcessRef {
  pid: number;
  /** In clock ticks since the machine started: field 22 of /proc/PID/stat. */
  startTime: number;
}

/** What we read of /proc/PID/stat. */
export interface ProcessStat extends ProcessRef {
  state: string;
  parent: number;
  session: number;
}

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // it ended between two looks, or never was
  }
};

/**
 * Read one process.
 *
 * @returns  undefined when there is no such process
 */
export function statOf(pid: number): ProcessStat | undefined {
  const text = readText(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    state: fields[0],
    parent: Number(fields[1]),
    session: Number(fields[3]),
    startTime: Number(fields[19]),
  };
}

/** Name a living process so that it can be found again. */
export function refOf(pid: number): ProcessRef | undefined {
  const stat = statOf(pid);
  return stat && { pid, startTime: stat.startTime };
}

/** Whether exactly this process still runs. */
export function isAlive(ref: ProcessRef): boolean {
  const stat = statOf(ref.pid);
  return stat !== undefined && stat.startTime === ref.startTime && !'ZX'.includes(stat.state);
}

/** All processes of the machine that are no zombies. */
export function allProcesses(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat !== undefined && !'ZX'.includes(stat.state)) as ProcessStat[];
}

/** The children of a process, oldest first. */
export function childrenOf(pid: number): number[] {
  const text = readText(`/proc/${pid}/task/${pid}/children`);
  if (text !== undefined) return text.split(' ').filter(Boolean).map(Number);
  // A kernel without CONFIG_PROC_CHILDREN.
  return allProcesses()
    .filter((stat) => stat.parent === pid)
    .map((stat) => stat.pid);
}

const pidNamespaceOf = (pid: number): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
};

/** The processes that share a pid namespace with `member`, itself included. */
export function processesBeside(member: number): ProcessStat[] {
  const namespace = pidNamespaceOf(member);
  if (namespace === undefined) return [];
  return allProcesses().filter((stat) => pidNamespaceOf(stat.pid) === namespace);
}

/**
 * Processes that were started with this environment entry, by us: how we find again what an agent started and
 * had no time to write down.
 *
 * @param entry  `NAME=value`
 */
export function processesWithEnv(entry: string): ProcessStat[] {
  return allProcesses().filter((stat) => readText(`/proc/${stat.pid}/environ`)?.split('\0').includes(entry));
}

/** Send a signal; a process that is gone already is no error. @param pid  negative: of a process group */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Wait until none of these processes is alive. @returns whether that happened within the time */
export function ended(refs: readonly ProcessRef[], timeoutMs: number): Promise<boolean> {
  return comesTrue(() => !refs.some(isAlive), timeoutMs);
}

/** Look until something is so. @returns whether that happened within the time */
export async function comesTrue(isSo: () => boolean, timeoutMs: number): Promise<boolean> {
  const limit = performance.now() + timeoutMs;
  for (let pause = 2; !isSo(); pause = Math.min(pause * 2, 50)) {
    if (performance.now() > limit) return false;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return true;
}
