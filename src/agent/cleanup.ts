/**
 * Remove all that an agent of this host left, pods included: for `podwire agent --cleanup`, after the agent has ended.
 */
import { rmdirSync, rmSync } from 'node:fs';
import { undoJournal } from './host-state.js';
import { takeLock } from './lock.js';
import type { Logger } from './log.js';
import type { AgentParts } from './parts.js';
import { agentPaths, labDir, makeAgentDirs } from './paths.js';

export interface CleanUpOptions {
  lab: string;
  node: string;
  netns?: string;
  log: Logger;
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

/**
 * Take back the host state that the journal tells of, end all pods, remove the files.
 *
 * @returns what could not be removed, in sentences; its files then stay, for another try
 * @throws  when an agent runs
 */
export const cleanUp = async ({
  lab,
  node,
  netns,
  log,
  createPodRuntime,
}: CleanUpOptions): Promise<string[]> => {
  const paths = agentPaths(lab, node);
  makeAgentDirs(paths);
  const lock = await takeLock(paths.dir, paths.pid, `node "${node}" of lab "${lab}"`);
  try {
    const problems = await undoJournal(paths.journal, netns);
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
    rmSync(paths.socket, { force: true });
    if (problems.length > 0) return problems;
    rmSync(paths.dir, { recursive: true, force: true });
    removeIfEmpty(labDir(lab));
    return [];
  } finally {
    await lock.release();
  }
};
