/** `podwire up`: bring a lab up. What people read on the way; the work is in `lab/bring-up.ts`. */

import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { preflight } from '../agent/preflight.js';
import { POD } from '../api/kinds.js';
import type { Pod } from '../api/types.js';
import { createClient } from '../client/client.js';
import { bringUp } from '../lab/bring-up.js';
import { takenPrefixes } from '../lab/machine.js';
import { readManifest, readManifests, type Located } from '../client/manifest.js';
import { labNameOf, planLab, type LabPlan } from '../lab/plan.js';
import { labPaths, readLab, withLock, type KnownLab } from '../lab/record.js';
import { hasTraces, namespacesOf, removeLab } from '../lab/remove.js';
import { formatTable, readStdin } from './output.js';
import { createProgress } from './progress.js';
import { pathLine, ROOT, selfArgv, typedName } from './self.js';
import { suggestions } from './suggest.js';
import { CommandError, defineVerb, UsageError, type Io } from './verb.js';

/** What comes up when no file is named. */
const DEMO = join(ROOT, 'examples', 'demo.yaml');

export const up = defineVerb({
  usage: ['up [-f FILE] [--nodes N] [--lab NAME]'],
  description:
    'Bring a lab up on this machine: hosts in namespaces of their own, an underlay between them, a server, an agent for ' +
    'each host, and the objects of the file. Returns when every node and pod is Ready; else names those that are not. ' +
    'Without -f it is the demo lab of examples/demo.yaml.',
  options: {
    file: {
      type: 'string',
      short: 'f',
      value: 'FILE',
      help: 'the lab and its objects; - for standard input',
    },
    nodes: { type: 'string', value: 'N', help: 'node1 … nodeN instead of the nodes of the file' },
    lab: { type: 'string', value: 'NAME', help: 'another name than that of the file' },
    timeout: { type: 'string', value: 'SECONDS', help: 'how long to wait for pods; default: 60' },
  },
  example: ['podwire up', 'podwire up -f examples/demo.yaml --lab second', 'podwire up --nodes 3'],
  async run({ flags, io }) {
    const nodes = wholeNumber('--nodes', flags.nodes, 1, 253);
    const timeout = wholeNumber('--timeout', flags.timeout, 0, 86_400) ?? 60;
    const [problem] = preflight();
    if (problem !== undefined) throw new CommandError(problem);
    const objects = await readManifests([flags.file ?? DEMO], () => readStdin(io));
    const name = labNameOf(objects, flags.lab);
    return withLock(name, async () => {
      const plan = planLab({
        objects: flags.file === undefined ? withoutStrayPods(objects, nodes) : objects,
        readManifest: readBeside,
        taken: takenPrefixes(name),
        ...(flags.lab !== undefined && { name: flags.lab }),
        ...(nodes !== undefined && { nodes }),
      });
      const running = readLab(name);
      if (running?.supervisorPid !== undefined) return alreadyRunning(plan, running, io);
      await clearAway(name);
      return start(plan, timeout * 1000, io);
    });
  },
});

/** What a crash left is ours to remove; namespaces that only look like ours are not. */
async function clearAway(name: string): Promise<void> {
  if (!existsSync(labPaths(name).dir) && hasTraces(name))
    throw new CommandError(
      `Something called like a part of lab "${name}" exists, ${namespacesOf(name)[0] ?? `pw-${name}`}; choose another name, or run podwire down --lab ${name} if it is a lost lab's`,
    );
  if (hasTraces(name)) await removeLab(name);
}

async function start(plan: LabPlan, timeoutMs: number, io: Io): Promise<number> {
  const began = performance.now();
  const progress = createProgress(io);
  const onInterrupt = (): void => {
    io.stderr.write(`\npodwire up: Interrupted; podwire down --lab ${plan.name} removes what was made\n`);
    process.exit(130);
  };
  process.once('SIGINT', onInterrupt);
  let troubles;
  try {
    troubles = await bringUp(plan, { podwire: selfArgv(), progress, timeoutMs });
  } catch (error) {
    progress.abort();
    throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
  const podwire = typedName(io.env, process.cwd());
  if (troubles.length > 0) {
    for (const { what, why } of troubles) io.stderr.write(`podwire up: ${what} is not Ready: ${why}\n`);
    io.stderr.write(
      `Lab ${plan.name} stays for you to look at: ${podwire} status, logs in ${labPaths(plan.name).dir}; ${podwire} down --lab ${plan.name} removes it.\n`,
    );
    return 1;
  }
  const client = createClient({ socketPath: labPaths(plan.name).serverSocket });
  const pods = (await client.list<Pod>(POD, {})).items;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  io.stdout.write(`\nLab ${plan.name} is up (${seconds} s).\n\n${inventory(plan, pods)}`);
  io.stdout.write(
    `\nTry:\n${suggestions(plan, pods)
      .map((line) => `  ${podwire} ${line}\n`)
      .join('')}`,
  );
  io.stdout.write(`\nFor kubectl:\n  export KUBECONFIG=${labPaths(plan.name).kubeconfig}\n`);
  const line = pathLine(io.env);
  if (line !== undefined) io.stdout.write(`\nTo have podwire on your PATH:\n  ${line}\n`);
  return 0;
}

/** The hosts, and on each its pods. */
function inventory(plan: LabPlan, pods: readonly Pod[]): string {
  const rows = [['', 'ADDRESS', 'NAMESPACE OF THE MACHINE']];
  for (const node of plan.nodes) {
    rows.push([node.name, node.address, node.netns]);
    for (const { metadata, spec, status } of pods)
      if (spec.nodeName === node.name)
        rows.push([
          `  ${metadata.namespace === 'default' ? '' : `${metadata.namespace}/`}${metadata.name}`,
          status?.podIP ?? '',
          `${node.netns}.${metadata.namespace}.${metadata.name}`,
        ]);
  }
  return formatTable(rows, '  ');
}

/** The same lab asked for twice is no mistake; another lab of that name is. */
function alreadyRunning(plan: LabPlan, { name, record }: KnownLab, io: Io): number {
  const podwire = typedName(io.env, process.cwd());
  if (record?.digest !== plan.digest)
    throw new CommandError(
      `Another lab "${name}" is running already; end it with podwire down --lab ${name}, or give this one another name with --lab`,
    );
  io.stdout.write(
    `Lab ${name} is running already. ${podwire} status shows it; ${podwire} down removes it.\n` +
      `\nFor kubectl:\n  export KUBECONFIG=${labPaths(name).kubeconfig}\n`,
  );
  return 0;
}

/** The demo's pods name their hosts; with fewer hosts there are fewer pods. */
function withoutStrayPods(objects: readonly Located[], nodes: number | undefined): Located[] {
  const isStray = ({ object }: Located): boolean => {
    const index = /^node(\d+)$/.exec((object as Pod).spec?.nodeName ?? '')?.[1];
    return object.kind === 'Pod' && nodes !== undefined && Number(index ?? 0) > nodes;
  };
  return objects.filter((object) => !isStray(object));
}

/** One of `spec.manifests`: relative to the lab file, or to here when that came from standard input. */
function readBeside(name: string, lab: Located): Located[] {
  const path = isAbsolute(name) || lab.file === '<stdin>' ? name : join(dirname(lab.file), name);
  return readManifest(path);
}

function wholeNumber(flag: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`Cannot read ${flag} "${text}"; need a whole number, ${min} to ${max}`);
}
