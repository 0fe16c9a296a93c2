/**
 * What a lab leaves under its run directory for others to find: `lab.json` says what it is made of, `supervisor.pid` who
 * runs it, `processes.json` which processes those are. Read by `status`, `exec`, `down` and by the next `up`.
 */

import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
  type Dirent,
} from 'node:fs';
import { join } from 'node:path';
import { agentPaths, labDir, runRoot } from '../agent/paths.js';
import type { ChildState } from './supervisor.js';
import type { LabPlan } from './plan.js';
import { belongsTo, isAlive } from './processes.js';

/** `lab.json`: what `up` decided. */
export type LabRecord = Pick<LabPlan, 'name' | 'lab' | 'digest' | 'nodes' | 'underlay'>;

/** Files of a lab beside those of its agents. */
export const labPaths = (name: string) => {
  const dir = labDir(name);
  return {
    dir,
    record: join(dir, 'lab.json'),
    journal: join(dir, 'journal.jsonl'),
    pid: join(dir, 'supervisor.pid'),
    processes: join(dir, 'processes.json'),
    serverSocket: join(dir, 'server.sock'),
    dnsSocket: join(dir, 'dns.sock'),
    kubeconfig: join(dir, 'kubeconfig'),
    store: join(dir, 'store'),
    log: (process: string) => join(dir, `${process}.log`),
    nodeSocket: (node: string) => agentPaths(name, node).socket,
  };
};

/** A lab that has a directory: running, or what a crash left of it. */
export interface KnownLab {
  readonly name: string;
  /** Absent where the directory holds no readable record. */
  readonly record?: LabRecord;
  /** Absent when no supervisor is alive. */
  readonly supervisorPid?: number;
}

/** All labs of this machine, in order of name. */
export function listLabs(): KnownLab[] {
  // A real host's agent has a directory too, but no record and no supervisor: it is no lab.
  return entries(runRoot())
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => readLab(entry.name) ?? []);
}

/** One lab; undefined when it has left nothing. */
export function readLab(name: string): KnownLab | undefined {
  const record = readJson<LabRecord>(labPaths(name).record);
  const supervisorPid = readSupervisorPid(name);
  if (!record && supervisorPid === undefined) return undefined;
  return { name, ...(record && { record }), ...(supervisorPid !== undefined && { supervisorPid }) };
}

/** Hosts whose agents can be reached from here, with a lab around them or not. */
export interface Place {
  /** The lab; `host` for agents on real hosts. */
  readonly name: string;
  /** A real host has no namespace of its own. */
  readonly nodes: readonly { readonly name: string; readonly netns?: string }[];
}

/** The hosts of a lab, running or not; those with an agent's socket where there is no record. */
export function readPlace(name: string): Place | undefined {
  const record = readLab(name)?.record;
  if (record) return { name, nodes: record.nodes };
  const nodes = entries(labDir(name)).flatMap((entry) => {
    const node = /^(.+)\.sock$/.exec(entry.name)?.[1];
    return node === undefined || ['dns', 'server'].includes(node) ? [] : [{ name: node }];
  });
  return nodes.length > 0 ? { name, nodes } : undefined;
}

export const listPlaces = (): Place[] =>
  entries(runRoot())
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => readPlace(entry.name) ?? []);

/** What is in a folder, in order of name; nothing when it is not there. */
function entries(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (code === 'EACCES')
      throw new Error(`Cannot look into ${dir} as this user; run podwire as root, for example with sudo`);
    throw error;
  }
}

/** Make the lab's directory with its record. */
export function writeRecord(plan: LabRecord): void {
  const { name, lab, digest, nodes, underlay } = plan;
  const paths = labPaths(name);
  mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
  writeJson(paths.record, { name, lab, digest, nodes, underlay });
}

/** The children of a lab's supervisor, as it last wrote them. */
export const readProcesses = (name: string): ChildState[] =>
  readJson<ChildState[]>(labPaths(name).processes) ?? [];

export const writeProcesses = (name: string, children: readonly ChildState[]): void =>
  writeJson(labPaths(name).processes, children);

function readSupervisorPid(name: string): number | undefined {
  const paths = labPaths(name);
  let pid: number;
  try {
    pid = Number(readFileSync(paths.pid, 'utf8'));
  } catch {
    return undefined;
  }
  return pid > 0 && isAlive(pid) && belongsTo(pid, paths.dir) ? pid : undefined;
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined; // not there, or cut short by a crash: the same to everyone who asks
  }
}

/** Written aside and renamed: a reader sees the old text or the new. */
function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/**
 * Run `action` while nobody else brings this lab up or down.
 *
 * @throws when somebody does
 */
export async function withLock<T>(name: string, action: () => Promise<T>): Promise<T> {
  const path = join(runRoot(), `${name}.lock`);
  for (;;)
    try {
      mkdirSync(runRoot(), { recursive: true, mode: 0o700 });
      writeFileSync(path, String(process.pid), { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const owner = lockOwner(path);
      if (owner !== undefined)
        throw new Error(
          `Lab "${name}" is being brought up or down by process ${owner}; wait for it, or end it`,
        );
      rmSync(path, { force: true }); // whoever held it was killed
    }
  try {
    return await action();
  } finally {
    rmSync(path, { force: true });
    removeIfEmpty(runRoot());
  }
}

/** The run directory goes with the last lab. */
function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // another lab lives in it
  }
}

/** The process that holds a lock, if it is alive and runs podwire. */
function lockOwner(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    if (!(pid > 0) || !isAlive(pid)) return undefined;
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('node') ? pid : undefined;
  } catch {
    return undefined;
  }
}
