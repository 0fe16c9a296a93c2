/**
 * What is known of a pod on disk: `UID/state.json`, written whole and by rename after each change, so that the
 * next agent and the command line always read one moment. JSON with indentation: people read it too.
 *
 * A pod's folder:
 *
 *     state.json            this
 *     root/                 mount point of the tmpfs below the overlay, seen by the holder alone
 *     CONTAINER/N.log       what its N-th run wrote, see log-entry.ts (N.log.1 what was cut off); N from 1
 *     CONTAINER/N.out       FIFOs of what it writes, and N.err; see run-output.ts
 *     CONTAINER/N.start     `started PID` (as the pod counts) or `failed MESSAGE`, by the shell inside
 *     CONTAINER/N.exit      the exit code, by the shell outside
 *     CONTAINER/N.stdin     its input, a FIFO, and N.keeper the pid of who keeps it open; for a container with stdin
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allContainers } from '../../api/all-containers.js';
import type { Container, ContainerState, Pod } from '../../api/types.js';
import type { Health } from './prober.js';
import type { ProcessRef } from './procfs.js';

/** One container, as far as it must survive the agent. */
export interface ContainerRecord extends Health {
  name: string;
  /** Number of the last start; 0 before the first. */
  run: number;
  state: ContainerState;
  lastState?: ContainerState;
  /** It was ended because a probe or hook failed, and starts again whatever its exit code. */
  isKilled?: boolean;
  /** The shell outside that waits for the command, and the command itself. */
  waiter?: ProcessRef;
  main?: ProcessRef;
  /** How long the last start had to wait for the run before it; absent before the first restart. */
  delayMs?: number;
}

/** The record of a container that has not been started. */
export const newRecord = (container: Container): ContainerRecord => ({
  name: container.name,
  run: 0,
  state: { waiting: { reason: 'ContainerCreating' } },
});

export interface PodState {
  lab: string;
  node: string;
  namespace: string;
  name: string;
  uid: string;
  /** The network namespace's name for `ip netns`; absent for a pod on the host's own network. */
  netns?: string;
  hostname: string;
  /** PID 1 of the pod, as the machine counts; absent while it is being made. */
  holderPid?: number;
  holderStart?: number;
  /** RFC 3339. */
  startTime: string;
  containers: ContainerRecord[];
  initContainers: ContainerRecord[];
  /** Absent where an agent that knew none has written. */
  ephemeralContainers?: ContainerRecord[];
  /** Why the pod has failed as a whole. */
  failure?: { reason: string; message: string };
  /** The object as last seen, for an agent that finds the pod gone from the API. */
  pod: Pod;
}

/** The records of all containers of a pod, of whatever kind; its first container is the first. */
export const allRecords = ({
  containers,
  initContainers,
  ephemeralContainers = [],
}: PodState): ContainerRecord[] => [...containers, ...initContainers, ...ephemeralContainers];

/** What a pod's object says of the container of that name. */
export const specOf = (state: PodState, name: string): Container | undefined =>
  allContainers(state.pod.spec).find((container) => container.name === name);

/** A pod's key: its uid, or its name where objects come from files and have none. Safe as a file name. */
export const uidOf = ({ metadata: { uid, namespace, name } }: Pod): string =>
  (uid ?? `${namespace ?? 'default'}_${name}`).replace(/[^\w.-]|^\./g, '_');

/** How a run of a container is told from others. A container that was never started has none. */
export const containerId = (uid: string, { name, run }: ContainerRecord): string | undefined =>
  run === 0 ? undefined : `podwire://${createHash('sha256').update(`${uid}/${name}/${run}`).digest('hex')}`;

/** The pod's holder, when it has been made. */
export const holderOf = (state: PodState): ProcessRef | undefined =>
  state.holderPid === undefined ? undefined : { pid: state.holderPid, startTime: state.holderStart ?? 0 };

/** Write the state of the pod whose folder is `dir`, creating the folder. */
export function writeState(dir: string, state: PodState): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, 'state.json');
  writeFileSync(path + '.new', JSON.stringify(state, null, 2) + '\n', { mode: 0o600 });
  renameSync(path + '.new', path);
}

/** Read a pod's folder; undefined when the state was never written or is no JSON. */
export function readState(dir: string): PodState | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8')) as PodState;
  } catch {
    return undefined;
  }
}

/** The folders of the pods under `podsDir`, in order of name. */
export function podFolders(podsDir: string): string[] {
  if (!existsSync(podsDir)) return [];
  return readdirSync(podsDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(podsDir, entry.name))
    .sort();
}
