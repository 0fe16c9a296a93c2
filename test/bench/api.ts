/**
 * What the API costs: `node dist/test/bench/api.js [--pods N] [--watchers N] [--rounds N]`. A server of its own, in a process
 * of its own, without agents; medians in milliseconds. The kubectl rows need a kubectl.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CONFIG_MAP, POD } from '../../src/api/kinds.js';
import type { ApiObject, Pod } from '../../src/api/types.js';
import { createClient, type Client } from '../../src/client/client.js';
import { findKubectls } from '../lib/kubectl.js';
import { inRoot } from '../lib/root.js';
import { until } from '../lib/until.js';
import { median } from '../../src/bench/case.js';

const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '2000' },
    watchers: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '11' },
  },
});
const pods = Number(values.pods);
const watchers = Number(values.watchers);
const rounds = Number(values.rounds);
const OBJECTS = 300;

const home = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-api-`));
const socketPath = join(home, 's.sock');
const kubeconfig = join(home, 'kubeconfig');
const server = spawn(
  inRoot('scripts/podwire'),
  ['server', '--listen', '127.0.0.1:0', '--socket', socketPath, '--data', join(home, 'data')].concat(
    '--write-kubeconfig',
    kubeconfig,
  ),
  { stdio: 'ignore' },
);

/** Median time of some runs. */
async function measure(what: string, runs: number, run: (round: number) => unknown): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < runs; round++) {
    const start = performance.now();
    await run(round);
    times.push(performance.now() - start);
  }
  process.stdout.write(`${what.padEnd(48)} ${median(times).toFixed(1).padStart(9)} ms\n`);
}

const map = (name: string, value: string): ApiObject =>
  ({
    apiVersion: 'v1',
    kind: CONFIG_MAP.kind,
    metadata: { name, namespace: 'default' },
    data: { value },
  }) as ApiObject;

const manifest = (value: string): string =>
  Array.from({ length: OBJECTS }, (_, i) => JSON.stringify(map(`applied-${i}`, value))).join('\n---\n');

/** How long until each of the watchers has heard of a write. */
async function fanOut(client: Client): Promise<void> {
  const clients = Array.from({ length: watchers }, () => createClient({ socketPath }));
  const aborts = clients.map(() => new AbortController());
  let heard = 0;
  let isOpen = 0;
  let told = (): void => {};
  const { resourceVersion } = await client.list(CONFIG_MAP);
  for (const [i, one] of clients.entries())
    void one.watch(CONFIG_MAP, {
      resourceVersion,
      signal: aborts[i]!.signal,
      opened: () => isOpen++,
      event: ({ type }) => {
        if (type !== 'BOOKMARK' && ++heard === watchers) told();
      },
    });
  await until('all watch', () => isOpen === watchers);
  await measure(`a write until ${watchers} watchers have it`, rounds * 3, async (round) => {
    heard = 0;
    const all = new Promise<void>((resolve) => (told = resolve));
    await client.create(map(`told-${round}`, '1'));
    await all;
  });
  for (const abort of aborts) abort.abort();
  for (const one of clients) one.close();
}

async function main(): Promise<void> {
  await until('the server answers', () => existsSync(kubeconfig));
  const client = createClient({ socketPath });
  const kubectl = findKubectls().at(-1);
  if (kubectl) {
    kubectl.run(home, ['get', 'nodes']); // fills its cache
    await measure(`kubectl 1.${kubectl.minor} get configmaps`, rounds, () =>
      kubectl.run(home, ['get', 'cm']),
    );
    for (const [what, runs, value] of [
      [`kubectl apply of ${OBJECTS} new objects`, 1, '1'],
      [`kubectl apply of ${OBJECTS} changed objects`, 1, '2'],
    ] as const)
      await measure(what, runs, () => {
        const { status, stderr } = kubectl.run(home, ['apply', '-f', '-'], manifest(value));
        if (status !== 0) throw new Error(stderr);
      });
  }
  await fanOut(client);
  const pod = (i: number): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${i}`, namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'nginx' }] },
  });
  await measure(`create ${pods} pods, all at once`, 1, () =>
    Promise.all(Array.from({ length: pods }, (_, i) => client.create(pod(i)))),
  );
  await measure(`list ${pods} pods as JSON`, rounds, () => client.list(POD));
  if (kubectl)
    await measure(`kubectl get pods -A, ${pods} of them`, rounds, () =>
      kubectl.run(home, ['get', 'pods', '-A']),
    );
  client.close();
}

try {
  await main();
} finally {
  server.kill('SIGTERM');
  await once(server, 'exit');
  rmSync(home, { recursive: true, force: true });
}
