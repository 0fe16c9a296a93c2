import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { nodeObject } from '../../../src/agent/node-object.js';
import { createServerSource } from '../../../src/agent/source/server.js';
import { CONFIG_MAP, EVENT, LEASE, NODE, POD } from '../../../src/api/kinds.js';
import { isReady } from '../../../src/api/node.js';
import type {
  ApiObject,
  ClusterView,
  ConfigMap,
  Event,
  Pod,
  Secret,
  Service,
} from '../../../src/api/types.js';
import { createClient } from '../../../src/client/client.js';
import { createServer } from '../../../src/server/server.js';
import { testName } from '../../lib/netns.js';

const log = pino({ level: 'silent' });

/** Look until there is an answer. */
const until = async <T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> => {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** A server, a client of it, and a source that keeps its newest view. */
const makeCluster = (t: Test) => {
  const dir = mkdtempSync(join(tmpdir(), testName('')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const socketPath = join(dir, 'server.sock');
  const startServer = () => createServer({ data: join(dir, 'store'), socketPath, log });
  const client = createClient({ socketPath });
  t.teardown(() => client.close());
  let view: ClusterView | undefined;
  const makeSource = () => {
    const source = createServerSource({
      client: createClient({ socketPath }),
      name: 'server',
      node: 'node1',
      lab: 'demo',
      log,
    });
    t.teardown(() => source.close());
    return source;
  };
  return {
    startServer,
    client,
    makeSource,
    changed: (next: ClusterView) => void (view = next),
    view: () => view,
  };
};

const NODE_FACTS = { name: 'node1', address: '192.0.2.1', vni: 1, now: '2026-01-01T00:00:00Z' };
const pod = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'nginx' }] },
});

t.test('a node that reports itself gets a pod CIDR, and its pods get addresses', async (t) => {
  const cluster = makeCluster(t);
  const server = await cluster.startServer();
  t.teardown(() => server.close());
  const source = cluster.makeSource();
  await source.start(cluster.changed);
  t.match(cluster.view()?.lab.metadata.name, 'demo');
  source.reportNode(nodeObject({ ...NODE_FACTS, notReady: { reason: 'AgentStarting', message: 'soon' } }));
  const podCidr = await until(() => cluster.view()?.nodes[0]?.spec?.podCIDR);
  t.equal(podCidr, '10.244.1.0/24');
  source.reportNode(nodeObject({ ...NODE_FACTS, podCidr }));
  const node = await until(async () => {
    const found = await cluster.client.get(NODE, 'node1');
    return found && isReady(found) ? found : undefined;
  });
  t.match(node, {
    metadata: {
      annotations: { 'flannel.alpha.coreos.com/backend-data': '{"VNI":1,"VtepMAC":"0e:58:0a:f4:01:00"}' },
    },
    spec: { podCIDR: '10.244.1.0/24' },
    status: {
      addresses: [
        { type: 'InternalIP', address: '192.0.2.1' },
        { type: 'Hostname', address: 'node1' },
      ],
    },
  });
  await cluster.client.create(pod('a'));
  const placed = await until(() => cluster.view()?.pods.find((one) => one.status?.podIP));
  t.match(placed, { spec: { nodeName: 'node1' }, status: { podIP: '10.244.1.2' } });
});

t.test('Services and their slices reach the view', async (t) => {
  const cluster = makeCluster(t);
  const server = await cluster.startServer();
  t.teardown(() => server.close());
  const source = cluster.makeSource();
  await source.start(cluster.changed);
  source.reportNode(nodeObject(NODE_FACTS));
  await cluster.client.create({ ...pod('a'), metadata: { ...pod('a').metadata, labels: { app: 'web' } } });
  await cluster.client.create<Service>({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
  });
  const slice = await until(() =>
    cluster
      .view()
      ?.endpointSlices.find(({ metadata, endpoints }) => metadata.name.startsWith('web') && endpoints.length),
  );
  t.match(slice.endpoints, [{ addresses: ['10.244.1.2'], nodeName: 'node1' }]);
  // Each kind comes by a watch of its own.
  const names = await until(() => {
    const found = cluster.view()!.services.map(({ metadata }) => metadata.name);
    return found.length >= 3 ? found : undefined;
  });
  t.strictSame(names.sort(), ['kube-dns', 'kubernetes', 'web']);
});

t.test(
  'ConfigMaps and Secrets that our pods name reach the view, before the pods, and no others',
  async (t) => {
    const cluster = makeCluster(t);
    const server = await cluster.startServer();
    t.teardown(() => server.close());
    const source = cluster.makeSource();
    const early: string[] = [];
    await source.start((view) => {
      cluster.changed(view);
      const found = view.pods.some((one) => one.metadata.name === 'a' && one.spec.nodeName === 'node1');
      if (found && !(view.configMaps?.some(named('x')) && view.secrets?.some(named('x')))) early.push('a');
    });
    const named =
      (name: string) =>
      ({ metadata }: ApiObject): boolean =>
        metadata.name === name;
    const make = async (name: string, v: string): Promise<void> => {
      const metadata = { name, namespace: 'default' };
      await cluster.client.create<ConfigMap>({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata,
        data: { k: v },
      });
      await cluster.client.create<Secret>({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata,
        stringData: { k: v },
      });
    };
    await make('x', 'v');
    await make('other', 'v');
    const using = (name: string, nodeName: string, ...objects: string[]): Pod => ({
      ...pod(name),
      spec: {
        nodeName,
        containers: [
          {
            name: 'main',
            image: 'nginx',
            envFrom: objects.flatMap((one) => [
              { configMapRef: { name: one } },
              { secretRef: { name: one } },
            ]),
          },
        ],
      },
    });
    await cluster.client.create(using('theirs', 'node2', 'other'));
    await cluster.client.create(using('a', 'node1', 'x', 'yet-to-come', 'no_name'));
    const view = await until(() => (cluster.view()?.pods.some(named('a')) ? cluster.view() : undefined));
    t.match(view.configMaps?.filter(named('x')), [{ data: { k: 'v' } }]);
    t.match(view.secrets?.filter(named('x')), [{ data: { k: 'dg==' } }]);
    t.strictSame(early, [], 'no pod came before what it names');
    t.ok(view.pods.some(named('theirs')), 'pods of other nodes are seen');
    t.notOk(
      [...(view.configMaps ?? []), ...(view.secrets ?? [])].some(named('other')),
      'what they name is not',
    );

    await make('yet-to-come', 'late');
    await until(() => cluster.view()?.secrets?.find(named('yet-to-come')));
    await cluster.client.patch(CONFIG_MAP, 'x', 'default', { data: { k: 'w' } });
    await until(
      () =>
        cluster.view()?.configMaps?.some((one) => named('x')(one) && one.data?.['k'] === 'w') || undefined,
    );
    await cluster.client.remove(POD, 'a', 'default', { gracePeriodSeconds: 0 });
    await until(() => cluster.view()?.secrets?.length === 0 || undefined);
    t.same(source.problems(), []);
  },
);

t.test('events and the lease reach the server', async (t) => {
  const cluster = makeCluster(t);
  const server = await cluster.startServer();
  t.teardown(() => server.close());
  const source = cluster.makeSource();
  await source.start(cluster.changed);
  const event = (count: number): Event => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'web.1', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'web', namespace: 'default' },
    reason: 'BackOff',
    count,
  });
  source.reportEvent({ ...event(1), metadata: { name: 'web.2', namespace: 'not-there' } });
  for (const count of [1, 2, 3]) source.reportEvent(event(count));
  await until(async () => (await cluster.client.get(EVENT, 'web.1', 'default'))?.count === 3 || undefined);

  source.reportLease('node1');
  const lease = await until(() => cluster.client.get(LEASE, 'node1', 'kube-node-lease'));
  t.match(lease.spec, { holderIdentity: 'node1', leaseDurationSeconds: 40 });
  t.match(lease.spec?.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  source.reportLease('node1');
  await until(async () => {
    const next = await cluster.client.get(LEASE, 'node1', 'kube-node-lease');
    return next?.metadata.resourceVersion !== lease.metadata.resourceVersion || undefined;
  });
  t.same(source.problems(), []);
});

t.test("a pod's status arrives beside what others wrote there, its end takes it away", async (t) => {
  const cluster = makeCluster(t);
  const server = await cluster.startServer();
  t.teardown(() => server.close());
  const source = cluster.makeSource();
  await source.start(cluster.changed);
  source.reportNode(nodeObject(NODE_FACTS));
  await cluster.client.create(pod('a'));
  const placed = await until(() => cluster.view()?.pods.find((one) => one.status?.podIP));
  source.reportPod(placed, { phase: 'Pending' });
  source.reportPod(placed, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
  const running = await until(async () => {
    const found = await cluster.client.get(POD, 'a', 'default');
    return found?.status?.phase === 'Running' ? found : undefined;
  });
  t.match(running.status, { podIP: '10.244.1.2', conditions: [{ type: 'Ready', status: 'True' }] });

  source.reportPod({ ...placed, metadata: { ...placed.metadata, uid: 'of-another' } }, { phase: 'Failed' });
  source.podRemoved({ ...placed, metadata: { ...placed.metadata, uid: 'of-another' } });
  await cluster.client.remove(POD, 'a', 'default');
  const leaving = await until(() => cluster.view()?.pods.find((one) => one.metadata.deletionTimestamp));
  t.equal(leaving.status?.phase, 'Running', 'what was said of another of that name does not count');
  source.podRemoved(leaving);
  await until(() => cluster.view()?.pods.length === 0 || undefined);
  t.same(source.problems(), []);
});

t.test('a server that is away is waited for; what is known stays, and reports arrive later', async (t) => {
  const cluster = makeCluster(t);
  const source = cluster.makeSource();
  const started = source.start(cluster.changed);
  await until(() => source.problems()[0]);
  t.match(source.problems(), [/Cannot reach the server at/]);
  const server = await cluster.startServer();
  await started;
  await until(() => source.problems().length === 0 || undefined);
  source.reportNode(nodeObject({ ...NODE_FACTS, notReady: { reason: 'AgentStarting', message: 'soon' } }));
  await until(() => cluster.view()?.nodes[0]?.spec?.podCIDR);

  await server.close();
  await until(() => source.problems()[0]);
  t.equal(cluster.view()?.nodes.length, 1);
  source.reportNode(nodeObject(NODE_FACTS));
  await until(() => source.problems().find((problem) => problem.startsWith('A report waits')));
  const again = await cluster.startServer();
  t.teardown(() => again.close());
  await until(() => cluster.view()?.nodes.some(isReady) || undefined);
  await until(() => source.problems().length === 0 || undefined);
  t.equal(cluster.view()?.nodes.length, 1);
});
