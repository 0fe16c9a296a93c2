/**
 * Where a host's files live at run time: `/run/podwire/LAB/…`, or under the environment's PODWIRE_RUN.
 * The names are read by the lab and the command line too, so they stand in one place.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** The directory of all labs. */
export const runRoot = (): string => process.env['PODWIRE_RUN'] || '/run/podwire';

/** The directory of one lab; a real host without a lab is in lab `host`. */
export const labDir = (lab: string): string => join(runRoot(), lab);

/** The files of one host's agent. */
export interface AgentPaths {
  /** The agent's own state. */
  readonly dir: string;
  /** What the agent changed on the host, and how to take it back. */
  readonly journal: string;
  /** State, logs and roots of the pods. */
  readonly pods: string;
  /** What the agent knew last. */
  readonly view: string;
  /** Pid of the running agent, for people; the lock is not this file. */
  readonly pid: string;
  /** The agent's HTTP API. */
  readonly socket: string;
}

/** The files of the agent of `node` in `lab`. */
export const agentPaths = (lab: string, node: string): AgentPaths => {
  const dir = join(labDir(lab), node);
  return {
    dir,
    journal: join(dir, 'journal.jsonl'),
    pods: join(dir, 'pods'),
    view: join(dir, 'view.json'),
    pid: join(dir, 'agent.pid'),
    socket: join(labDir(lab), `${node}.sock`),
  };
};

/** What must outlive a reboot: `/var/lib/podwire`, or the environment's PODWIRE_STATE. */
const stateRoot = (): string => process.env['PODWIRE_STATE'] || '/var/lib/podwire';

/** Who the host of `node` is to its server, see join/identity.ts. */
export const identityPath = (lab: string, node: string): string =>
  join(stateRoot(), lab, node, 'identity.json');

/** Make the lab's directory and the agent's, for root's eyes only. */
export const makeAgentDirs = (paths: AgentPaths): void => {
  mkdirSync(paths.pods, { recursive: true, mode: 0o700 });
};
