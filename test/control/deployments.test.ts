import t from 'tap';
import { isReady } from '../../src/api/node.js';
import type { Deployment, Pod, ReplicaSet } from '../../src/api/types.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const deployment = (spec: Partial<Deployment['spec']> = {}, image = 'nginx:1'): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } },
    ...spec,
  },
});
const start = (spec?: Partial<Deployment['spec']>): FakeCluster => {
  const cluster = new FakeCluster(['node1', 'node2']);
  cluster.create(deployment(spec));
  cluster.converge();
  return cluster;
};
const get = (cluster: FakeCluster): Deployment => cluster.get<Deployment>('Deployment', 'web')!;
const update = (cluster: FakeCluster, spec: Partial<Deployment['spec']>): void =>
  cluster.change<Deployment>('Deployment', 'web', (old) => ({ ...old, spec: { ...old.spec, ...spec } }));
const setImage = (cluster: FakeCluster, image: string): void =>
  update(cluster, { template: deployment({}, image).spec.template });
const sets = (cluster: FakeCluster): ReplicaSet[] => cluster.list<ReplicaSet>('ReplicaSet');
const image = (object: Pod | ReplicaSet): string =>
  ('template' in object.spec ? object.spec.template!.spec : (object.spec as Pod['spec'])).containers[0]!
    .image!;
const images = (cluster: FakeCluster): string[] => cluster.list<Pod>('Pod').map(image).sort();
const condition = (cluster: FakeCluster, name: string) =>
  get(cluster).status?.conditions?.find(({ type }) => type === name);

t.test('a Deployment makes a ReplicaSet, and that its pods', async (t) => {
  const cluster = start();
  const [set] = sets(cluster);
  const hash = set!.metadata.labels!['pod-template-hash']!;
  t.match(set, {
    metadata: {
      name: `web-${hash}`,
      annotations: {
        'deployment.kubernetes.io/revision': '1',
        'deployment.kubernetes.io/desired-replicas': '3',
        'deployment.kubernetes.io/max-replicas': '4',
      },
      ownerReferences: [{ kind: 'Deployment', name: 'web', controller: true }],
    },
    spec: { replicas: 3, selector: { matchLabels: { app: 'web', 'pod-template-hash': hash } } },
    status: { replicas: 3, readyReplicas: 3, availableReplicas: 3, fullyLabeledReplicas: 3 },
  });
  const pods = cluster.list<Pod>('Pod');
  t.equal(pods.length, 3);
  for (const pod of pods) {
    t.match(pod.metadata.name, new RegExp(`^web-${hash}-[bcdfghjklmnpqrstvwxz2456789]{5}$`));
    t.equal(pod.metadata.generateName, `web-${hash}-`);
    t.match(pod.metadata.ownerReferences, [{ kind: 'ReplicaSet', name: set!.metadata.name }]);
  }
  const { status, metadata } = get(cluster);
  t.match(status, {
    observedGeneration: metadata.generation,
    replicas: 3,
    updatedReplicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    unavailableReplicas: 0,
  });
  t.match(condition(cluster, 'Available'), { status: 'True', reason: 'MinimumReplicasAvailable' });
  t.match(condition(cluster, 'Progressing'), {
    status: 'True',
    reason: 'NewReplicaSetAvailable',
    message: `ReplicaSet "web-${hash}" has successfully progressed.`,
  });
  t.match(
    cluster.notes.map(({ reason, message }) => `${reason}: ${message}`),
    [
      `ScalingReplicaSet: Scaled up replica set web-${hash} from 0 to 3`,
      ...Array(3).fill(new RegExp(`^SuccessfulCreate: Created pod: web-${hash}-`)),
    ],
  );
});

t.test('a rollout keeps its limits at every moment, and ends with the new template alone', async (t) => {
  for (const [strategy, most, least] of [
    [{ maxSurge: 1, maxUnavailable: 0 }, 4, 3],
    [{ maxSurge: 0, maxUnavailable: 1 }, 3, 2],
    [{ maxSurge: '100%', maxUnavailable: '50%' }, 6, 2],
  ] as const) {
    const cluster = start({ strategy: { type: 'RollingUpdate', rollingUpdate: strategy } });
    setImage(cluster, 'nginx:2');
    for (let round = 0; round < 60; round++) {
      cluster.decide();
      const active = cluster.list<Pod>('Pod').filter((pod) => !pod.metadata.deletionTimestamp);
      if (active.length > most) t.fail(`${active.length} pods of at most ${most}`);
      const ready = active.filter(isReady).length;
      if (ready < least) t.fail(`${ready} ready pods of at least ${least}`);
      // One agent at a time moves one pod.
      let budget = 1;
      cluster.stepPods(() => budget-- > 0);
    }
    cluster.converge();
    t.strictSame(images(cluster), ['nginx:2', 'nginx:2', 'nginx:2'], JSON.stringify(strategy));
    t.strictSame(
      sets(cluster).map((set) => [image(set), set.spec.replicas]),
      [
        ['nginx:1', 0],
        ['nginx:2', 3],
      ],
    );
    t.equal(get(cluster).metadata.annotations?.['deployment.kubernetes.io/revision'], '2');
  }
});

t.test('Recreate ends all old pods before it makes a new one', async (t) => {
  const cluster = start({ strategy: { type: 'Recreate' } });
  setImage(cluster, 'nginx:2');
  for (let round = 0; round < 10; round++) {
    cluster.decide();
    const kinds = new Set(images(cluster));
    t.ok(kinds.size <= 1, `round ${round}: ${[...kinds].join(' and ')}`);
    let budget = 1;
    cluster.stepPods(() => budget-- > 0);
  }
  cluster.converge();
  t.strictSame(images(cluster), ['nginx:2', 'nginx:2', 'nginx:2']);
});

t.test('undo brings the old ReplicaSet back, with the next revision', async (t) => {
  const cluster = start();
  setImage(cluster, 'nginx:2');
  cluster.converge();
  setImage(cluster, 'nginx:1');
  cluster.converge();
  t.strictSame(images(cluster), ['nginx:1', 'nginx:1', 'nginx:1']);
  t.strictSame(
    sets(cluster).map((set) => [
      image(set),
      set.spec.replicas,
      set.metadata.annotations!['deployment.kubernetes.io/revision'],
      set.metadata.annotations!['deployment.kubernetes.io/revision-history'],
    ]),
    [
      ['nginx:1', 3, '3', '1'],
      ['nginx:2', 0, '2', undefined],
    ],
  );
  t.match(condition(cluster, 'Progressing'), { status: 'True', reason: 'NewReplicaSetAvailable' });
});

t.test('no more old templates are kept than revisionHistoryLimit says', async (t) => {
  const cluster = start({ revisionHistoryLimit: 2 });
  for (let i = 2; i <= 6; i++) {
    setImage(cluster, `nginx:${i}`);
    cluster.converge();
  }
  t.strictSame(sets(cluster).map(image), ['nginx:4', 'nginx:5', 'nginx:6']);
});

t.test('a paused Deployment is scaled, and rolls nothing out until it is resumed', async (t) => {
  const cluster = start();
  update(cluster, { paused: true });
  setImage(cluster, 'nginx:2');
  cluster.converge();
  t.strictSame(images(cluster), ['nginx:1', 'nginx:1', 'nginx:1']);
  t.match(condition(cluster, 'Progressing'), { status: 'Unknown', reason: 'DeploymentPaused' });
  update(cluster, { replicas: 5 });
  cluster.converge();
  t.equal(images(cluster).length, 5);
  update(cluster, { paused: false });
  cluster.converge();
  t.strictSame(images(cluster), Array(5).fill('nginx:2'));
});

t.test('scaling in the middle of a rollout is spread in proportion', async (t) => {
  const cluster = start({
    replicas: 10,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
  });
  setImage(cluster, 'nginx:broken');
  // Nothing of the new template ever gets ready.
  for (let round = 0; round < 20; round++) {
    cluster.decide();
    cluster.stepPods((pod) => image(pod) !== 'nginx:broken');
  }
  const sizes = () => Object.fromEntries(sets(cluster).map((set) => [image(set), set.spec.replicas]));
  t.strictSame(sizes(), { 'nginx:1': 8, 'nginx:broken': 5 });
  update(cluster, { replicas: 15 });
  for (let round = 0; round < 20; round++) {
    cluster.decide();
    cluster.stepPods((pod) => image(pod) !== 'nginx:broken');
  }
  // kubernetes.io, Deployments, Proportional scaling: 3 of the 5 go to the old ReplicaSet, 2 to the new.
  t.strictSame(sizes(), { 'nginx:1': 11, 'nginx:broken': 7 });
});

t.test('a rollout that does not get on is called so at its deadline, and says so', async (t) => {
  const cluster = start({ progressDeadlineSeconds: 60 });
  setImage(cluster, 'nginx:broken');
  for (let round = 0; round < 10; round++) {
    cluster.decide();
    cluster.stepPods((pod) => image(pod) !== 'nginx:broken');
  }
  t.match(condition(cluster, 'Progressing'), { status: 'True' });
  t.ok(cluster.again! <= cluster.now + 60_000, 'it wants to look again');
  cluster.now += 61_000;
  cluster.settle();
  t.match(condition(cluster, 'Progressing'), {
    status: 'False',
    reason: 'ProgressDeadlineExceeded',
    message: /timed out progressing/,
  });
  t.match(condition(cluster, 'Available'), { status: 'True' });
});

t.test('a pod counts as available after minReadySeconds', async (t) => {
  const cluster = new FakeCluster(['node1']);
  cluster.create(deployment({ replicas: 2, minReadySeconds: 20 }));
  for (let round = 0; round < 6; round++) {
    cluster.decide();
    cluster.stepPods();
  }
  cluster.settle();
  t.match(get(cluster).status, { readyReplicas: 2, availableReplicas: 0 });
  t.equal(cluster.again, cluster.now + 20_000);
  cluster.now += 20_000;
  cluster.settle();
  t.match(get(cluster).status, { availableReplicas: 2 });
});

t.test('what a Deployment hands down to its ReplicaSet', async (t) => {
  const cluster = start();
  cluster.change<Deployment>('Deployment', 'web', (old) => ({
    ...old,
    metadata: {
      ...old.metadata,
      annotations: {
        ...old.metadata.annotations,
        'kubernetes.io/change-cause': 'because',
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
      },
    },
  }));
  cluster.converge();
  const { annotations } = sets(cluster)[0]!.metadata;
  t.match(annotations, { 'kubernetes.io/change-cause': 'because' });
  t.notOk('kubectl.kubernetes.io/last-applied-configuration' in annotations!);
});

t.test('when all is well, control rests', async (t) => {
  const cluster = start();
  t.equal(cluster.decide(), 0);
  t.equal(cluster.again, undefined);
});
