/**
 * ReplicaSet, StatefulSet, DaemonSet, and what becomes of their pods.
 */
import t from 'tap';
import type {
  ApiObject,
  ControllerRevision,
  DaemonSet,
  Node,
  Pod,
  ReplicaSet,
  StatefulSet,
} from '../../src/api/types.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const workload = <T extends ApiObject>(kind: string, spec: object = {}, image = 'nginx:1'): T =>
  ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } },
      ...spec,
    },
  }) as unknown as T;
const start = (kind: string, spec?: object, nodes = ['node1', 'node2', 'node3']): FakeCluster => {
  const cluster = new FakeCluster(nodes);
  cluster.create(workload(kind, spec));
  return cluster;
};
const pods = (cluster: FakeCluster): Pod[] => cluster.list<Pod>('Pod');
const names = (cluster: FakeCluster): string[] =>
  pods(cluster)
    .map(({ metadata }) => metadata.name)
    .sort();
const images = (cluster: FakeCluster): Record<string, string> =>
  Object.fromEntries(pods(cluster).map(({ metadata, spec }) => [metadata.name, spec.containers[0]!.image!]));
const update = (cluster: FakeCluster, kind: string, spec: object): void =>
  cluster.change<ReplicaSet>(kind, 'web', (old) => ({ ...old, spec: { ...old.spec, ...spec } }));
const bare = (name: string, labels: Record<string, string>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels },
  spec: { containers: [{ name: 'c', image: 'nginx' }] },
});

t.test('a ReplicaSet replaces pods that are deleted or have ended, and never reuses a name', async (t) => {
  const cluster = start('ReplicaSet', { replicas: 3 });
  cluster.converge();
  const before = names(cluster);
  cluster.delete('Pod', before[0]!);
  cluster.setPhase(before[1]!, 'Failed');
  cluster.converge();
  const after = names(cluster);
  t.equal(after.length, 4, 'the failed one stays to be looked at');
  t.notOk(after.includes(before[0]!));
  t.match(cluster.get<ReplicaSet>('ReplicaSet', 'web')!.status, { replicas: 3, readyReplicas: 3 });
});

t.test('a ReplicaSet takes in pods that match, and lets go of those that no longer do', async (t) => {
  const cluster = start('ReplicaSet', { replicas: 2 });
  cluster.create(bare('alone', { app: 'web' }));
  cluster.create(bare('other', { app: 'db' }));
  cluster.converge();
  t.equal(names(cluster).filter((name) => name.startsWith('web-')).length, 1);
  t.match(cluster.get<Pod>('Pod', 'alone')!.metadata.ownerReferences, [{ kind: 'ReplicaSet', name: 'web' }]);
  cluster.change<Pod>('Pod', 'alone', (pod) => ({
    ...pod,
    metadata: { ...pod.metadata, labels: { app: 'x' } },
  }));
  cluster.converge();
  t.equal(cluster.get<Pod>('Pod', 'alone')!.metadata.ownerReferences, undefined);
  t.equal(names(cluster).filter((name) => name.startsWith('web-')).length, 2);
});

t.test('when there are too many, those that do least go first', async (t) => {
  const cluster = start('ReplicaSet', { replicas: 4 });
  cluster.converge();
  const [first, second, third, fourth] = names(cluster);
  cluster.setReady(second!, false);
  cluster.change<Pod>('Pod', third!, (pod) => ({
    ...pod,
    metadata: { ...pod.metadata, annotations: { 'controller.kubernetes.io/pod-deletion-cost': '-5' } },
  }));
  update(cluster, 'ReplicaSet', { replicas: 2 });
  cluster.decide();
  const going = pods(cluster).filter(({ metadata }) => metadata.deletionTimestamp);
  t.strictSame(going.map(({ metadata }) => metadata.name).sort(), [second, third].sort());
  cluster.converge();
  t.strictSame(names(cluster), [first, fourth].sort());
});

t.test('a StatefulSet makes its pods in order, each under its own name', async (t) => {
  const cluster = start('StatefulSet', { replicas: 3, serviceName: 'db' });
  const seen: string[][] = [];
  for (let round = 0; round < 12; round++) {
    cluster.decide();
    seen.push(names(cluster));
    cluster.stepPods();
  }
  t.strictSame(
    [...new Set(seen.map((list) => list.join(' ')))],
    ['web-0', 'web-0 web-1', 'web-0 web-1 web-2'],
    'one waits for the other',
  );
  cluster.converge();
  t.match(cluster.get<Pod>('Pod', 'web-1'), {
    metadata: {
      labels: { 'statefulset.kubernetes.io/pod-name': 'web-1', 'apps.kubernetes.io/pod-index': '1' },
    },
    spec: { hostname: 'web-1', subdomain: 'db' },
  });
  const [revision] = cluster.list<ControllerRevision>('ControllerRevision');
  t.match(cluster.get<StatefulSet>('StatefulSet', 'web')!.status, {
    replicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    currentReplicas: 3,
    updatedReplicas: 3,
    currentRevision: revision!.metadata.name,
    updateRevision: revision!.metadata.name,
  });
  cluster.delete('Pod', 'web-1');
  cluster.converge();
  t.strictSame(names(cluster), ['web-0', 'web-1', 'web-2'], 'a deleted one comes back by its name');
  update(cluster, 'StatefulSet', { replicas: 1 });
  cluster.decide();
  cluster.decide();
  t.strictSame(
    pods(cluster)
      .filter(({ metadata }) => metadata.deletionTimestamp)
      .map(({ metadata }) => metadata.name),
    ['web-2'],
    'the highest goes first, alone',
  );
  cluster.converge();
  t.strictSame(names(cluster), ['web-0']);
});

t.test('a StatefulSet in parallel waits for nobody', async (t) => {
  const cluster = start('StatefulSet', {
    replicas: 3,
    podManagementPolicy: 'Parallel',
    ordinals: { start: 5 },
  });
  cluster.decide();
  t.strictSame(names(cluster), ['web-5', 'web-6', 'web-7']);
});

t.test(
  'a new template reaches the pods of a StatefulSet from the highest down, as far as the partition',
  async (t) => {
    const rolling = (partition: number): object => ({
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition } },
    });
    const cluster = start('StatefulSet', { replicas: 3, ...rolling(2) });
    cluster.converge();
    const template = workload<StatefulSet>('StatefulSet', {}, 'nginx:2').spec.template;
    update(cluster, 'StatefulSet', { template });
    cluster.converge();
    t.strictSame(images(cluster), { 'web-0': 'nginx:1', 'web-1': 'nginx:1', 'web-2': 'nginx:2' });
    const { status } = cluster.get<StatefulSet>('StatefulSet', 'web')!;
    t.match(status, { currentReplicas: 2, updatedReplicas: 1 });
    t.not(status!.currentRevision, status!.updateRevision);
    cluster.delete('Pod', 'web-0');
    cluster.converge();
    t.equal(images(cluster)['web-0'], 'nginx:1', 'below the partition the old template holds');
    update(cluster, 'StatefulSet', rolling(0));
    const order: string[] = [];
    for (let round = 0; round < 30; round++) {
      cluster.decide();
      for (const { metadata } of pods(cluster)) if (metadata.deletionTimestamp) order.push(metadata.name);
      cluster.stepPods();
    }
    t.strictSame(order, ['web-1', 'web-0']);
    t.match(cluster.get<StatefulSet>('StatefulSet', 'web')!.status, {
      currentReplicas: 3,
      currentRevision: status!.updateRevision,
    });
    t.strictSame(
      cluster.list<ControllerRevision>('ControllerRevision').map(({ revision }) => revision),
      [1, 2],
    );
  },
);

t.test('a DaemonSet has one pod on each node that takes it', async (t) => {
  const cluster = start('DaemonSet', {}, ['node1', 'node2']);
  cluster.converge();
  const places = (): string[] =>
    pods(cluster)
      .map(({ spec }) => spec.nodeName!)
      .sort();
  t.strictSame(places(), ['node1', 'node2']);
  cluster.addNode('node3');
  cluster.converge();
  t.strictSame(places(), ['node1', 'node2', 'node3']);
  const taint = { key: 'gpu', value: 'yes', effect: 'NoSchedule' as const };
  cluster.change<Node>('Node', 'node2', (node) => ({ ...node, spec: { ...node.spec, taints: [taint] } }));
  cluster.converge();
  t.strictSame(places(), ['node1', 'node3']);
  cluster.change<Node>('Node', 'node3', (node) => ({ ...node, spec: { ...node.spec, unschedulable: true } }));
  cluster.delete('Pod', pods(cluster).find(({ spec }) => spec.nodeName === 'node3')!.metadata.name);
  cluster.converge();
  t.strictSame(places(), ['node1', 'node3'], 'a cordon is no matter for daemons');
  t.match(cluster.get<DaemonSet>('DaemonSet', 'web')!.status, {
    desiredNumberScheduled: 2,
    currentNumberScheduled: 2,
    numberReady: 2,
    numberAvailable: 2,
    numberMisscheduled: 0,
    updatedNumberScheduled: 2,
  });
});

t.test('a DaemonSet rolls out within its limits', async (t) => {
  for (const [rollingUpdate, least, most] of [
    [{ maxUnavailable: 1, maxSurge: 0 }, 2, 1],
    [{ maxUnavailable: 0, maxSurge: 1 }, 3, 2],
  ] as const) {
    const cluster = start('DaemonSet', { updateStrategy: { type: 'RollingUpdate', rollingUpdate } });
    cluster.converge();
    update(cluster, 'DaemonSet', { template: workload<DaemonSet>('DaemonSet', {}, 'nginx:2').spec.template });
    for (let round = 0; round < 40; round++) {
      cluster.decide();
      const serving = pods(cluster).filter(
        ({ metadata, status }) =>
          !metadata.deletionTimestamp &&
          status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
      );
      const nodes = new Set(serving.map(({ spec }) => spec.nodeName));
      if (nodes.size < least) t.fail(`${nodes.size} nodes are served, at least ${least} should`);
      for (const node of ['node1', 'node2', 'node3']) {
        const count = pods(cluster).filter(
          ({ spec, metadata }) => spec.nodeName === node && !metadata.deletionTimestamp,
        ).length;
        if (count > most) t.fail(`${count} pods on ${node}`);
      }
      let budget = 1;
      cluster.stepPods(() => budget-- > 0);
    }
    cluster.converge();
    t.strictSame(Object.values(images(cluster)), Array(3).fill('nginx:2'), JSON.stringify(rollingUpdate));
  }
});

t.test('a workload whose namespace ends makes nothing new', async (t) => {
  const cluster = start('ReplicaSet', { replicas: 2 });
  cluster.converge();
  cluster.delete('Namespace', 'default');
  cluster.converge();
  t.strictSame([...cluster.list('Pod'), ...cluster.list('ReplicaSet'), ...cluster.list('Namespace')], []);
});
