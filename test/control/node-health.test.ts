import t from 'tap';
import { timestamp } from '../../src/api/age.js';
import { isReady } from '../../src/api/node.js';
import type { Deployment, EndpointSlice, Lease, Node, Pod, Service } from '../../src/api/types.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const renew = (cluster: FakeCluster, node: string): void => {
  const spec = { holderIdentity: node, leaseDurationSeconds: 40, renewTime: timestamp(cluster.now) };
  const metadata = { name: node, namespace: 'kube-node-lease' };
  if (cluster.get('Lease', node, 'kube-node-lease'))
    cluster.change<Lease>('Lease', node, (old) => ({ ...old, spec }), 'kube-node-lease');
  else cluster.create({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec } as Lease);
};
const web: Deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 4,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
  },
};
const service: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
};
const on = (cluster: FakeCluster, node: string): Pod[] =>
  cluster.list<Pod>('Pod').filter(({ spec }) => spec.nodeName === node);
const ready = (cluster: FakeCluster, name: string) =>
  cluster.get<Node>('Node', name)!.status!.conditions!.find(({ type }) => type === 'Ready');
const taints = (cluster: FakeCluster, name: string): string[] =>
  (cluster.get<Node>('Node', name)!.spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`);
const readyEndpoints = (cluster: FakeCluster): number =>
  cluster
    .list<EndpointSlice>('EndpointSlice')
    .flatMap(({ endpoints }) => endpoints)
    .filter(({ conditions }) => conditions?.ready).length;

t.test(
  'a node whose Lease runs out is lost, and its pods leave the endpoints, and then the node',
  async (t) => {
    const cluster = new FakeCluster(['node1', 'node2']);
    renew(cluster, 'node1');
    renew(cluster, 'node2');
    cluster.create(service);
    cluster.create(web);
    for (let round = 0; round < 10; round++) {
      cluster.decide();
      cluster.stepPods();
    }
    t.equal(readyEndpoints(cluster), 4);
    t.equal(cluster.again, cluster.now + 40_000);
    cluster.now += 30_000;
    renew(cluster, 'node1');
    cluster.now += 10_000;
    cluster.settle();
    t.match(ready(cluster, 'node2'), { status: 'Unknown', reason: 'NodeStatusUnknown' });
    t.strictSame(taints(cluster, 'node2'), [
      'node.kubernetes.io/unreachable:NoSchedule',
      'node.kubernetes.io/unreachable:NoExecute',
    ]);
    t.strictSame(taints(cluster, 'node1'), []);
    t.equal(readyEndpoints(cluster), 2);
    t.equal(on(cluster, 'node2').filter(isReady).length, 0);
    t.match(cluster.get<Deployment>('Deployment', 'web')!.status, { readyReplicas: 2, replicas: 4 });
    // Five minutes they may come back.
    cluster.now += 299_000;
    renew(cluster, 'node1');
    cluster.settle();
    t.equal(on(cluster, 'node2').filter(({ metadata }) => metadata.deletionTimestamp).length, 0);
    cluster.now += 1_000;
    cluster.settle();
    t.equal(on(cluster, 'node2').filter(({ metadata }) => metadata.deletionTimestamp).length, 2);
    for (let round = 0; round < 10; round++) {
      cluster.decide();
      cluster.stepPods();
    }
    t.equal(on(cluster, 'node1').filter(isReady).length, 4, 'others take their place');
    t.equal(readyEndpoints(cluster), 4);
  },
);

t.test('a node that comes back in time keeps its pods', async (t) => {
  const cluster = new FakeCluster(['node1']);
  renew(cluster, 'node1');
  cluster.create(web);
  for (let round = 0; round < 10; round++) {
    cluster.decide();
    cluster.stepPods();
  }
  const names = on(cluster, 'node1').map(({ metadata }) => metadata.name);
  cluster.now += 60_000;
  cluster.settle();
  renew(cluster, 'node1');
  cluster.change<Node>('Node', 'node1', (node) => ({
    ...node,
    status: { ...node.status, conditions: [{ type: 'Ready', status: 'True' }] },
  }));
  for (let round = 0; round < 10; round++) {
    cluster.decide();
    cluster.stepPods();
  }
  t.strictSame(taints(cluster, 'node1'), []);
  t.strictSame(
    on(cluster, 'node1').map(({ metadata }) => metadata.name),
    names,
  );
  t.ok(on(cluster, 'node1').every(isReady));
});

t.test(
  'a node that never had a Lease stays as it is, and an agent that starts drives nobody away',
  async (t) => {
    const cluster = new FakeCluster(['node1']);
    cluster.now += 86_400_000;
    cluster.settle();
    t.match(ready(cluster, 'node1'), { status: 'True' });
    const say = (status: 'True' | 'False', reason: string): void =>
      cluster.change<Node>('Node', 'node1', (node) => ({
        ...node,
        status: { ...node.status, conditions: [{ type: 'Ready', status, reason }] },
      }));
    say('False', 'AgentStarting');
    cluster.settle();
    t.strictSame(taints(cluster, 'node1'), []);
    say('False', 'AgentStopped');
    cluster.settle();
    t.strictSame(taints(cluster, 'node1'), [
      'node.kubernetes.io/not-ready:NoSchedule',
      'node.kubernetes.io/not-ready:NoExecute',
    ]);
  },
);

t.test('a cordon is a taint; pods without a toleration for NoExecute go at once', async (t) => {
  const cluster = new FakeCluster(['node1']);
  const pod = (name: string, tolerations: Pod['spec']['tolerations']): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'nginx' }], tolerations },
  });
  cluster.create(pod('stays', [{ key: 'fire', operator: 'Exists' }]));
  cluster.create(pod('waits', [{ key: 'fire', operator: 'Exists', tolerationSeconds: 60 }]));
  cluster.create(pod('leaves', []));
  cluster.converge();
  cluster.change<Node>('Node', 'node1', (node) => ({
    ...node,
    spec: { ...node.spec, unschedulable: true, taints: [{ key: 'fire', effect: 'NoExecute' }] },
  }));
  cluster.settle();
  t.strictSame(taints(cluster, 'node1'), ['fire:NoExecute', 'node.kubernetes.io/unschedulable:NoSchedule']);
  t.strictSame(
    on(cluster, 'node1')
      .filter(({ metadata }) => metadata.deletionTimestamp)
      .map(({ metadata }) => metadata.name),
    ['leaves'],
  );
  t.match(cluster.notes.at(-1), { reason: 'TaintManagerEviction' });
  cluster.stepPods();
  cluster.now += 60_000;
  cluster.settle();
  t.strictSame(
    on(cluster, 'node1').map(({ metadata }) => [metadata.name, metadata.deletionTimestamp !== undefined]),
    [
      ['stays', false],
      ['waits', true],
    ],
  );
});
