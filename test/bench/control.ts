/**
 * What a run of control costs: `node dist/test/bench/control.js [--pods N]`. A cluster of Deployments of 50 pods at rest, and
 * the same with one pod that is ready no longer. Medians of 101 runs, in this process, without a store.
 */
import { parseArgs } from 'node:util';
import { LAB } from '../../src/api/kinds.js';
import type { ApiObject, Lab, Pod } from '../../src/api/types.js';
import { decide } from '../../src/control/reconcile.js';
import { ControlMemo } from '../../src/control/memo.js';
import { controlView } from '../../src/control/view.js';
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
}
cluster.converge();

const lab: Lab = { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'bench' } };
const memo = new ControlMemo();

function measure(what: string): void {
  const view = controlView(lab, (kind) => (kind === LAB ? [] : cluster.list(kind.kind)));
  const times: number[] = [];
  let changes = 0;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    changes = decide(view, cluster.now, 1, undefined, memo).changes.length;
    times.push(performance.now() - start);
  }
  const median = times.sort((a, b) => a - b)[RUNS >> 1]!;
  process.stdout.write(`${what.padEnd(28)} ${median.toFixed(2).padStart(8)} ms  ${changes} changes\n`);
}

measure(`${count} pods at rest`);
cluster.setReady(cluster.list<Pod>('Pod')[0]!.metadata.name, false);
measure('one is ready no longer');
