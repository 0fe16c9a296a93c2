/** `podwire status`: the labs of this machine, and what is wrong with them. */

import { NODE, POD } from '../api/kinds.js';
import type { Node, Pod } from '../api/types.js';
import { createClient } from '../client/client.js';
import { notReady } from '../lab/readiness.js';
import { labPaths, listLabs, readLab, readProcesses, type KnownLab } from '../lab/record.js';
import { getFromAgent, textOf } from './agent-request.js';
import { formatTable, OUTPUT, outputFormat, printJson } from './output.js';
import { CommandError, defineVerb, type Io } from './verb.js';

export interface NodeStatus {
  lab: string;
  name: string;
  ready: boolean;
  address: string;
  podCIDR?: string;
  netns?: string;
  agentPid?: number;
  agentRestarts?: number;
  /** What the packet path says of itself: offload, captures, workers. */
  agent?: unknown;
}

export interface PodReport {
  lab: string;
  namespace: string;
  name: string;
  node?: string;
  podIP?: string;
  phase: string;
  ready: boolean;
  restarts: number;
}

export interface LabStatus {
  name: string;
  running: boolean;
  supervisorPid?: number;
  serverPid?: number;
  underlay?: string;
  podCIDR?: string;
  serviceCIDR?: string;
}

export interface Status {
  labs: LabStatus[];
  nodes: NodeStatus[];
  pods: PodReport[];
  problems: string[];
}

export const status = defineVerb({
  usage: ['status [--lab NAME]'],
  description:
    'Show the labs of this machine with their nodes and pods, and every problem that podwire knows of. ' +
    'The exit code is 0 as long as the question could be answered.',
  options: {
    lab: { type: 'string', value: 'NAME', help: 'this lab only; default: all' },
    output: OUTPUT,
  },
  example: ['podwire status', 'podwire status -o json'],
  async run({ flags, io }) {
    const format = outputFormat(flags.output, ['json']);
    const labs =
      flags.lab === undefined ? listLabs() : [readLab(flags.lab)].filter((lab) => lab !== undefined);
    if (flags.lab !== undefined && labs.length === 0)
      throw new CommandError(`There is no lab "${flags.lab}"`);
    const all: Status = { labs: [], nodes: [], pods: [], problems: [] };
    for (const lab of labs) await addLab(all, lab);
    if (format === 'json') printJson(io, all);
    else printStatus(io, all);
    return 0;
  },
});

async function addLab(all: Status, lab: KnownLab): Promise<void> {
  const { name, record, supervisorPid } = lab;
  const running = supervisorPid !== undefined;
  const processes = running ? readProcesses(name) : [];
  const server = processes.find((child) => child.name === 'server');
  all.labs.push({
    name,
    running,
    ...(running && { supervisorPid }),
    ...(server?.pid !== undefined && { serverPid: server.pid }),
    ...(record && {
      underlay: record.underlay.cidr,
      podCIDR: record.lab.spec.podCIDR,
      serviceCIDR: record.lab.spec.serviceCIDR,
    }),
  });
  const problem = (text: string): number => all.problems.push(`${name}: ${text}`);
  if (!running || !record) {
    problem(`its supervisor is not running; podwire down --lab ${name} clears away what is left`);
    return;
  }
  for (const child of processes)
    if (child.pid === undefined)
      problem(`${child.name} does not run (${child.lastExit}); see ${labPaths(name).log(child.name)}`);
    else if (child.restarts > 0)
      problem(`${child.name} was started again ${times(child.restarts)}, last after ${child.lastExit}`);

  const client = createClient({ socketPath: labPaths(name).serverSocket });
  let nodes: Node[];
  let pods: Pod[];
  try {
    nodes = (await client.list<Node>(NODE, {})).items;
    pods = (await client.list<Pod>(POD, {})).items;
  } catch (error) {
    problem(`the server does not answer: ${(error as Error).message}`);
    return;
  }
  for (const { what, why } of notReady([...nodes, ...pods])) problem(`${what} is not Ready: ${why}`);
  for (const node of nodes) all.nodes.push(await nodeStatus(lab, node, problem));
  for (const pod of pods) all.pods.push(podReport(name, pod));
}

async function nodeStatus(lab: KnownLab, node: Node, problem: (text: string) => void): Promise<NodeStatus> {
  const { name } = node.metadata;
  const host = lab.record!.nodes.find((planned) => planned.name === name);
  const child = host && readProcesses(lab.name).find((one) => one.name === name);
  const addresses = node.status?.addresses ?? [];
  const agent = child?.pid === undefined ? undefined : await agentStatus(lab.name, name, problem);
  return {
    lab: lab.name,
    name,
    ready: notReady([node]).length === 0,
    address: host?.address ?? addresses.find(({ type }) => type === 'InternalIP')?.address ?? '',
    ...(node.spec?.podCIDR && { podCIDR: node.spec.podCIDR }),
    ...(host && { netns: host.netns }),
    ...(child?.pid !== undefined && { agentPid: child.pid }),
    ...(child && { agentRestarts: child.restarts }),
    ...(agent !== undefined && { agent }),
  };
}

async function agentStatus(lab: string, node: string, problem: (text: string) => void): Promise<unknown> {
  try {
    const agent = JSON.parse(await textOf(await getFromAgent(lab, node, '/status'))) as {
      problems?: string[];
    };
    for (const text of agent.problems ?? []) problem(`${node}: ${text}`);
    return agent;
  } catch (error) {
    problem((error as Error).message);
    return undefined;
  }
}

function podReport(lab: string, pod: Pod): PodReport {
  const containers = pod.status?.containerStatuses ?? [];
  return {
    lab,
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name,
    ...(pod.spec.nodeName && { node: pod.spec.nodeName }),
    ...(pod.status?.podIP && { podIP: pod.status.podIP }),
    phase: pod.metadata.deletionTimestamp ? 'Terminating' : (pod.status?.phase ?? 'Pending'),
    ready: notReady([pod]).length === 0,
    restarts: containers.reduce((sum, container) => sum + container.restartCount, 0),
  };
}

function printStatus(io: Io, all: Status): void {
  if (all.labs.length === 0) io.stdout.write('No lab is running; podwire up starts one.\n');
  for (const lab of all.labs) {
    const facts = lab.underlay
      ? ` underlay ${lab.underlay}, pods ${lab.podCIDR}, services ${lab.serviceCIDR}`
      : '';
    io.stdout.write(`Lab ${lab.name} is ${lab.running ? 'running' : 'not running'}${facts && `:${facts}`}\n`);
    const nodes = all.nodes.filter((node) => node.lab === lab.name);
    const pods = all.pods.filter((pod) => pod.lab === lab.name);
    const part = (heading: string[], rows: (string | number)[][]): void => {
      if (rows.length > 0) io.stdout.write(`\n${formatTable([heading, ...rows], '  ')}`);
    };
    part(
      ['NODE', 'STATUS', 'ADDRESS', 'PODS', 'AGENT'],
      nodes.map((node) => [
        node.name,
        node.ready ? 'Ready' : 'NotReady',
        node.address,
        node.podCIDR ?? '<none>',
        node.agentPid === undefined ? (node.netns ? 'not running' : 'external') : `pid ${node.agentPid}`,
      ]),
    );
    part(
      ['NAMESPACE', 'POD', 'READY', 'STATUS', 'RESTARTS', 'IP', 'NODE'],
      pods.map((pod) => [
        pod.namespace,
        pod.name,
        pod.ready ? 'yes' : 'no',
        pod.phase,
        pod.restarts,
        pod.podIP ?? '<none>',
        pod.node ?? '<none>',
      ]),
    );
    io.stdout.write('\n');
  }
  if (all.problems.length > 0)
    io.stdout.write(`Problems:\n${all.problems.map((text) => `  ${text}\n`).join('')}`);
  else if (all.labs.length > 0) io.stdout.write('No problems.\n');
}

const times = (count: number): string => (count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`);
