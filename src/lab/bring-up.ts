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
import { NAMESPACE, NODE, POD } from '../api/kinds.js';
import type { ApiObject, Node, Pod } from '../api/types.js';
import { createClient, type Client } from '../client/client.js';
import { daemonEnv } from './environment.js';
import type { Located } from '../client/manifest.js';
import type { LabPlan, PlannedNode } from './plan.js';
import { isAlive } from './processes.js';
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

const POLL_MS = 100;
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
    await waitForServer(plan.name, client);
    progress.done(labPaths(plan.name).serverSocket);

    progress.begin('objects', 'creating');
    const count = await createObjects(plan, client, progress);
    progress.done(`${count} created`);
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

async function waitForServer(lab: string, client: Client): Promise<void> {
  const end = performance.now() + SERVER_MS;
  let last: Error;
  do {
    try {
      await client.list(NAMESPACE, {});
      return;
    } catch (error) {
      last = error as Error;
    }
    const server = readProcesses(lab).find((child) => child.name === 'server');
    if (server && server.restarts > 2)
      throw new Error(
        `The server does not run (${server.lastExit}): ${lastWords(labPaths(lab).log('server'))}`,
      );
    await delay(POLL_MS);
  } while (performance.now() < end);
  const supervisor = readLab(lab)?.supervisorPid;
  throw new Error(
    supervisor !== undefined && isAlive(supervisor)
      ? `The server does not answer: ${last.message}`
      : `The supervisor ended: ${lastWords(labPaths(lab).log('supervisor'))}`,
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
async function createObjects(plan: LabPlan, client: Client, progress: Progress): Promise<number> {
  const rank = ({ object }: Located): number => ['Namespace', 'Node'].indexOf(object.kind) >>> 0;
  const nodeNames = new Set(plan.nodes.map((node) => node.name));
  const isOurNode = ({ object }: Located): boolean =>
    object.kind === 'Node' && nodeNames.has(object.metadata.name);
  const given = new Map(
    plan.objects.filter(isOurNode).map(({ object }) => [object.metadata.name, object as Node]),
  );
  await client.create(plan.lab);
  let count = 1;
  for (const node of plan.nodes) {
    await client.create(nodeObject(node, given.get(node.name)));
    count++;
  }
  const rest = plan.objects.filter((located) => !isOurNode(located)).sort((a, b) => rank(a) - rank(b));
  for (const located of rest) {
    await applyLocated(client, located);
    progress.update(`${++count} created`);
  }
  return count;
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

/** The Node of a host of ours, with what the user wrote about it. */
function nodeObject(node: PlannedNode, given: Node | undefined): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    ...given,
    metadata: { ...given?.metadata, name: node.name },
    status: {
      ...given?.status,
      addresses: [
        { type: 'InternalIP', address: node.address },
        { type: 'Hostname', address: node.name },
      ],
    },
  };
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
