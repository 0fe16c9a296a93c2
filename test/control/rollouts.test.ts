/**
 * Random histories: scaling, new templates, deleted and failing pods, lost nodes. Whatever happens, no rollout breaks its
 * limits, and when peace returns everything is as it should be.
 */
import t from 'tap';
import { timestamp } from '../../src/api/age.js';
import { isReady } from '../../src/api/node.js';
import type {
  Condition,
  DaemonSet,
  Deployment,
  Node,
  Pod,
  ReplicaSet,
  StatefulSet,
} from '../../src/api/types.js';
import { limits } from '../../src/control/deployment-sizes.js';
import { FakeCluster } from '../lib/fake-cluster.js';
import { random } from '../lib/random.js';

const SEEDS = 60;
const STEPS = 40;
const NODES = ['node1', 'node2', 'node3'];

const template = (app: string, image: string): Deployment['spec']['template'] => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'c', image }] },
});
const imageOf = (pod: Pod): string => pod.spec.containers[0]!.image!;

/** A cluster with one of each, and the hand of fate. */
class Fate {
  readonly cluster = new FakeCluster(NODES);
  readonly r: ReturnType<typeof random>;

  constructor(seed: number) {
    this.r = random(seed);
    const { r } = this;
    const strategies = [
      { maxSurge: 1, maxUnavailable: 0 },
      { maxSurge: 0, maxUnavailable: 1 },
      { maxSurge: '50%', maxUnavailable: '25%' },
      { maxSurge: 2, maxUnavailable: 2 },
    ];
    this.#create('Deployment', 'web', {
      replicas: 1 + r.int(6),
      minReadySeconds: r.pick([0, 0, 10]),
      strategy: { type: 'RollingUpdate', rollingUpdate: r.pick(strategies) },
      revisionHistoryLimit: r.int(4),
    });
    this.#create('StatefulSet', 'db', {
      replicas: 1 + r.int(4),
      podManagementPolicy: r.pick(['OrderedReady', 'Parallel']),
    });
    const surge = r.int(2);
    this.#create('DaemonSet', 'log', {
      updateStrategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxSurge: surge, maxUnavailable: 1 - surge },
      },
    });
  }

  #create(kind: string, app: string, spec: object): void {
    const object = {
      apiVersion: 'apps/v1',
      kind,
      metadata: { name: app, namespace: 'default' },
      spec: { selector: { matchLabels: { app } }, template: template(app, 'image:1'), ...spec },
    };
    this.cluster.create(object);
  }

  get deployment(): Deployment {
    return this.cluster.get<Deployment>('Deployment', 'web')!;
  }

  podsOf(app: string): Pod[] {
    return this.cluster
      .list<Pod>('Pod')
      .filter(({ metadata }) => metadata.labels?.['app'] === app && !metadata.deletionTimestamp);
  }

  /** Available as a Deployment counts. A pod of a lost node is not, which control may have yet to say. */
  available(): number {
    const { minReadySeconds = 0 } = this.deployment.spec;
    return this.podsOf('web').filter((pod) => {
      const node = this.cluster.get<Node>('Node', pod.spec.nodeName ?? '');
      if (!node || !isReady(node)) return false;
      const since = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
      return isReady(pod) && Date.parse(since!) + minReadySeconds * 1000 <= this.cluster.now;
    }).length;
  }

  /** Something happens to the cluster. */
  strike(): void {
    const { cluster, r } = this;
    const kind = r.pick(['Deployment', 'Deployment', 'StatefulSet', 'DaemonSet']);
    const app = { Deployment: 'web', StatefulSet: 'db', DaemonSet: 'log' }[kind]!;
    const set = (spec: object): void =>
      cluster.change<Deployment>(kind, app, (old) => ({ ...old, spec: { ...old.spec, ...spec } }));
    const pods = cluster.list<Pod>('Pod').filter(({ metadata }) => !metadata.deletionTimestamp);
    switch (r.int(6)) {
      case 0:
        return set({ template: template(app, `image:${1 + r.int(4)}`) });
      case 1:
        return kind === 'DaemonSet' ? undefined : set({ replicas: r.int(7) });
      case 2:
        if (pods.length > 0) cluster.delete('Pod', r.pick(pods).metadata.name);
        return;
      case 3:
        if (pods.length > 0) cluster.setReady(r.pick(pods).metadata.name, false);
        return;
      case 4:
        return this.#say(r.pick(NODES), 'Unknown');
      default:
        cluster.now += r.int(30_000);
    }
  }

  #say(node: string, status: Condition['status']): void {
    const ready: Condition = { type: 'Ready', status, lastTransitionTime: timestamp(this.cluster.now) };
    this.cluster.change<Node>('Node', node, (old) => ({
      ...old,
      status: { ...old.status, conditions: [ready] },
    }));
  }

  heal(): void {
    for (const node of NODES) this.#say(node, 'True');
  }
}

t.test('a rollout never breaks its limits, and everything comes to rest', async (t) => {
  let decisions = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const fate = new Fate(seed);
    const { cluster, r } = fate;
    const complain = (what: string): never => {
      throw new Error(`seed ${seed}: ${what}`);
    };
    cluster.converge();
    for (let step = 0; step < STEPS; step++) {
      if (r.int(3) === 0) fate.strike();
      // Fate may do what no rollout may: what a run of control does is measured from where it began.
      const before = fate.available();
      const were = fate.podsOf('web').length;
      const sizes = cluster.list<ReplicaSet>('ReplicaSet').reduce((sum, { spec }) => sum + spec.replicas!, 0);
      decisions += cluster.decide();
      const { deployment } = fate;
      const { surge, unavailable } = limits(deployment);
      const replicas = deployment.spec.replicas!;
      const pods = fate.podsOf('web').length;
      if (pods > Math.max(replicas + surge, were, sizes)) complain(`${pods} pods for ${replicas} + ${surge}`);
      const least = Math.min(before, replicas - unavailable);
      if (fate.available() < least)
        complain(`${fate.available()} available, ${before} before, at least ${least}`);
      const perNode = fate.podsOf('log').map(({ spec }) => spec.nodeName);
      for (const node of NODES)
        if (perNode.filter((other) => other === node).length > 2) complain(`too many daemons on ${node}`);
      const names = fate.podsOf('db').map(({ metadata }) => metadata.name);
      if (new Set(names).size < names.length) complain('a number twice');
      cluster.stepPods(() => r.int(2) === 0);
    }
    fate.heal();
    cluster.converge(2000);
    const { deployment } = fate;
    const web = fate.podsOf('web');
    const image = deployment.spec.template.spec.containers[0]!.image;
    if (
      web.length !== deployment.spec.replicas ||
      !web.every((pod) => isReady(pod) && imageOf(pod) === image)
    )
      complain(`web: ${web.map(imageOf).join(' ')} instead of ${deployment.spec.replicas} × ${image}`);
    const db = cluster.get<StatefulSet>('StatefulSet', 'db')!;
    const numbers = Array.from({ length: db.spec.replicas! }, (_, i) => `db-${i}`);
    const dbPods = fate.podsOf('db');
    if (
      dbPods
        .map(({ metadata }) => metadata.name)
        .sort()
        .join() !== numbers.join()
    )
      complain(`db: ${dbPods.map(({ metadata }) => metadata.name).join(' ')}`);
    if (dbPods.some((pod) => imageOf(pod) !== db.spec.template.spec.containers[0]!.image))
      complain('db: an old template');
    const log = cluster.get<DaemonSet>('DaemonSet', 'log')!;
    const logPods = fate.podsOf('log');
    if (
      logPods
        .map(({ spec }) => spec.nodeName)
        .sort()
        .join() !== NODES.join()
    )
      complain('log: not on each node');
    if (logPods.some((pod) => imageOf(pod) !== log.spec.template.spec.containers[0]!.image))
      complain('log: an old template');
    const olds = cluster.list<ReplicaSet>('ReplicaSet').length - 1;
    if (olds > deployment.spec.revisionHistoryLimit!) complain(`${olds} old templates`);
    if (deployment.status!.observedGeneration !== deployment.metadata.generation) complain('not observed');
    if (cluster.decide() !== 0) complain('no rest');
  }
  t.ok(decisions > SEEDS * STEPS, `${decisions} decisions in ${SEEDS} histories`);
});
