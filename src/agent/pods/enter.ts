/**
 * Entering a pod from the command line. Works on the machine itself by the state files alone, also while the agent
 * is dead; what is started so is no child of the agent and outlives it.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nsenterArgs } from './command.js';
import { entryArgs } from './entry.js';
import { isAlive } from './procfs.js';
import { allRecords, holderOf, podFolders, readState, type PodState } from './state.js';

export type { PodState } from './state.js';

/**
 * Find a running pod of a lab on whatever host it is.
 *
 * @param runDir  such as /run/podwire
 * @returns       undefined when no pod of that name has a living holder
 */
export function findPod(runDir: string, lab: string, namespace: string, name: string): PodState | undefined {
  const labDir = join(runDir, lab);
  for (const node of subfolders(labDir))
    for (const folder of podFolders(join(labDir, node, 'pods'))) {
      const state = readState(folder);
      if (state?.namespace !== namespace || state.name !== name) continue;
      const holder = holderOf(state);
      if (holder && isAlive(holder)) return state;
    }
  return undefined;
}

/** Options of {@link enterArgv}. */
export interface EnterOptions {
  /** Whose environment and working directory; default: the pod's first container. */
  container?: string;
  /** Added to the environment: `TERM` on a terminal. */
  env?: Readonly<Record<string, string>>;
  /** Kill the program, with all of its process group, after so many seconds. */
  limitSeconds?: number;
}

/**
 * The command line that runs a program in a pod: all of its namespaces, its root, and the container's
 * volumes and environment.
 *
 * @throws {RangeError} when the pod has no such container
 */
export function enterArgv(state: PodState, argv: readonly string[], options: EnterOptions = {}): string[] {
  const { holderPid } = state;
  const containers = allRecords(state);
  if (holderPid === undefined)
    throw new RangeError(`Cannot enter pod "${state.name}": it is not running yet`);
  const container =
    options.container === undefined
      ? containers[0]
      : containers.find(({ name }) => name === options.container);
  if (!container) {
    const names = containers.map(({ name }) => name).join(', ');
    throw new RangeError(
      `Cannot enter pod "${state.name}": it has no container "${options.container}"; it has ${names}`,
    );
  }
  if (container.run === 0)
    throw new RangeError(
      `Cannot enter container "${container.name}" of pod "${state.name}": it is not running yet`,
    );
  const more = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const env = more.length > 0 ? ['env', ...more] : [];
  const limit =
    options.limitSeconds === undefined ? [] : ['timeout', '-s', 'KILL', String(options.limitSeconds)];
  return ['nsenter', ...nsenterArgs(holderPid), ...limit, ...entryArgs(container.name), ...env, ...argv];
}

const subfolders = (dir: string): string[] => {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
};
