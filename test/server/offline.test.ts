/**
 * The same history, once on the real store with its control loop, once offline with changes applied to a view: controllers
 * come to the same. Names and times differ, for they depend on the store's revision and the clock.
 */
import t from 'tap';
import { mergePatch } from '../../src/api/json.js';
import { AGENT_ANNOTATION } from '../../src/api/types.js';
import type {
  ApiObject,
  Condition,
  ControllerRevision,
  DaemonSet,
  Deployment,
  Event,
  Pod,
  ReplicaSet,
  StatefulSet,
} from '../../src/api/types.js';
import { FakeCluster } from '../lib/fake-cluster.js';
import { startServer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const PATHS: Record<string, string> = {
  Pod: '/api/v1/namespaces/default/pods',
  Deployment: '/apis/apps/v1/namespaces/default/deployments',
  ReplicaSet: '/apis/apps/v1/namespaces/default/replicasets',
  StatefulSet: '/apis/apps/v1/namespaces/default/statefulsets',
  DaemonSet: '/apis/apps/v1/namespaces/default/daemonsets',
  ControllerRevision: '/apis/apps/v1/namespaces/default/controllerrevisions',
};

/** What a history is made of. */
interface World {
  create(object: ApiObject): Promise<void>;
  /** Merge into an object's spec. */
  patch(kind: string, name: string, spec: object): Promise<void>;
  delete(kind: string, name: string): Promise<void>;
  list(kind: string): Promise<ApiObject[]>;
}

const workload = (kind: string, name: string, spec: object = {}): ApiObject =>
  ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'c', image: 'image:1' }] },
      },
      ...spec,
    },
  }) as ApiObject;
const image = (number: number): object => ({
  template: { spec: { containers: [{ name: 'c', image: `image:${number}` }] } },
});

const HISTORY: readonly [what: string, step: (world: World) => Promise<void>][] = [
  [
    'workloads are made',
    async (world) => {
      await world.create(workload('Deployment', 'web', { replicas: 4 }));
      await world.create(workload('StatefulSet', 'db', { replicas: 3, serviceName: 'db' }));
      await world.create(workload('DaemonSet', 'log'));
    },
  ],
  ['a new template', (world) => world.patch('Deployment', 'web', image(2))],
  ['more of them', (world) => world.patch('Deployment', 'web', { replicas: 6 })],
  ['back to the old template', (world) => world.patch('Deployment', 'web', image(1))],
  ['paused, with a third', (world) => world.patch('Deployment', 'web', { paused: true, ...image(3) })],
  ['fewer while paused', (world) => world.patch('Deployment', 'web', { replicas: 2 })],
  ['resumed', (world) => world.patch('Deployment', 'web', { paused: false })],
  [
    'a StatefulSet as far as its partition',
    (world) =>
      world.patch('StatefulSet', 'db', { ...image(2), updateStrategy: { rollingUpdate: { partition: 1 } } }),
  ],
  ['and shorter', (world) => world.patch('StatefulSet', 'db', { replicas: 2 })],
  ['daemons renewed', (world) => world.patch('DaemonSet', 'log', image(2))],
  ['a numbered pod deleted', (world) => world.delete('Pod', 'db-0')],
  ['a Deployment gone', (world) => world.delete('Deployment', 'web')],
];

/** All that shall be equal, as text: one line an object. */
async function snapshot(world: World): Promise<string[]> {
  const lines: string[] = [];
  const say = (...words: unknown[]): void =>
    void lines.push(words.map((word) => JSON.stringify(word)).join(' '));
  const conditions = (list: readonly Condition[] = []): string[] =>
    list.map(({ type, status, reason }) => `${type} ${status} ${reason}`);
  const imageOf = (of: { spec: Pod['spec'] }): string | undefined => of.spec.containers[0]!.image;
  for (const { metadata, spec, status } of (await world.list('Deployment')) as Deployment[]) {
    const { conditions: said, ...counts } = status ?? {};
    say(
      'Deployment',
      metadata.name,
      metadata.generation,
      metadata.annotations,
      imageOf(spec.template),
      sorted(counts),
      conditions(said),
    );
  }
  for (const { metadata, spec, status } of (await world.list('ReplicaSet')) as ReplicaSet[]) {
    // In how many steps a rollout went depends on how fast the agents were.
    const { observedGeneration, ...counts } = status ?? {};
    const isObserved = observedGeneration === metadata.generation;
    say('ReplicaSet', metadata.name, metadata.annotations, spec.replicas, sorted(counts), isObserved);
  }
  for (const { metadata, status } of (await world.list('StatefulSet')) as StatefulSet[])
    say('StatefulSet', metadata.name, metadata.generation, sorted(status ?? {}));
  for (const { metadata, status } of (await world.list('DaemonSet')) as DaemonSet[])
    say('DaemonSet', metadata.name, metadata.generation, sorted(status ?? {}));
  for (const { metadata, revision } of (await world.list('ControllerRevision')) as ControllerRevision[])
    say('ControllerRevision', metadata.name, revision);
  for (const pod of (await world.list('Pod')) as Pod[]) {
    const { metadata, spec, status } = pod;
    const name = metadata.generateName ?? metadata.name;
    const node = metadata.labels?.['app'] === 'log' ? spec.nodeName : spec.nodeName !== undefined;
    say('Pod', name, imageOf(pod), node, status?.phase, metadata.deletionTimestamp !== undefined);
  }
  return lines.sort();
}

const sorted = (counts: object): unknown => Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));

class Online implements World {
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
  }

  async #must(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<ApiObject> {
    const { code, body: answer } = await this.#server.call(method, path, body, headers);
    if (code >= 300) throw new Error(`${method} ${path}: ${code} ${JSON.stringify(answer)}`);
    return answer as ApiObject;
  }

  async create(object: ApiObject): Promise<void> {
    await this.#must('POST', PATHS[object.kind]!, object);
  }

  async patch(kind: string, name: string, spec: object): Promise<void> {
    const type = { 'content-type': 'application/merge-patch+json' };
    await this.#must('PATCH', `${PATHS[kind]}/${name}`, { spec }, type);
  }

  async delete(kind: string, name: string): Promise<void> {
    await this.#must('DELETE', `${PATHS[kind]}/${name}`);
  }

  async list(kind: string): Promise<ApiObject[]> {
    return (await this.#server.call('GET', PATHS[kind]!)).body.items as ApiObject[];
  }

  /** Play the agents once. */
  async stepPods(): Promise<void> {
    const { call } = this.#server;
    const type = { 'content-type': 'application/merge-patch+json' };
    for (const { metadata, status } of (await this.list('Pod')) as Pod[]) {
      const path = `${PATHS['Pod']}/${metadata.name}`;
      if (metadata.deletionTimestamp) await call('DELETE', path, { gracePeriodSeconds: 0 });
      else if (status?.podIP && status.phase === 'Pending') {
        const ready = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };
        await call('PATCH', `${path}/status`, { status: { phase: 'Running', conditions: [ready] } }, type);
      }
    }
  }

  async reasons(): Promise<string[]> {
    const { items } = (await this.#server.call('GET', '/api/v1/namespaces/default/events')).body;
    return [
      ...new Set((items as Event[]).map(({ reason, involvedObject }) => `${involvedObject.kind} ${reason}`)),
    ].sort();
  }
}

class Offline implements World {
  readonly cluster = new FakeCluster();

  async create(object: ApiObject): Promise<void> {
    this.cluster.create(object);
  }

  async patch(kind: string, name: string, spec: object): Promise<void> {
    this.cluster.change(kind, name, (old) => mergePatch(old, { spec }) as ApiObject);
  }

  async delete(kind: string, name: string): Promise<void> {
    this.cluster.delete(kind, name);
  }

  async list(kind: string): Promise<ApiObject[]> {
    return this.cluster.list(kind);
  }
}

t.test('controllers on the store and offline come to the same', async (t) => {
  const server = await startServer(t);
  const online = new Online(server);
  const offline = new Offline();
  for (const name of ['node1', 'node2']) {
    const annotations = { [AGENT_ANNOTATION]: '1' };
    await server.call('POST', '/api/v1/nodes', { metadata: { name, annotations } });
    offline.cluster.addNode(name, { annotations });
  }
  for (const [what, step] of HISTORY) {
    await step(offline);
    offline.cluster.converge();
    const wanted = await snapshot(offline);
    await step(online);
    let got: string[] = [];
    await until(`online is where offline is: ${what}`, async () => {
      await online.stepPods();
      got = await snapshot(online);
      return got.join('\n') === wanted.join('\n');
    }).catch(() => {});
    t.strictSame(got, wanted, what);
  }
  const told = offline.cluster.notes.map(({ reason, about }) => `${about.kind} ${reason}`);
  const reasons = [...new Set(told)].sort();
  // Events are written behind what they tell of.
  await until('all is told', async () => (await online.reasons()).join() === reasons.join()).catch(() => {});
  t.strictSame(await online.reasons(), reasons, 'and tell the same');
});
