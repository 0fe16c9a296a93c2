/** What the API answers to what kubectl asks for: forms, versions, discovery, patches, subresources. */
import t from 'tap';
import { KINDS } from '../../src/api/kinds.js';
import { negotiate } from '../../src/server/http/accept.js';
import { startServer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const TABLE =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';
const PARTIAL = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const DISCOVERY =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';
const MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const map = (name: string, data: object = {}): object => ({ metadata: { name }, data });
const pod = (name: string): object => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'nginx' }] },
});
const patchType = (name: string): Record<string, string> => ({ 'content-type': `application/${name}+json` });

t.test('the first form that we have is taken', async (t) => {
  t.strictSame(negotiate(TABLE), { as: 'table', version: 'v1' });
  t.strictSame(negotiate('application/vnd.kubernetes.protobuf, application/json'), {
    as: 'object',
    version: 'v1',
  });
  t.strictSame(negotiate(undefined), { as: 'object', version: 'v1' });
  t.strictSame(negotiate(PARTIAL), { as: 'metadata', version: 'v1' });
  t.throws(() => negotiate('application/vnd.kubernetes.protobuf'), { code: 406, reason: 'NotAcceptable' });
  t.throws(() => negotiate('application/json;as=Chair;v=v1;g=meta.k8s.io'), { code: 406 });
});

t.test('lists, objects and watches as tables and as metadata', async (t) => {
  const { call } = await startServer(t);
  await call('POST', MAPS, map('a', { k: 'v' }));
  const table = (await call('GET', MAPS, undefined, { accept: TABLE })).body;
  t.match(table, {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion: /^\d+$/ },
    columnDefinitions: [
      { name: 'Name', type: 'string', format: 'name', priority: 0 },
      { name: 'Data', type: 'integer' },
      { name: 'Age', type: 'string' },
    ],
  });
  t.match(table.rows[0], { object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } });
  t.strictSame(table.rows[0].cells.slice(0, 2), ['a', 1]);
  t.equal(table.rows[0].object.data, undefined);
  const whole = (await call('GET', `${MAPS}?includeObject=Object`, undefined, { accept: TABLE })).body;
  t.match(whole.rows[0].object, { kind: 'ConfigMap', data: { k: 'v' } });
  const none = (await call('GET', `${MAPS}/a?includeObject=None`, undefined, { accept: TABLE })).body;
  t.equal(none.rows[0].object, undefined);
  t.match(await call('GET', `${MAPS}?includeObject=All`, undefined, { accept: TABLE }), { code: 400 });
  t.match((await call('GET', MAPS, undefined, { accept: PARTIAL })).body, {
    kind: 'PartialObjectMetadataList',
    items: [{ kind: 'PartialObjectMetadata', metadata: { name: 'a' } }],
  });
  const watch = await call('GET', `${MAPS}?watch=True&timeoutSeconds=1`, undefined, { accept: TABLE });
  await call('POST', MAPS, map('b'));
  const [first, ...more] = (watch.body as string)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(first, { type: 'ADDED', object: { kind: 'Table', columnDefinitions: [{ name: 'Name' }] } });
  t.ok(more.every(({ object }) => object.columnDefinitions.length === 0));
});

t.test('discovery in one answer says what the lists say', async (t) => {
  const { call } = await startServer(t);
  for (const [path, groups] of [
    ['/api', ['']],
    ['/apis', [...new Set(KINDS.map(({ group }) => group))].filter(Boolean)],
  ] as const) {
    const { body, headers } = await call('GET', path, undefined, { accept: DISCOVERY });
    t.equal(headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
    const { items } = JSON.parse(body) as { items: any[] };
    for (const group of groups) {
      const item = items.find(({ metadata }) => (metadata.name ?? '') === group);
      for (const { version, resources } of item.versions) {
        const list = (await call('GET', group ? `/apis/${group}/${version}` : `/api/${version}`)).body;
        t.strictSame(
          resources.flatMap((one: any) => [
            [one.resource, one.responseKind.kind, one.verbs],
            ...one.subresources.map((sub: any) => [
              `${one.resource}/${sub.subresource}`,
              sub.responseKind.kind,
              sub.verbs,
            ]),
          ]),
          list.resources.map((one: any) => [one.name, one.kind, one.verbs]),
          `${group}/${version}`,
        );
      }
    }
  }
  const plain = await call('GET', '/api', undefined, { accept: 'application/json' });
  t.equal(plain.body.kind, 'APIVersions');
});

t.test('OpenAPI: a mini version 2 in protobuf, version 3 for each group and version', async (t) => {
  const { call } = await startServer(t);
  const v2 = await call('GET', '/openapi/v2');
  t.notMatch(v2.headers['content-type'], /@/);
  for (const { plural, kind } of KINDS) {
    t.match(v2.body, `/${plural}/{name}`);
    t.match(v2.body, `kind: ${kind}\n`);
  }
  const { paths } = (await call('GET', '/openapi/v3')).body;
  t.match(paths['apis/apps/v1'], { serverRelativeURL: '/openapi/v3/apis/apps/v1' });
  const core = (await call('GET', paths['api/v1'].serverRelativeURL)).body;
  const podSchema = core.components.schemas['io.k8s.api.core.v1.Pod'];
  t.match(podSchema, { 'x-kubernetes-group-version-kind': [{ group: '', version: 'v1', kind: 'Pod' }] });
  t.match(podSchema.properties.spec.properties.containers, {
    type: 'array',
    'x-kubernetes-patch-merge-key': 'name',
    items: { allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.Container' }] },
  });
  const text = JSON.stringify(core);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
    if (!core.components.schemas[name!]) t.fail(`${name} is referred to, and not there`);
  const container = core.components.schemas['io.k8s.api.core.v1.Container'];
  t.match(container.properties, { image: { type: 'string' } });
  t.equal(text.split('"initialDelaySeconds":').length - 1, 1, 'a probe is said once');
  const { patch } = core.paths['/api/v1/namespaces/{namespace}/pods/{name}'];
  t.strictSame(
    patch.parameters.map(({ name }: { name: string }) => name),
    ['dryRun', 'fieldManager', 'fieldValidation', 'force'],
  );
  t.equal((await call('GET', '/openapi/v3/apis/none/v1')).code, 404);
});

t.test('pages have as many items as they may, whatever a selector leaves out', async (t) => {
  const { call } = await startServer(t);
  for (let i = 0; i < 7; i++) {
    await call('POST', MAPS, { metadata: { name: `m${i}`, labels: { odd: String(i % 2) } } });
  }
  await until(
    'the map that every namespace has',
    async () => (await call('GET', `${MAPS}/kube-root-ca.crt`)).code === 200,
  );
  const first = (await call('GET', `${MAPS}?limit=3`)).body;
  t.equal(first.items.length, 3);
  t.equal(first.metadata.remainingItemCount, 5);
  const odd = (await call('GET', `${MAPS}?limit=2&labelSelector=odd%3D1`)).body;
  t.strictSame(
    odd.items.map((item: any) => item.metadata.name),
    ['m1', 'm3'],
  );
  await call('DELETE', `${MAPS}/m5`);
  const next = (await call('GET', `${MAPS}?limit=2&labelSelector=odd%3D1&continue=${odd.metadata.continue}`))
    .body;
  t.strictSame(
    next.items.map((item: any) => item.metadata.name),
    ['m5'],
    'as it was when the list began',
  );
  t.equal(next.metadata.continue, undefined);
  t.match(await call('GET', `${MAPS}?resourceVersion=999999`), { code: 504, body: { reason: 'Timeout' } });
  t.match(await call('GET', `${MAPS}?resourceVersionMatch=Exact`), {
    code: 422,
    body: { reason: 'Invalid' },
  });
  t.match(await call('GET', `${MAPS}?watch=1&sendInitialEvents=true`), { code: 422 });
});

t.test('the three patches, and what they are refused for', async (t) => {
  const { call } = await startServer(t);
  const created = (await call('POST', MAPS, map('a', { k: 'v', old: '1' }))).body;
  const json = (operations: unknown) => call('PATCH', `${MAPS}/a`, operations, patchType('json-patch'));
  t.match(await json([{ op: 'replace', path: '/data/k', value: 'w' }]), {
    code: 200,
    body: { data: { k: 'w' } },
  });
  t.match(await json([{ op: 'test', path: '/data/k', value: 'x' }]), {
    code: 422,
    body: { reason: 'Invalid' },
  });
  t.match(await json({}), { code: 400 });
  const same = await call('PATCH', `${MAPS}/a`, { data: { k: 'w' } }, patchType('merge-patch'));
  const again = await call('PATCH', `${MAPS}/a`, { data: { k: 'w' } }, patchType('strategic-merge-patch'));
  t.equal(
    again.body.metadata.resourceVersion,
    same.body.metadata.resourceVersion,
    'nothing changed, nothing written',
  );
  const stale = { metadata: { resourceVersion: created.metadata.resourceVersion }, data: { k: 'z' } };
  t.match(await call('PATCH', `${MAPS}/a`, stale, patchType('merge-patch')), {
    code: 409,
    body: { reason: 'Conflict' },
  });
  t.match(await call('PATCH', `${MAPS}/a?dryRun=All`, { data: { k: 'y' } }, patchType('merge-patch')), {
    code: 200,
    body: { data: { k: 'y' } },
  });
  t.match((await call('GET', `${MAPS}/a`)).body, { data: { k: 'w', old: '1' } });
  t.match(await call('PATCH', `${MAPS}/a?dryRun=maybe`, {}, patchType('merge-patch')), { code: 422 });
  const lab = '/apis/podwire.dev/v1alpha1/labs';
  await call('POST', lab, { metadata: { name: 'l' } });
  t.match(await call('PATCH', `${lab}/l`, {}, patchType('strategic-merge-patch')), { code: 415 });
  t.match(await call('PATCH', `${lab}/l`, {}, patchType('merge-patch')), { code: 200 });
});

t.test('scale is a view of the object', async (t) => {
  const { call } = await startServer(t);
  await call('POST', DEPLOYMENTS, {
    metadata: { name: 'd' },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'd' } },
      template: { metadata: { labels: { app: 'd' } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
    },
  });
  const scale = (await call('GET', `${DEPLOYMENTS}/d/scale`)).body;
  t.match(scale, {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    spec: { replicas: 2 },
    status: { selector: 'app=d' },
  });
  const patched = await call(
    'PATCH',
    `${DEPLOYMENTS}/d/scale`,
    { spec: { replicas: 5 } },
    patchType('merge-patch'),
  );
  t.match(patched, { code: 200, body: { spec: { replicas: 5 } } });
  t.match((await call('GET', `${DEPLOYMENTS}/d`)).body, {
    metadata: { generation: 2 },
    spec: { replicas: 5 },
  });
  t.match(await call('PUT', `${DEPLOYMENTS}/d/scale`, { ...scale, spec: { replicas: 1 } }), {
    code: 409,
    body: { reason: 'Conflict' },
  });
  t.match(
    await call('PATCH', `${DEPLOYMENTS}/d/scale`, { spec: { replicas: -1 } }, patchType('merge-patch')),
    {
      code: 422,
      body: { message: /Scale.autoscaling "d" is invalid: spec.replicas: .*greater than or equal to 0/ },
    },
  );
  t.match(await call('GET', `${PODS}/x/scale`), { code: 404 });
});

t.test('a pod is bound once, and evicted', async (t) => {
  const { call } = await startServer(t);
  await call('POST', PODS, pod('a'));
  const bind = (name: string) => call('POST', `${PODS}/a/binding`, { target: { kind: 'Node', name } });
  t.match(await bind('n1'), { code: 201, body: { status: 'Success' } });
  t.match((await call('GET', `${PODS}/a`)).body, { spec: { nodeName: 'n1' } });
  t.match(await bind('n2'), { code: 409, body: { message: /already assigned to node "n1"/ } });
  t.match(await call('POST', `${PODS}/a/binding`, {}), { code: 400 });
  const evict = (dryRun: string[]) =>
    call('POST', `${PODS}/a/eviction`, { metadata: { name: 'a' }, deleteOptions: { dryRun } });
  t.match(await evict(['All']), { code: 201 });
  t.match(await call('GET', `${PODS}/a`), { code: 200 });
  t.match(await evict([]), { code: 201 });
  t.match(await call('GET', `${PODS}/a`), { code: 404 });
});

t.test('questions about rights and about oneself', async (t) => {
  const { call } = await startServer(t);
  const ask = (group: string, plural: string, spec: object) =>
    call('POST', `/apis/${group}.k8s.io/v1/${plural}`, { spec });
  t.match(await ask('authorization', 'selfsubjectaccessreviews', { resourceAttributes: { verb: 'get' } }), {
    code: 201,
    body: { kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: {} }, status: { allowed: true } },
  });
  t.match((await ask('authorization', 'selfsubjectrulesreviews', { namespace: 'default' })).body.status, {
    resourceRules: [{ verbs: ['*'] }],
  });
  t.match((await ask('authentication', 'selfsubjectreviews', {})).body.status.userInfo, {
    username: 'podwire:admin',
    groups: ['system:masters', 'system:authenticated'],
  });
});

t.test('bodies: JSON without a content type, YAML, and nothing else', async (t) => {
  const { call } = await startServer(t);
  t.match(await call('POST', MAPS, JSON.stringify(map('plain'))), { code: 201 });
  const yaml = 'metadata:\n  name: yaml\ndata:\n  a: "1"\n';
  t.match(await call('POST', MAPS, yaml, { 'content-type': 'application/yaml' }), {
    code: 201,
    body: { data: { a: '1' } },
  });
  t.match(await call('POST', MAPS, 'x', { 'content-type': 'text/html' }), { code: 415 });
});

/** Options of DELETE, and what they do. */
async function deleted({ call }: TestServer, name: string, options: object, query = '') {
  await call('POST', MAPS, map(name));
  return call('DELETE', `${MAPS}/${name}${query}`, options);
}

t.test('options of a deletion', async (t) => {
  const server = await startServer(t);
  const { call } = server;
  t.match(await deleted(server, 'a', { dryRun: ['All'] }), { code: 200 });
  t.match(await call('GET', `${MAPS}/a`), { code: 200 }, 'a dry run in the body');
  t.match(await deleted(server, 'b', { propagationPolicy: 'Background' }), { body: { status: 'Success' } });
  t.match(await deleted(server, 'c', { propagationPolicy: 'Foreground' }), {
    body: {
      kind: 'ConfigMap',
      metadata: {
        finalizers: ['foregroundDeletion'],
        deletionTimestamp: /Z$/,
        deletionGracePeriodSeconds: 0,
      },
    },
  });
  await until(
    'the garbage collector has let it go',
    async () => (await call('GET', `${MAPS}/c`)).code === 404,
  );
  t.match(await deleted(server, 'd', { orphanDependents: true }), {
    body: { metadata: { finalizers: ['orphan'] } },
  });
  t.match(
    await deleted(server, 'e', {}, '?propagationPolicy=Orphan'),
    { body: { status: 'Success' } },
    'a body wins',
  );
  t.match(await deleted(server, 'f', { propagationPolicy: 'Later' }), {
    code: 422,
    body: {
      message: /propagationPolicy: Unsupported value: "Later": supported values: "Background", "Foreground"/,
    },
  });
  t.match(await deleted(server, 'g', { gracePeriodSeconds: 'x' }), { code: 400 });
  t.match(await deleted(server, 'h', { preconditions: { resourceVersion: '1' } }), { code: 409 });
});
