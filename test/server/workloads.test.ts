/**
 * Controllers on the real store: what kubectl would see of them.
 */
import t from 'tap';
import type { Event, Pod } from '../../src/api/types.js';
import { AGENT_ANNOTATION } from '../../src/api/types.js';
import { startServer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const PODS = '/api/v1/namespaces/default/pods';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const SETS = '/apis/apps/v1/namespaces/default/replicasets';
const EVENTS = '/api/v1/namespaces/default/events';

const deployment = (replicas: number, image = 'nginx:1') => ({
  metadata: { name: 'web' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } },
  },
});

/** Play the agents: pods that are placed get ready, those that shall end are gone. */
async function stepPods({ call }: TestServer): Promise<void> {
  for (const pod of (await call('GET', PODS)).body.items as Pod[]) {
    const path = `${PODS}/${pod.metadata.name}`;
    if (pod.metadata.deletionTimestamp) await call('DELETE', path, { gracePeriodSeconds: 0 });
    else if (pod.status?.podIP && pod.status.phase === 'Pending')
      await call(
        'PATCH',
        `${path}/status`,
        {
          status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
        },
        { 'content-type': 'application/merge-patch+json' },
      );
  }
}

async function startCluster(t: Parameters<typeof startServer>[0]): Promise<TestServer> {
  const server = await startServer(t);
  for (const name of ['node1', 'node2'])
    await server.call('POST', '/api/v1/nodes', {
      metadata: { name, annotations: { [AGENT_ANNOTATION]: '1' } },
    });
  return server;
}

const eventually = (server: TestServer, what: string, look: () => Promise<boolean>): Promise<unknown> =>
  until(what, async () => {
    await stepPods(server);
    return look();
  });

t.test('a Deployment runs, rolls out, and takes everything along when it goes', async (t) => {
  const server = await startCluster(t);
  const { call } = server;
  const created = await call('POST', DEPLOYMENTS, deployment(3));
  t.equal(created.code, 201);
  t.notOk(created.headers['warning'], 'it has an effect');
  const status = async () => (await call('GET', `${DEPLOYMENTS}/web`)).body.status ?? {};
  await eventually(server, 'three pods are available', async () => (await status()).availableReplicas === 3);
  await call('PUT', `${DEPLOYMENTS}/web`, { ...deployment(3, 'nginx:2') });
  await eventually(server, 'the new template is everywhere', async () => {
    const { observedGeneration, updatedReplicas, replicas, availableReplicas } = await status();
    return observedGeneration === 2 && updatedReplicas === 3 && replicas === 3 && availableReplicas === 3;
  });
  t.equal((await call('GET', SETS)).body.items.length, 2);
  t.equal(
    (await call('GET', `${DEPLOYMENTS}/web`)).body.metadata.annotations['deployment.kubernetes.io/revision'],
    '2',
  );
  await call('DELETE', `${DEPLOYMENTS}/web`);
  await eventually(server, 'all is gone', async () => {
    const counts = await Promise.all(
      [SETS, PODS].map(async (path) => (await call('GET', path)).body.items.length),
    );
    return counts.every((count) => count === 0);
  });
});

t.test('what happens is told as events, and what happens again counts up', async (t) => {
  const server = await startCluster(t);
  const { call } = server;
  await call('POST', DEPLOYMENTS, deployment(1));
  const events = async (): Promise<Event[]> => (await call('GET', EVENTS)).body.items;
  const told = ['Scheduled', 'ScalingReplicaSet', 'SuccessfulCreate'];
  await eventually(server, 'the pod is placed, and all is told', async () => {
    const reasons = (await events()).map(({ reason }) => reason);
    return told.every((reason) => reasons.includes(reason));
  });
  const reasons = (await events()).map(({ reason, involvedObject }) => `${involvedObject.kind} ${reason}`);
  t.strictSame(reasons.sort(), [
    'Deployment ScalingReplicaSet',
    'Pod Scheduled',
    'ReplicaSet SuccessfulCreate',
  ]);
  const scaled = (await events()).find(({ reason }) => reason === 'ScalingReplicaSet')!;
  t.match(scaled, {
    type: 'Normal',
    message: /^Scaled up replica set web-\w+ from 0 to 1$/,
    involvedObject: { kind: 'Deployment', name: 'web', apiVersion: 'apps/v1' },
    source: { component: 'deployment-controller' },
    count: 1,
  });
  const merge = { 'content-type': 'application/merge-patch+json' };
  const scale = (replicas: number) => call('PATCH', `${DEPLOYMENTS}/web`, { spec: { replicas } }, merge);
  const pods = async (): Promise<number> => (await call('GET', PODS)).body.items.length;
  for (const replicas of [0, 1, 0, 1]) {
    await scale(replicas);
    await eventually(server, `${replicas} pods are there`, async () => (await pods()) === replicas);
  }
  await until('the event counts', async () =>
    (await events()).some(
      ({ reason, message, count }) =>
        reason === 'ScalingReplicaSet' && message === scaled.message && count === 3,
    ),
  );
});

t.test('a pod that no node takes says why', async (t) => {
  const server = await startCluster(t);
  const { call } = server;
  await call('POST', PODS, {
    metadata: { name: 'gpu' },
    spec: { nodeSelector: { gpu: 'yes' }, containers: [{ name: 'c', image: 'nginx' }] },
  });
  const message = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
  await until('there is an event', async () =>
    ((await call('GET', EVENTS)).body.items as Event[]).some(
      (event) => event.reason === 'FailedScheduling' && event.message === message && event.type === 'Warning',
    ),
  );
});

t.test('deleting with orphans leaves the pods', async (t) => {
  const server = await startCluster(t);
  const { call } = server;
  await call('POST', SETS, deployment(2));
  await eventually(
    server,
    'two pods are there',
    async () => (await call('GET', PODS)).body.items.length === 2,
  );
  // What a DELETE with propagationPolicy Orphan begins with.
  const merge = { 'content-type': 'application/merge-patch+json' };
  await call('PATCH', `${SETS}/web`, { metadata: { finalizers: ['orphan'] } }, merge);
  await call('DELETE', `${SETS}/web`);
  await until('the set is gone', async () => (await call('GET', `${SETS}/web`)).code === 404);
  const { items } = (await call('GET', PODS)).body;
  t.equal(items.length, 2);
  t.ok(items.every((pod: Pod) => pod.metadata.ownerReferences === undefined));
});
