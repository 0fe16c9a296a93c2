/**
 * Bring a planned lab up: the underlay, the supervisor with the server and the agents, the objects; then wait until all
 * of it is Ready.
 *
 * Whatever fails before the objects are in leaves nothing behind. A pod that does not become Ready is no reason to take
 * the lab away: one wants to look at it.
 */

import { spawn } from 'node:child_process';
import { openSync, readFileSync, closeSync } from 'node:fs';
import { openJournal } from '../agent/journal.js';
import { NODE, POD } from '../api/kinds.js';
import type { ApiObject, Node, Pod } from '../api/types.js';
import { createClient, type Client } from '../client/client.js';
import { daemonEnv } from './environment.js';
import type { Located } from '../client/manifest.js';
import type { LabPlan } from './plan.js';
import type { Progress } from './progress.js';
import { labPaths, readLab, readProcesses, writeRecord } from './record.js';
import { removeLab } from './remove.js';
import { notReady, type Trouble } from './readiness.js';
import { makeUnderlay, underlayUndo } from './underlay.js';

export interface BringUpOptions {
  /** How to call podwire: program and first arguments. */
  readonly podwire: readonly string[];
  readonly progress: Progress;
  /** How long to wait until all is Ready. */
  readonly timeoutMs: number;
}

const POLL_MS = 50;
const SERVER_MS = 15_000;

/**
 * @returns what is not Ready when the time is up; empty when all is well
 * @throws when the lab cannot be made; nothing of it is left then
 */
export async function bringUp(plan: LabPlan, options: BringUpOptions): Promise<Trouble[]> {
  const { progress } = options;
  const client = createClient({ socketPath: labPaths(plan.name).serverSocket });
  try {
    progress.begin('underlay', `${plan.underlay.cidr} in namespace ${plan.underlay.netns}`);
    writeRecord(plan);
    const journal = openJournal(labPaths(plan.name).journal);
    journal.will(underlayUndo(plan));
    await makeUnderlay(plan);
    progress.done(`${plan.underlay.cidr} in namespace ${plan.underlay.netns}`);

    progress.begin('server', 'starting');
    startSupervisor(plan.name, options.podwire);
    await waitForCluster(plan);
    progress.done(labPaths(plan.name).serverSocket);

    progress.begin('objects', 'creating');
    await createObjects(plan, client, progress);
    progress.done(`${plan.objects.length} created`);
  } catch (error) {
    await removeLab(plan.name);
    throw error;
  }
  return (await waitUntilReady(client, options)).map((trouble) => withAgentsWords(plan.name, trouble));
}

/** One detached process; it outlives us and our terminal. */
function startSupervisor(lab: string, podwire: readonly string[]): void {
  const paths = labPaths(lab);
  const log = openSync(paths.log('supervisor'), 'a', 0o600);
  try {
    const [program, ...args] = [...podwire, 'supervise', '--lab', lab];
    const child = spawn(program!, args, {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
      env: daemonEnv(paths.dir),
    });
    child.on('error', () => {}); // waitForServer tells
    child.unref();
  } finally {
    closeSync(log);
  }
}

/** The server answers, has the Lab and its Nodes, and the agents are started. */
async function waitForCluster(plan: LabPlan): Promise<void> {
  const { name } = plan;
  const end = performance.now() + SERVER_MS;
  do {
    const processes = readProcesses(name);
    if (plan.nodes.every((node) => processes.some((child) => child.name === node.name))) return;
    const server = processes.find((child) => child.name === 'server');
    if (server && server.restarts > 2)
      throw new Error(
        `The server does not run (${server.lastExit}): ${lastWords(labPaths(name).log('server'))}`,
      );
    await delay(POLL_MS);
  } while (performance.now() < end);
  throw new Error(
    readLab(name)?.supervisorPid === undefined
      ? `The supervisor ended: ${lastWords(labPaths(name).log('supervisor'))}`
      : `The server does not answer: ${lastWords(labPaths(name).log('server'))}`,
  );
}

/** The last line of a log: pino's message, or the line itself. */
export function lastWords(path: string): string {
  let line: string;
  try {
    line = readFileSync(path, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  } catch {
    line = '';
  }
  if (line === '') return `${path} is empty`;
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [msg, err?.message].filter(Boolean).join(': ');
  } catch {
    return line;
  }
}

/** Namespaces and nodes first, whatever the order in the files; the rest as it stands there. */
async function createObjects(plan: LabPlan, client: Client, progress: Progress): Promise<void> {
  const rank = ({ object }: Located): number => ['Namespace', 'Node'].indexOf(object.kind) >>> 0;
  const objects = [...plan.objects].sort((a, b) => rank(a) - rank(b));
  let count = 0;
  for (const located of objects) {
    await applyLocated(client, located);
    progress.update(`${++count} of ${objects.length} created`);
  }
}

/**
 * Apply one object of a file.
 *
 * @throws with file and line in front of the server's words
 */
export async function applyLocated(
  client: Client,
  located: Located,
): Promise<{ object: ApiObject; result: 'created' | 'configured' | 'unchanged' }> {
  try {
    return await client.apply(located.object);
  } catch (error) {
    const { message, field } = error as Error & { field?: string };
    throw new Error(`${located.file}:${field ? located.lineOf(field) : located.line}: ${message}`, {
      cause: error,
    });
  }
}

async function waitUntilReady(client: Client, options: BringUpOptions): Promise<Trouble[]> {
  const { progress, timeoutMs } = options;
  const end = performance.now() + timeoutMs;
  for (const kind of ['Node', 'Pod'] as const) {
    progress.begin(kind === 'Node' ? 'nodes' : 'pods', 'waiting until Ready');
    for (;;) {
      const { items } = kind === 'Node' ? await client.list<Node>(NODE, {}) : await client.list<Pod>(POD, {});
      const troubles = notReady(items);
      const text = `${items.length - troubles.length} of ${items.length} Ready`;
      if (troubles.length === 0) {
        progress.done(text);
        break;
      }
      progress.update(text);
      if (performance.now() >= end) {
        progress.done(text);
        if (kind === 'Pod') return troubles;
        const pods = await client.list<Pod>(POD, {});
        return [...troubles, ...notReady(pods.items)];
      }
      await delay(POLL_MS);
    }
  }
  return [];
}

/** A node whose agent does not run: the agent's last words say more than the server can. */
function withAgentsWords(lab: string, trouble: Trouble): Trouble {
  const agent = readProcesses(lab).find(({ name }) => trouble.what === `node ${name}`);
  if (!agent || (agent.pid !== undefined && agent.restarts < 2)) return trouble;
  return {
    ...trouble,
    why: `its agent does not run (${agent.lastExit}): ${lastWords(labPaths(lab).log(agent.name))}`,
  };
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
