/**
 * What a run of control costs: `node dist/test/bench/control.js [--pods N]`. A cluster of Deployments of 50 pods each, and as many
 * Services: at rest, with one slice that somebody writes, and with one pod whose readiness changes from run to run. Medians of
 * 101 runs, in this process, without a store.
 */
import { parseArgs } from 'node:util';
import { LAB } from '../../src/api/kinds.js';
import type { ApiObject, EndpointSlice, Lab } from '../../src/api/types.js';
import { decide } from '../../src/control/reconcile.js';
import { ControlMemo } from '../../src/control/memo.js';
import { controlView } from '../../src/control/view.js';
import { median } from '../../src/bench/case.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const { values } = parseArgs({ options: { pods: { type: 'string', default: '2000' } } });
const PER_DEPLOYMENT = 50;
const PER_NODE = 100;
const RUNS = 101;

const count = Number(values.pods);
const cluster = new FakeCluster(
  Array.from({ length: Math.ceil(count / PER_NODE) }, (_, i) => `node${i + 1}`),
);
for (let i = 0; i < count / PER_DEPLOYMENT; i++) {
  const labels = { app: `web-${i}` };
  cluster.create({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: `web-${i}`, namespace: 'default' },
    spec: {
      replicas: PER_DEPLOYMENT,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
    },
  } as ApiObject);
  cluster.create({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `web-${i}`, namespace: 'default' },
    spec: { selector: labels, ports: [{ port: 80 }] },
  } as ApiObject);
}
cluster.converge();

const lab: Lab = { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'bench' } };
const memo = new ControlMemo();

/** Lists as the server hands them over: a new one of the kind that has changed. */
const lists = new Map<string, ApiObject[]>();
const listOf = (kind: string): ApiObject[] => {
  let list = lists.get(kind);
  if (!list) lists.set(kind, (list = cluster.list(kind)));
  return list;
};

/** @param change  what happens before each run */
function measure(what: string, change: (run: number) => void): void {
  const times: number[] = [];
  let changes = 0;
  for (let i = 0; i < RUNS; i++) {
    change(i);
    const view = controlView(lab, (kind) => (kind === LAB ? [] : listOf(kind.kind)));
    const start = performance.now();
    changes = decide(view, cluster.now, 1, undefined, memo).changes.length;
    times.push(performance.now() - start);
  }
  process.stdout.write(`${what.padEnd(32)} ${median(times).toFixed(2).padStart(8)} ms  ${changes} changes\n`);
}

measure(`${count} pods at rest`, () => {});
measure('one slice that somebody writes', (run) => {
  const [first, ...others] = listOf('EndpointSlice') as EndpointSlice[];
  const endpoints = first!.endpoints.slice(run % 2);
  lists.set('EndpointSlice', [{ ...first!, endpoints } as EndpointSlice, ...others]);
});
const { name } = listOf('Pod')[0]!.metadata;
measure('one pod, ready and ready no more', (run) => {
  cluster.setReady(name, run % 2 === 1);
  lists.delete('Pod');
});
