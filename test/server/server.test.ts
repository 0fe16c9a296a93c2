import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { CONFIG_MAP, KINDS, LAB, NAMESPACE, NODE, POD } from '../../src/api/kinds.js';
import type { Node, Pod } from '../../src/api/types.js';
import { AGENT_ANNOTATION, FLANNEL_BACKEND_DATA } from '../../src/api/types.js';
import { createClient } from '../../src/client/client.js';
import { createServer } from '../../src/server/server.js';
import { createUids } from '../../src/server/registry/uid.js';
import { startServer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const pod = (
  name: string,
  spec: Partial<Pod['spec']> = {},
  metadata: Partial<Pod['metadata']> = {},
): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
});
const node = (name: string, spec: Node['spec'] = {}, annotations?: Record<string, string>): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, annotations },
  spec,
});
const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
const PODS = '/api/v1/namespaces/default/pods';
const MAPS = '/api/v1/namespaces/default/configmaps';

const placed = ({ client }: TestServer, name: string, ns = 'default'): Promise<Pod> =>
  until(`pod ${name} has an address`, async () => {
    const found = await client.get(POD, name, ns);
    return found?.status?.podIP ? found : undefined;
  });

t.test('the socket is for its owner alone, and a dead one is taken away', async (t) => {
  const server = await startServer(t);
  t.equal(statSync(server.socketPath).mode & 0o777, 0o600);
  const log = pino({ level: 'silent' });
  const second = { data: `${server.socketPath}.data`, socketPath: server.socketPath, log };
  await t.rejects(createServer(second), { message: /another server answers there/ });
  await server.restart();
  writeFileSync(`${server.socketPath}.file`, '');
  await t.rejects(createServer({ ...second, socketPath: `${server.socketPath}.file` }), {
    message: /no socket/,
  });
});

t.test('discovery comes from the rows', async (t) => {
  const { call } = await startServer(t);
  t.equal((await call('GET', '/healthz')).body, 'ok');
  t.strictSame((await call('GET', '/api')).body.versions, ['v1']);
  const groups = (await call('GET', '/apis')).body.groups.map(({ name }: { name: string }) => name);
  t.strictSame(groups, [
    ...[...new Set(KINDS.map(({ group }) => group))].slice(1),
    'authorization.k8s.io',
    'authentication.k8s.io',
  ]);
  t.match((await call('GET', '/apis/podwire.dev')).body, { preferredVersion: { version: 'v1alpha1' } });
  const { resources } = (await call('GET', '/api/v1')).body;
  const names = resources.map((resource: { name: string }) => resource.name);
  for (const { group, plural, subresources } of KINDS)
    if (group === '')
      for (const name of [plural, ...subresources.map((one) => `${plural}/${one}`)])
        t.ok(names.includes(name), name);
  t.match((await call('GET', '/version')).body, { major: '1' });
  t.match(await call('GET', '/apis/batch/v1/jobs'), {
    code: 404,
    body: { kind: 'Status', reason: 'NotFound' },
  });
});

t.test('an object that was created can be read, and has what Kubernetes gives it', async (t) => {
  const { call } = await startServer(t);
  const created = await call('POST', PODS, pod('web'));
  t.equal(created.code, 201);
  t.match(created.body, {
    metadata: {
      namespace: 'default',
      generation: 1,
      uid: /^[0-9a-f-]{36}$/,
      creationTimestamp: /^\d{4}-.*Z$/,
    },
    spec: { restartPolicy: 'Always' },
    status: { phase: 'Pending', qosClass: 'BestEffort' },
  });
  const read = await call('GET', `${PODS}/web`);
  t.equal(read.body.metadata.uid, created.body.metadata.uid);
  t.match((await call('GET', PODS)).body, { kind: 'PodList', items: [{ metadata: { name: 'web' } }] });
  const generated = await call('POST', PODS, pod('', {}, { generateName: 'job-' }));
  t.match(generated.body.metadata.name, /^job-[a-z0-9]{5}$/);
});

t.test('errors are those of Kubernetes', async (t) => {
  const { call } = await startServer(t);
  await call('POST', PODS, pod('web'));
  const { spec } = pod('web');
  const table: [what: string, answer: Promise<unknown>, code: number, reason: string, message: RegExp][] = [
    ['absent', call('GET', `${PODS}/nobody`), 404, 'NotFound', /^pods "nobody" not found$/],
    ['twice', call('POST', PODS, pod('web')), 409, 'AlreadyExists', /^pods "web" already exists$/],
    [
      'no namespace',
      call('POST', '/api/v1/namespaces/shop/pods', pod('web')),
      404,
      'NotFound',
      /^namespaces "shop" not found$/,
    ],
    [
      'other namespace',
      call('POST', PODS, pod('a', {}, { namespace: 'x' })),
      400,
      'BadRequest',
      /does not match the namespace/,
    ],
    ['all namespaces', call('POST', '/api/v1/pods', pod('a')), 405, 'MethodNotAllowed', /./],
    ['not JSON', call('POST', PODS, '{"a":'), 400, 'BadRequest', /^Cannot parse the body as JSON: /],
    ['no body', call('POST', PODS), 400, 'BadRequest', /no body/],
    ['a list', call('POST', PODS, '[]'), 400, 'BadRequest', /must be an object of kind Pod/],
    [
      'other kind',
      call('POST', PODS, node('a')),
      400,
      'BadRequest',
      /of v1, kind Node; this path takes v1, kind Pod/,
    ],
    [
      'unknown field',
      call('POST', `${PODS}?fieldValidation=Strict`, { ...pod('a'), spec: { ...spec, foo: 1 } }),
      400,
      'BadRequest',
      /^Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"$/,
    ],
    [
      'wrong type',
      call('POST', PODS, { ...pod('a'), spec: { containers: 'c' } }),
      400,
      'BadRequest',
      /spec.containers: Invalid value: "string": must be of type array/,
    ],
    [
      'rule',
      call('POST', PODS, pod('a', { containers: [] })),
      422,
      'Invalid',
      /^Pod "a" is invalid: spec.containers: Required value$/,
    ],
    [
      'other name',
      call('PUT', `${PODS}/web`, pod('other')),
      400,
      'BadRequest',
      /name of the object \(other\) does not match the name on the URL \(web\)/,
    ],
    [
      'stale',
      call('PUT', `${PODS}/web`, pod('web', {}, { resourceVersion: '1' })),
      409,
      'Conflict',
      /^Operation cannot be fulfilled on pods "web": the object has been modified/,
    ],
    [
      'immutable',
      call(
        'PATCH',
        `${PODS}/web`,
        { spec: { hostname: 'h' } },
        { 'content-type': 'application/merge-patch+json' },
      ),
      422,
      'Invalid',
      /^Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than/,
    ],
    [
      'patch type',
      call('PATCH', `${PODS}/web`, {}, { 'content-type': 'application/xml-patch+xml' }),
      415,
      'UnsupportedMediaType',
      /json-patch.*merge-patch.*strategic/,
    ],
    [
      'with version',
      call('POST', PODS, pod('b', {}, { resourceVersion: '5' })),
      400,
      'BadRequest',
      /should not be set/,
    ],
    [
      'selector',
      call('GET', `${PODS}?fieldSelector=a.b%3Dc`),
      400,
      'BadRequest',
      /field label not supported: a.b/,
    ],
    ['continue', call('GET', `${PODS}?continue=x`), 400, 'BadRequest', /continue key is not valid/],
    ['number', call('GET', `${PODS}?limit=x`), 400, 'BadRequest', /limit must be a number/],
    [
      'standard namespace',
      call('DELETE', '/api/v1/namespaces/default'),
      403,
      'Forbidden',
      /this namespace may not be deleted/,
    ],
    [
      'uid',
      call('DELETE', `${PODS}/web`, { preconditions: { uid: 'x' } }),
      409,
      'Conflict',
      /Precondition failed: UID/,
    ],
  ];
  for (const [what, answer, code, reason, message] of table) {
    t.match(await answer, { code, body: { kind: 'Status', status: 'Failure', code, reason, message } }, what);
  }
  const invalid = await call('POST', PODS, pod('a', { containers: [{ name: 'A', image: '' }] }));
  t.match(invalid.body.details, {
    name: 'a',
    kind: 'Pod',
    causes: [
      { field: 'spec.containers[0].name', reason: 'FieldValueInvalid' },
      { field: 'spec.containers[0].image', reason: 'FieldValueRequired' },
    ],
  });
});

t.test('a body beyond the limit is refused, however it is sent', async (t) => {
  const server = await startServer(t);
  const huge = pod('a', {}, { annotations: { a: 'x'.repeat(3 * 1024 * 1024) } });
  t.match(await server.call('POST', PODS, huge), { code: 413, body: { reason: 'RequestEntityTooLarge' } });
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(server.socketPath);
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', () => {});
    socket.write(`POST ${PODS} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    for (let i = 0; i < 64; i++) socket.write(chunk);
  });
  t.match(answer, /^HTTP\/1.1 413 /);
  t.equal((await server.call('GET', '/healthz')).code, 200, 'and the server is well');
});

t.test('an unknown field is left out with a warning unless validation is strict', async (t) => {
  const { call } = await startServer(t);
  const odd = { ...pod('a'), spec: { ...pod('a').spec, foo: 1, nodeSelector: null } };
  const { code, headers, body } = await call('POST', PODS, odd);
  t.strictSame(
    [code, body.spec.foo, headers['warning']],
    [201, undefined, '299 - "unknown field \\"spec.foo\\""'],
  );
});

t.test('a dry run answers as if, and writes nothing', async (t) => {
  const { call } = await startServer(t);
  t.equal((await call('POST', `${PODS}?dryRun=All`, pod('a'))).code, 201);
  t.equal((await call('GET', `${PODS}/a`)).code, 404);
  await call('POST', PODS, pod('a'));
  t.equal((await call('DELETE', `${PODS}/a`, { dryRun: ['All'] })).code, 200);
  t.equal((await call('GET', `${PODS}/a`)).code, 200);
});

t.test('update changes all but status, status changes nothing else', async (t) => {
  const { client } = await startServer(t);
  const created = await client.create(node('node9', { podCIDR: '10.244.9.0/24' }));
  const asked = {
    ...created,
    spec: { ...created.spec, unschedulable: true },
    status: { nodeInfo: { a: 'b' } },
  };
  delete asked.metadata.resourceVersion;
  const updated = await client.update(asked);
  t.strictSame([updated.spec?.unschedulable, updated.status], [true, undefined]);
  t.ok(updated.metadata.generation! > 1);
  const reported = await client.updateStatus({ ...node('node9'), status: { nodeInfo: { a: 'b' } } });
  t.match(reported, { spec: { unschedulable: true }, status: { nodeInfo: { a: 'b' } } });
});

t.test('more calls at once than a socket takes connections', async (t) => {
  const { client } = await startServer(t);
  await Promise.all(Array.from({ length: 800 }, () => client.get(NODE, 'nobody')));
  t.pass('all are answered');
});

t.test('an update that changes nothing writes nothing', async (t) => {
  const server = await startServer(t);
  await server.client.create(node('node1'));
  const before = await until('the node has its prefix', async () => {
    const found = await server.client.get(NODE, 'node1');
    return found?.spec?.podCIDR ? found : undefined;
  });
  const after = await server.client.update(before);
  t.equal(after.metadata.resourceVersion, before.metadata.resourceVersion);
});

t.test('nodes and pods get prefixes, places and addresses', async (t) => {
  const server = await startServer(t);
  const { client } = server;
  for (const name of ['node1', 'node2']) await client.create(node(name));
  for (const name of ['b', 'a']) await client.create(pod(name));
  const [a, b] = [await placed(server, 'a'), await placed(server, 'b')];
  t.strictSame(
    [b.spec.nodeName, b.status?.podIP],
    ['node1', '10.244.1.2'],
    'in the order of creation, not of names',
  );
  t.strictSame([a.spec.nodeName, a.status?.podIP], ['node2', '10.244.2.2']);
  t.strictSame((await client.get(NODE, 'node2'))?.spec?.podCIDRs, ['10.244.2.0/24']);
});

t.test("an agent's report does not take a pod's address away", async (t) => {
  const server = await startServer(t);
  await server.client.create(node('node1'));
  await server.client.create(pod('a'));
  const { metadata, spec } = await placed(server, 'a');
  const report: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, resourceVersion: undefined },
    spec,
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  };
  const reported = await server.client.updateStatus(report);
  t.match(reported.status, {
    phase: 'Running',
    qosClass: 'BestEffort',
    podIP: '10.244.1.2',
    podIPs: [{ ip: '10.244.1.2' }],
  });
  t.same(reported.status?.conditions?.map(({ type }) => type).sort(), ['PodScheduled', 'Ready']);
});

t.test('a prefix that another node has is refused, and free again when that node is gone', async (t) => {
  const { client } = await startServer(t);
  await client.create(node('a', { podCIDR: '10.244.8.0/23' }));
  const claim = node('b', { podCIDR: '10.244.9.0/24' });
  await t.rejects(client.create(claim), {
    code: 422,
    message:
      'Node "b" is invalid: spec.podCIDR: Invalid value: "10.244.9.0/24": is already allocated to nodes/a',
    field: 'spec.podCIDR',
  });
  await client.remove(NODE, 'a');
  t.match(await client.create(claim), { spec: { podCIDR: '10.244.9.0/24' } });
  await t.rejects(client.update(node('b', { podCIDR: '10.244.7.0/24' })), {
    message: /may not change podCIDR/,
  });
});

t.test('a pod on a host with an agent is ended by the agent; others vanish', async (t) => {
  const server = await startServer(t);
  const { client, call } = server;
  await client.create(pod('homeless'));
  await client.remove(POD, 'homeless');
  t.equal(await client.get(POD, 'homeless'), undefined);

  await client.create(node('node1'));
  await client.create(pod('a'));
  await placed(server, 'a');
  const before = Date.now();
  const answer = await call('DELETE', `${PODS}/a`);
  const after = Date.now();
  t.match(answer, { code: 200, body: { kind: 'Pod', metadata: { deletionGracePeriodSeconds: 30 } } });
  const deadline = Date.parse(answer.body.metadata.deletionTimestamp) - 30_000;
  // Times have whole seconds.
  t.ok(
    deadline > before - 1000 && deadline <= after,
    `30 s from ${deadline}, asked from ${before} to ${after}`,
  );
  const again = await call('DELETE', `${PODS}/a`, { gracePeriodSeconds: 600 });
  t.equal(again.body.metadata.deletionTimestamp, answer.body.metadata.deletionTimestamp, 'it may only hurry');
  const sooner = await call('DELETE', `${PODS}/a`, { gracePeriodSeconds: 1 });
  t.equal(sooner.body.metadata.deletionGracePeriodSeconds, 1);
  t.match(await call('DELETE', `${PODS}/a?gracePeriodSeconds=0`), {
    body: { kind: 'Status', status: 'Success' },
  });
  t.equal(await client.get(POD, 'a'), undefined);
  await client.create(pod('b'));
  t.equal((await placed(server, 'b')).status?.podIP, '10.244.1.2', 'its address is free again');
});

t.test('a pod on an external host vanishes at once', async (t) => {
  const { client } = await startServer(t);
  const annotations = { [FLANNEL_BACKEND_DATA]: '{"VtepMAC":"0e:58:0a:f4:09:00"}' };
  await client.create(node('k', { podCIDR: '10.244.9.0/24' }, annotations));
  await client.create(pod('theirs', { nodeName: 'k' }));
  await client.remove(POD, 'theirs');
  t.equal(await client.get(POD, 'theirs'), undefined);
  await until(
    'the host is ready',
    async () => (await client.get(NODE, 'k'))?.status?.conditions?.[0]?.status === 'True',
  );
});

t.test('a node takes its pods along', async (t) => {
  const server = await startServer(t);
  await server.client.create(node('node1', {}, { [AGENT_ANNOTATION]: 'x' }));
  await server.client.create(pod('a'));
  await placed(server, 'a');
  await server.client.remove(NODE, 'node1');
  await until('the pod is gone', async () => !(await server.client.get(POD, 'a')));
});

t.test('a namespace takes its pods along, and takes no new ones while it ends', async (t) => {
  const server = await startServer(t);
  const { client } = server;
  await client.create(node('node1'));
  await client.create(namespace('shop'));
  await client.create(pod('a', {}, { namespace: 'shop' }));
  await placed(server, 'a', 'shop');
  await client.remove(NAMESPACE, 'shop');
  await until(
    'the pod is asked to end',
    async () => (await client.get(POD, 'a', 'shop'))?.metadata.deletionTimestamp,
  );
  t.match(await client.get(NAMESPACE, 'shop'), { status: { phase: 'Terminating' } });
  await t.rejects(client.create(pod('b', {}, { namespace: 'shop' })), {
    code: 403,
    message: /being terminated/,
  });
  await client.remove(POD, 'a', 'shop', { gracePeriodSeconds: 0 });
  await until('the namespace is gone', async () => !(await client.get(NAMESPACE, 'shop')));
});

t.test('an object with finalizers stays until the last one is taken off', async (t) => {
  const { client } = await startServer(t);
  await client.create({ ...node('a'), metadata: { name: 'a', finalizers: ['example.com/wait'] } });
  await client.remove(NODE, 'a');
  t.ok((await client.get(NODE, 'a'))?.metadata.deletionTimestamp);
  await client.patch(NODE, 'a', undefined, { metadata: { finalizers: null } });
  t.equal(await client.get(NODE, 'a'), undefined);
});

t.test(
  'apply creates, changes, removes what the last manifest had, and sees when nothing is to do',
  async (t) => {
    const { client } = await startServer(t);
    const lab = (spec: object, labels?: Record<string, string>) => ({
      apiVersion: 'podwire.dev/v1alpha1',
      kind: 'Lab',
      metadata: { name: 'demo', labels },
      spec,
    });
    t.equal((await client.apply(lab({ access: false }, { a: '1' }))).result, 'created');
    t.equal((await client.apply(lab({ access: false }, { a: '1' }))).result, 'unchanged');
    await client.patch(LAB, 'demo', undefined, { metadata: { labels: { theirs: 'x' } } });
    const { object, result } = await client.apply(lab({}, { b: '2' }));
    t.equal(result, 'configured');
    t.strictSame(object.metadata.labels, { b: '2', theirs: 'x' });
    t.equal((object.spec as { access: boolean }).access, true, 'back to its default');
    const web = pod('web');
    t.equal((await client.apply(web)).result, 'created');
    t.equal((await client.apply(web)).result, 'unchanged');
    await t.rejects(client.apply({ ...web, kind: 'Pdo' }), TypeError);
  },
);

t.test('writers at once without a resourceVersion all succeed, with one only the first', async (t) => {
  const { client } = await startServer(t);
  await client.create(namespace('shop'));
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      client.patch(NAMESPACE, 'shop', undefined, { metadata: { labels: { [`l${i}`]: 'x' } } }),
    ),
  );
  const shop = (await client.get(NAMESPACE, 'shop'))!;
  t.equal(Object.keys(shop.metadata.labels!).length, 21);
  const results = await Promise.allSettled(
    Array.from({ length: 5 }, (_, i) =>
      client.update({ ...shop, metadata: { ...shop.metadata, annotations: { writer: `${i}` } } }),
    ),
  );
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
});

t.test('a list can be cut into pages of one moment', async (t) => {
  const { client, call } = await startServer(t);
  for (let i = 0; i < 7; i++) await client.create(pod(`p${i}`));
  const names: string[] = [];
  let next: string | undefined;
  do {
    const { body } = await call('GET', `/api/v1/pods?limit=3${next ? `&continue=${next}` : ''}`);
    names.push(...body.items.map((item: Pod) => item.metadata.name));
    next = body.metadata.continue;
    if (names.length === 3) {
      await client.remove(POD, 'p5');
      await client.create(pod('p9'));
    }
  } while (next);
  t.strictSame(names, ['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6']);
});

t.test('selectors choose what a list and a watch tell', async (t) => {
  const { client, call } = await startServer(t);
  await client.create(pod('a', { nodeName: 'x' }, { labels: { app: 'web' } }));
  await client.create(pod('b', { nodeName: 'y' }, { labels: { app: 'db' } }));
  const names = async (query: string): Promise<string[]> =>
    (await call('GET', `${PODS}?${query}`)).body.items.map((item: Pod) => item.metadata.name);
  t.strictSame(await names('labelSelector=app%3Dweb'), ['a']);
  t.strictSame(await names('fieldSelector=spec.nodeName%3Dy'), ['b']);
  t.strictSame(await names('labelSelector=app&fieldSelector=metadata.name!%3Da'), ['b']);
});

t.test('a watch that begins with what there is, and one that ends by its timeout', async (t) => {
  const { client, call } = await startServer(t);
  await client.create(pod('a'));
  const { body } = await call(
    'GET',
    `${PODS}?watch=1&resourceVersion=0&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`,
  );
  const events = (body as string)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(events[0], { type: 'ADDED', object: { metadata: { name: 'a' } } });
  t.match(
    events.find(({ type }) => type === 'BOOKMARK'),
    { object: { kind: 'Pod', metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } } },
  );
});

t.test('what comes to match a selector is added, what ceases to match is deleted', async (t) => {
  const { client } = await startServer(t);
  const first = await client.list(POD, {});
  const told: string[] = [];
  const abort = new AbortController();
  const watch = client.watch(POD, {
    labelSelector: 'app=web',
    resourceVersion: first.resourceVersion,
    signal: abort.signal,
    event: (event) => {
      if (event.type !== 'ERROR') told.push(`${event.type} ${event.object.metadata.name}`);
    },
  });
  const label = (app: string | null) => client.patch(POD, 'a', 'default', { metadata: { labels: { app } } });
  await client.create(pod('a'));
  // Control writes to the pod too: it says that there is no node.
  await until(
    'control has said its word',
    async () => ((await client.get(POD, 'a'))?.status?.conditions ?? []).length > 0,
  );
  await label('web');
  await client.patch(POD, 'a', 'default', { metadata: { annotations: { a: 'b' } } });
  await label('db');
  await label('web');
  await client.remove(POD, 'a');
  await until('all events are here', () => told.filter((text) => text === 'DELETED a').length === 2);
  abort.abort();
  await watch;
  t.strictSame(told, ['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED a', 'DELETED a']);
});

t.test('a watch from a version the server does not have is told to list again', async (t) => {
  const server = await startServer(t);
  const { call } = server;
  t.match(await call('GET', `${PODS}?watch=true&resourceVersion=99999`), { code: 410 });
});

t.test('what was written survives the server', async (t) => {
  const server = await startServer(t);
  await server.client.create(node('node1'));
  await server.client.create(pod('a'));
  const before = await placed(server, 'a');
  await server.restart();
  t.same(await server.client.get(POD, 'a', 'default'), before);
  await server.client.create(pod('b'));
  t.equal((await placed(server, 'b')).status?.podIP, '10.244.1.3');
});

const skip = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root';

t.test('on a full disk a write is refused with the reason, and all else goes on', { skip }, async (t) => {
  const mount = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-full-`));
  t.teardown(() => rmSync(mount, { recursive: true, force: true }));
  t.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mount]).status, 0);
  t.teardown(() => spawnSync('umount', [mount]));
  const { client, call } = await startServer(t, join(mount, 'store'));
  const ballast = join(mount, 'ballast');
  writeFileSync(ballast, Buffer.alloc(500_000));
  // Of a kind to which control does not write.
  const big = (i: number) =>
    call('POST', MAPS, { metadata: { name: `m${i}` }, data: { a: 'x'.repeat(50_000) } });
  let count = 0;
  let answer = await big(count);
  while (answer.code === 201) answer = await big(++count);
  t.match(answer, {
    code: 500,
    body: { kind: 'Status', message: /^Cannot write to the store: no space left on the disk of / },
  });
  const { items } = await client.list(CONFIG_MAP, { namespace: 'default' });
  t.equal(items.filter(({ metadata }) => /^m\d+$/.test(metadata.name)).length, count);
  rmSync(ballast);
  t.equal((await big(count)).code, 201);
});

t.test('without a server a client says what is wrong', async (t) => {
  const nowhere = createClient({ socketPath: '/nonexistent/server.sock' });
  await t.rejects(nowhere.get(POD, 'a'), {
    code: 503,
    message: 'Cannot reach the server at "/nonexistent/server.sock": there is no such socket; is the lab up?',
  });
});

t.test('ids count up, also within a millisecond and when the clock goes back', async (t) => {
  const newUid = createUids();
  const ids = [1000, 1000, 999, 2000, ...Array.from({ length: 5000 }, () => 2000)].map(newUid);
  t.strictSame(ids, [...ids].sort());
  t.equal(new Set(ids).size, ids.length);
  t.match(ids[0], /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
