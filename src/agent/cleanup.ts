/**
 * Remove what an agent of this host left, after it has ended: host state and pods for `podwire agent --cleanup`, host state
 * alone with `--keep-pods`, which a service manager calls after every end (the next agent then takes the pods back). Who the
 * host is to its server stays, so that it can be started again, unless it shall be forgotten too.
 */
import { rmdirSync, rmSync } from 'node:fs';
import { undoJournal } from './host-state.js';
import { removeIdentity } from './join/identity.js';
import { takeLock } from './lock.js';
import type { Logger } from './log.js';
import type { AgentParts } from './parts.js';
import { agentPaths, identityPath, labDir, makeAgentDirs, runRoot, type AgentPaths } from './paths.js';

export interface CleanUpOptions {
  lab: string;
  node: string;
  netns?: string;
  log: Logger;
  /** Take back host state alone. */
  keepPods?: boolean;
  /** Remove also who this host is to its server: it must join again. */
  forget?: boolean;
  createPodRuntime: AgentParts['createPodRuntime'];
}

/** Remove a directory that is empty; leave one that is not. */
const removeIfEmpty = (dir: string): void => {
  try {
    rmdirSync(dir);
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
};

/** Remove the agent's folders from the inside out, as far as they are empty. */
const removeEmptyDirs = (paths: AgentPaths, lab: string): void => {
  for (const dir of [paths.pods, paths.dir, labDir(lab), runRoot()]) removeIfEmpty(dir);
};

/**
 * Take back the host state that the journal tells of, end all pods unless they shall stay, remove the files.
 *
 * @returns what could not be removed, in sentences; its files then stay, for another try
 * @throws  when an agent runs
 */
export const cleanUp = async ({
  lab,
  node,
  netns,
  log,
  keepPods = false,
  forget = false,
  createPodRuntime,
}: CleanUpOptions): Promise<string[]> => {
  const paths = agentPaths(lab, node);
  const removePods = async (): Promise<void> => {
    const runtime = createPodRuntime({
      lab,
      node,
      dir: paths.pods,
      // Without an agent there are no ports to take away: a pod's TAP goes with its namespace.
      // Nothing starts any more.
      resolverFiles: () => ({ resolvConf: '', hosts: '' }),
      network: { attach: () => Promise.resolve(), detach: () => Promise.resolve() },
      hostAddress: '',
      report: () => undefined,
      removed: () => undefined,
      log,
    });
    await runtime.removeAll();
    await runtime.close();
  };
  makeAgentDirs(paths);
  const lock = await takeLock(paths.dir, paths.pid, `node "${node}" of lab "${lab}"`);
  try {
    const problems = await undoJournal(paths.journal, netns);
    if (!keepPods) await removePods();
    rmSync(paths.socket, { force: true });
    if (problems.length > 0) return problems;
    if (forget) removeIdentity(identityPath(lab, node));
    if (!keepPods) rmSync(paths.dir, { recursive: true, force: true });
    return [];
  } finally {
    await lock.release();
    removeEmptyDirs(paths, lab);
  }
};
