/**
 * Take a lab away, whatever state it is in: running, half made, or crashed. Works from names and marks as well as from
 * the journal, so a lost file does not keep anything alive.
 *
 * The order matters: first the supervisor, or it starts again what we end; then all processes, or they keep namespaces
 * alive; then mounts, or deleting files would reach through them; then namespaces and links; files last.
 */

import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { labDir } from '../agent/paths.js';
import { ip } from '../sys/iproute2.js';
import { runSync } from '../sys/command.js';
import { NETNS_DIR, processesOf, signal, waitGone } from './processes.js';
import { readLab } from './record.js';

/** How long the supervisor may take to end its children. */
const SUPERVISOR_MS = 10_000;
const KILLED_MS = 5_000;

/** The names of a lab's namespaces that exist: underlay, hosts, pods. */
export function namespacesOf(lab: string): string[] {
  try {
    return readdirSync(NETNS_DIR)
      .filter((name) => name.startsWith(`${lab}.`))
      .sort();
  } catch {
    return [];
  }
}

/** Whether anything of a lab is on this machine. */
export const hasTraces = (lab: string): boolean =>
  readLab(lab) !== undefined ||
  namespacesOf(lab).length > 0 ||
  linkExists(`pw-${lab}`) ||
  existsSync(labDir(lab));

/**
 * Remove everything of a lab. Does nothing where there is nothing.
 *
 * @throws when something cannot be removed, naming it
 */
export async function removeLab(lab: string): Promise<void> {
  await stopSupervisor(lab);
  await endProcesses(lab);
  unmountBelow(labDir(lab));
  const namespaces = namespacesOf(lab);
  const failures = ip(
    [
      ...(linkExists(`pw-${lab}`) ? [`link del pw-${lab}`] : []),
      ...namespaces.map((name) => `netns del ${name}`),
    ],
    { force: true },
  );
  const left = namespacesOf(lab);
  if (left.length > 0)
    throw new Error(
      `Cannot remove network namespace "${left[0]}": ${failures[0]?.words ?? 'it came back'}; run podwire down again`,
    );
  rmSync(labDir(lab), { recursive: true, force: true });
}

async function stopSupervisor(lab: string): Promise<void> {
  const pid = readLab(lab)?.supervisorPid;
  if (pid === undefined) return;
  signal(pid, 'SIGTERM');
  if ((await waitGone([pid], SUPERVISOR_MS)).length === 0) return;
  signal(pid, 'SIGKILL');
  await waitGone([pid], KILLED_MS);
}

async function endProcesses(lab: string): Promise<void> {
  const files = namespacesOf(lab).map((name) => join(NETNS_DIR, name));
  // A process may start another between the look and the signal; it carries the mark, so look again.
  for (let round = 0; round < 5; round++) {
    const pids = processesOf(labDir(lab), files);
    if (pids.length === 0) return;
    for (const pid of pids) signal(pid, 'SIGKILL');
    await waitGone(pids, KILLED_MS);
  }
  const left = processesOf(labDir(lab), files);
  if (left.length > 0)
    throw new Error(`Cannot end process ${left[0]} of lab "${lab}": it does not die; see ps -p ${left[0]}`);
}

/** Detach all mounts below a folder, the deepest first. */
function unmountBelow(dir: string): void {
  const mounts = mountsBelow(dir);
  if (mounts.length === 0) return;
  runSync(['umount', '-l', ...mounts]);
  const left = mountsBelow(dir);
  if (left.length > 0)
    throw new Error(`Cannot unmount ${left[0]}: run umount -l ${left[0]}, then podwire down again`);
}

/** /proc/self/mountinfo's fifth word is the mount point, with blanks as \040. proc_pid_mountinfo(5). */
function mountsBelow(dir: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(parseInt(octal, 8)),
      ),
    )
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}

function linkExists(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`);
}
