/**
 * Roles from outside: who is refused, what, and in which words. The administrator acts as others, as `kubectl --as` does.
 */
import { request as httpRequest } from 'node:http';
import t from 'tap';
import { AGENT_ANNOTATION } from '../../src/api/types.js';
import { binding, role } from '../lib/roles.js';
import { startServer, type Answer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const IN = '/api/v1/namespaces/default';
const JSON_TYPE = { 'content-type': 'application/json' };

/** Requests as somebody else. */
const acting =
  ({ call }: TestServer, name: string, headers: Record<string, string> = {}) =>
  (method: string, path: string, body?: unknown, more: Record<string, string> = JSON_TYPE): Promise<Answer> =>
    call(method, path, body, { 'impersonate-user': name, ...more, ...headers });

const pod = (name: string, nodeName?: string) => ({
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'c', image: 'nginx' }] },
});
const configMap = (name: string) => ({ metadata: { name }, data: { a: 'b' } });

/** Store roles and bindings. */
async function give(server: TestServer, ...objects: object[]): Promise<void> {
  for (const object of objects) await server.client.apply(object as never);
}

t.test('a user may do what roles say, and nothing else', async (t) => {
  const server = await startServer(t);
  const jane = acting(server, 'jane');
  await server.call('POST', `${IN}/pods`, pod('web'));
  t.match(await jane('GET', `${IN}/pods`), {
    code: 403,
    body: {
      kind: 'Status',
      reason: 'Forbidden',
      message:
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
      details: { kind: 'pods' },
    },
  });
  await give(
    server,
    role('reader', ['get,list,watch pods'], 'default'),
    binding('reads', 'Role/reader', ['user:jane'], 'default'),
  );
  t.match(await jane('GET', `${IN}/pods`), { code: 200, body: { items: [{ metadata: { name: 'web' } }] } });
  t.match(await jane('GET', `${IN}/pods/web`), { code: 200 });
  for (const [method, path, verb, what] of [
    ['DELETE', `${IN}/pods/web`, 'delete', 'pods'],
    ['DELETE', `${IN}/pods`, 'deletecollection', 'pods'],
    ['PUT', `${IN}/pods/web`, 'update', 'pods'],
    ['PATCH', `${IN}/pods/web`, 'patch', 'pods'],
    ['POST', `${IN}/pods`, 'create', 'pods'],
    ['GET', `${IN}/pods/web/status`, 'get', 'pods/status'],
    ['GET', `${IN}/pods/web/log`, 'get', 'pods/log'],
    ['POST', `${IN}/pods/web/binding`, 'create', 'pods/binding'],
    ['POST', `${IN}/pods/web/eviction`, 'create', 'pods/eviction'],
    ['POST', `${IN}/pods/web/exec`, 'create', 'pods/exec'],
    ['GET', `${IN}/pods/web/attach`, 'get', 'pods/attach'],
    ['GET', '/api/v1/pods', 'list', 'pods'],
    ['GET', '/api/v1/pods?watch=true', 'watch', 'pods'],
    ['GET', '/api/v1/nodes', 'list', 'nodes'],
    ['GET', '/api/v1/namespaces/default', 'get', 'namespaces'],
    ['GET', '/apis/apps/v1/namespaces/default/deployments/d/scale', 'get', 'deployments/scale'],
    ['GET', '/api/v1/namespaces/default/things/x/y', 'get', 'things/y'],
    ['GET', '/apis/nobody.example/v1/things', 'list', 'things'],
  ] as const) {
    const { code, body } = await jane(method, path);
    t.equal(code, 403, `${method} ${path}`);
    const { message } = (typeof body === 'string' ? JSON.parse(body) : body) as { message: string };
    t.match(message, `User "jane" cannot ${verb} resource "${what}"`, `${method} ${path}`);
  }
  t.match(
    await server.call('GET', '/apis/nobody.example/v1/things'),
    { code: 404 },
    'the administrator learns it',
  );
  for (const [path, code] of [
    ['/api', 200],
    ['/apis', 200],
    ['/apis/apps/v1', 200],
    ['/openapi/v3', 200],
    ['/version', 200],
    ['/healthz', 200],
    ['/metrics', 403],
    ['/podwire/agents/n1', 403],
    ['/', 403],
  ] as const)
    t.equal((await jane('GET', path)).code, code, path);
  t.match((await jane('GET', '/metrics')).body.message, 'forbidden: User "jane" cannot get path "/metrics"');
});

t.test('a role counts from the moment it is written, and no longer than it is there', async (t) => {
  const server = await startServer(t);
  const joe = acting(server, 'joe', { 'impersonate-group': 'readers' });
  const list = async (): Promise<number> => (await joe('GET', `${IN}/services`)).code;
  for (let round = 0; round < 20; round++) {
    await give(server, binding('b', 'ClusterRole/view', ['group:readers'], 'default'));
    t.equal(await list(), 200);
    await server.call('DELETE', `${RBAC}/namespaces/default/rolebindings/b`);
    t.equal(await list(), 403);
  }
});

t.test('names: one object of a kind, got, listed and watched', async (t) => {
  const server = await startServer(t);
  const uma = acting(server, 'uma');
  for (const name of ['mine', 'other']) await server.call('POST', `${IN}/configmaps`, configMap(name));
  await give(
    server,
    role('one', ['get,list,watch,update configmaps mine'], 'default'),
    binding('one', 'Role/one', ['user:uma'], 'default'),
  );
  for (const [path, code] of [
    ['/mine', 200],
    ['/other', 403],
    ['', 403],
    ['?fieldSelector=metadata.name=mine', 200],
    ['?fieldSelector=metadata.name%3D%3Dmine', 200],
    ['?fieldSelector=metadata.name=other', 403],
    ['?fieldSelector=metadata.name!=mine', 403],
    ['?fieldSelector=metadata.name=other,metadata.name=mine', 403],
  ] as const)
    t.equal((await uma('GET', `${IN}/configmaps${path}`)).code, code, path);
  const { body } = await uma('GET', `${IN}/configmaps?fieldSelector=metadata.name=mine`);
  t.strictSame(
    body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
    ['mine'],
  );
  const watch = `${IN}/configmaps?watch=true&timeoutSeconds=1&fieldSelector=metadata.name=mine`;
  t.match(await uma('GET', watch), { code: 200, body: /"name":"mine"/ });
  t.match(await uma('GET', `${IN}/configmaps/other?watch=true`), { code: 403 });
});

t.test('server-side apply that makes an object needs the right to create', async (t) => {
  const server = await startServer(t);
  const pat = acting(server, 'pat');
  await give(
    server,
    role('p', ['patch configmaps'], 'default'),
    binding('p', 'Role/p', ['user:pat'], 'default'),
  );
  const apply = (): Promise<Answer> =>
    pat(
      'PATCH',
      `${IN}/configmaps/c?fieldManager=m`,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { x: 'y' } },
      { 'content-type': 'application/apply-patch+yaml' },
    );
  t.match(await apply(), { code: 403, body: { message: /cannot create resource "configmaps"/ } });
  await server.call('POST', `${IN}/configmaps`, configMap('c'));
  t.match(await apply(), { code: 200 });
});

t.test('acting as others', async (t) => {
  const server = await startServer(t);
  const whoami = (headers: Record<string, string>): Promise<Answer> =>
    server.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, headers);
  t.match(
    await whoami({ 'impersonate-user': 'jane', 'impersonate-group': 'dev, ops', 'impersonate-uid': '7' }),
    {
      body: {
        status: { userInfo: { username: 'jane', uid: '7', groups: ['dev, ops', 'system:authenticated'] } },
      },
    },
  );
  t.match(await whoami({ 'impersonate-user': 'system:serviceaccount:shop:robot' }), {
    body: {
      status: {
        userInfo: {
          groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
        },
      },
    },
  });
  t.match(await whoami({ 'impersonate-group': 'dev' }), { code: 400, body: { message: /without a user/ } });
  t.match(await whoami({ 'impersonate-user': 'x', 'impersonate-extra-a': 'b' }), { code: 400 });
  const anonymous = acting(server, 'system:anonymous');
  t.match(await anonymous('GET', '/version'), { code: 200 });
  t.match(await anonymous('GET', '/api'), { code: 403 }, 'whom nobody knows may see how the server is');

  // Who is not the administrator needs the verb, for each part. There is no token of jane here: acting as her is the
  // only way, and headers do not nest; so this is asked of the reviews.
  await give(
    server,
    role('imp', ['impersonate users bob', 'impersonate groups dev', 'impersonate serviceaccounts']),
    binding('imp', 'ClusterRole/imp', ['user:jane']),
  );
  const may = async (resource: string, name: string): Promise<boolean> =>
    (
      await acting(server, 'jane')('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        spec: { resourceAttributes: { verb: 'impersonate', resource, name } },
      })
    ).body.status.allowed;
  t.ok(await may('users', 'bob'));
  t.notOk(await may('users', 'root'));
  t.ok(await may('groups', 'dev'));
  t.notOk(await may('groups', 'system:masters'));
});

t.test('reviews say what is so', async (t) => {
  const server = await startServer(t);
  await give(
    server,
    role('reader', ['get,list pods', 'get services web'], 'default'),
    role('paths', ['get /logs/*']),
    binding('reads', 'Role/reader', ['user:jane', 'group:dev'], 'default'),
    binding('paths', 'ClusterRole/paths', ['user:jane']),
  );
  const post = acting(server, 'jane');
  const AUTH = '/apis/authorization.k8s.io/v1';
  const self = (spec: object): Promise<Answer> => post('POST', `${AUTH}/selfsubjectaccessreviews`, { spec });
  const pods = { verb: 'list', resource: 'pods', namespace: 'default' };
  t.match(await self({ resourceAttributes: pods }), {
    code: 201,
    body: {
      kind: 'SelfSubjectAccessReview',
      status: {
        allowed: true,
        reason: 'RBAC: allowed by RoleBinding "reads/default" of Role "reader" to User "jane"',
      },
    },
  });
  t.match(await self({ resourceAttributes: { ...pods, verb: 'delete' } }), {
    body: { status: { allowed: false } },
  });
  t.match(await self({ resourceAttributes: { ...pods, namespace: '' } }), {
    body: { status: { allowed: false } },
  });
  t.match(await self({ nonResourceAttributes: { verb: 'get', path: '/logs/x' } }), {
    body: { status: { allowed: true } },
  });
  t.match(await self({}), {
    code: 422,
    body: { message: /exactly one of nonResourceAttributes or resource/ },
  });
  t.match(await self({ resourceAttributes: pods, nonResourceAttributes: { path: '/' } }), { code: 422 });

  const sar = `${AUTH}/subjectaccessreviews`;
  t.match(await post('POST', sar, { spec: { user: 'x', resourceAttributes: pods } }), { code: 403 });
  const ask = (spec: object, path = sar): Promise<Answer> => server.call('POST', path, { spec }, JSON_TYPE);
  t.match(await ask({ user: 'x', groups: ['dev'], resourceAttributes: pods }), {
    body: { status: { allowed: true } },
  });
  t.match(await ask({ user: 'x', resourceAttributes: pods }), { body: { status: { allowed: false } } });
  t.match(await ask({ resourceAttributes: pods }), {
    code: 422,
    body: { message: /at least one of user or group/ },
  });
  const local = `${AUTH}/namespaces/default/localsubjectaccessreviews`;
  t.match(await ask({ user: 'jane', resourceAttributes: pods }, local), {
    body: { status: { allowed: true } },
  });
  t.match(await ask({ user: 'jane', resourceAttributes: { ...pods, namespace: 'x' } }, local), { code: 422 });
  t.match(await ask({ user: 'jane', nonResourceAttributes: { path: '/' } }, local), { code: 422 });
  const adm = acting(server, 'ad');
  await give(server, binding('ad', 'ClusterRole/admin', ['user:ad'], 'default'));
  t.match(await adm('POST', local, { spec: { user: 'jane', resourceAttributes: pods } }), { code: 201 });
  t.match(await adm('POST', sar, { spec: { user: 'jane', resourceAttributes: pods } }), { code: 403 });

  const { body } = await post('POST', `${AUTH}/selfsubjectrulesreviews`, { spec: { namespace: 'default' } });
  t.match(body.status, { incomplete: false });
  const text = JSON.stringify(body.status);
  for (const part of [
    '{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}',
    '{"verbs":["get"],"apiGroups":[""],"resources":["services"],"resourceNames":["web"]}',
    '{"verbs":["get"],"nonResourceURLs":["/logs/*"]}',
    '"selfsubjectaccessreviews"',
  ])
    t.ok(text.includes(part), part);
});

t.test('nobody gives what he does not have', async (t) => {
  const server = await startServer(t);
  const ad = acting(server, 'ad');
  await give(server, binding('ad', 'ClusterRole/admin', ['user:ad'], 'default'));
  const roles = `${RBAC}/namespaces/default/roles`;
  const bindings = `${RBAC}/namespaces/default/rolebindings`;
  t.match(await ad('POST', roles, role('ok', ['get,delete pods'], 'default')), { code: 201 });
  t.match(await ad('POST', roles, role('more', ['get pods', 'delete nodes'], 'default')), {
    code: 403,
    body: {
      message:
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "ad" (groups=["system:authenticated"]) is attempting ' +
        'to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["delete"]}',
    },
  });
  t.match(await ad('PUT', `${roles}/ok`, role('ok', ['* *@*'], 'default')), { code: 403 });
  t.match(
    await ad('PATCH', `${roles}/ok`, { rules: [] }, { 'content-type': 'application/merge-patch+json' }),
    { code: 200 },
    'less is no grant',
  );
  t.match(await ad('POST', bindings, binding('b', 'ClusterRole/edit', ['user:x'], 'default')), { code: 201 });
  t.match(await ad('POST', bindings, binding('c', 'ClusterRole/cluster-admin', ['user:ad'], 'default')), {
    code: 403,
    body: { message: /not currently held/ },
  });
  t.match(await ad('POST', bindings, binding('d', 'ClusterRole/gone', ['user:ad'], 'default')), {
    code: 404,
  });
  t.match(await ad('POST', `${RBAC}/clusterrolebindings`, binding('e', 'ClusterRole/view', ['user:ad'])), {
    code: 403,
  });
  t.match(
    await ad('PATCH', `${roles}/applied?fieldManager=m`, role('applied', ['* *@*'], 'default'), {
      'content-type': 'application/apply-patch+yaml',
    }),
    { code: 403 },
    'server-side apply is no way round',
  );
  t.match(
    await ad('POST', `${roles}?dryRun=All`, role('dry', ['* *@*'], 'default')),
    { code: 403 },
    'nor is a dry run',
  );
});

t.test('the agent of a node sees to its own node, and to no other', async (t) => {
  const server = await startServer(t);
  const n1 = acting(server, 'system:node:n1', { 'impersonate-group': 'system:nodes' });
  const node = (name: string, labels = {}) => ({
    metadata: { name, labels, annotations: { [AGENT_ANNOTATION]: 'x' } },
  });
  t.match(await n1('POST', '/api/v1/nodes', node('n2')), {
    code: 403,
    body: { message: 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"' },
  });
  t.match(await n1('POST', '/api/v1/nodes', node('n1', { 'kubernetes.io/hostname': 'n1' })), { code: 201 });
  await server.call('POST', '/api/v1/nodes', node('n2'));
  const merge = { 'content-type': 'application/merge-patch+json' };
  t.match(await n1('PATCH', '/api/v1/nodes/n1', { metadata: { annotations: { a: 'b' } } }, merge), {
    code: 200,
  });
  t.match(await n1('PATCH', '/api/v1/nodes/n1', { spec: { unschedulable: true } }, merge), { code: 403 });
  t.match(
    await n1(
      'PATCH',
      '/api/v1/nodes/n1',
      { metadata: { labels: { 'node-role.kubernetes.io/x': '' } } },
      merge,
    ),
    { code: 403, body: { message: /not allowed to modify labels: node-role/ } },
  );
  t.match(await n1('PATCH', '/api/v1/nodes/n2', { metadata: { annotations: { a: 'b' } } }, merge), {
    code: 403,
  });
  t.match(await n1('PATCH', '/api/v1/nodes/n2/status', { status: {} }, merge), { code: 403 });
  t.match(await n1('DELETE', '/api/v1/nodes/n1'), { code: 403 });

  const using = (name: string, nodeName: string, secretName: string) => ({
    ...pod(name, nodeName),
    spec: { ...pod(name, nodeName).spec, volumes: [{ name: 'v', secret: { secretName } }] },
  });
  for (const name of ['mine', 'theirs'])
    await server.call('POST', `${IN}/secrets`, { metadata: { name }, stringData: { a: 'b' } });
  await server.call('POST', `${IN}/pods`, using('p1', 'n1', 'mine'));
  await server.call('POST', `${IN}/pods`, using('p2', 'n2', 'theirs'));
  for (const [path, code] of [
    ['/api/v1/pods', 200],
    ['/api/v1/nodes', 200],
    ['/apis/discovery.k8s.io/v1/endpointslices', 200],
    [`${IN}/secrets/mine`, 200],
    [`${IN}/secrets?fieldSelector=metadata.name=mine`, 200],
    [`${IN}/secrets/theirs`, 403],
    [`${IN}/secrets?fieldSelector=metadata.name=theirs`, 403],
    [`${IN}/secrets`, 403],
    ['/api/v1/secrets', 403],
    ['/api/v1/secrets?fieldSelector=metadata.name=mine', 403],
    [`${RBAC}/clusterroles`, 403],
  ] as const)
    t.equal((await n1('GET', path)).code, code, path);

  const status = { status: { phase: 'Running' } };
  t.match(await n1('PATCH', `${IN}/pods/p1/status`, status, merge), { code: 200 });
  t.match(await n1('PATCH', `${IN}/pods/p2/status`, status, merge), { code: 403 });
  t.match(await n1('PATCH', `${IN}/pods/p1`, { metadata: { labels: { a: 'b' } } }, merge), { code: 403 });
  t.match(await n1('DELETE', `${IN}/pods/p2`), { code: 403, body: { message: /can only delete pods/ } });

  const uid = async (name: string): Promise<string> =>
    (await server.call('GET', `${IN}/pods/${name}`)).body.metadata.uid;
  const token = async (spec: object, account = 'default'): Promise<Answer> =>
    n1('POST', `${IN}/serviceaccounts/${account}/token`, { spec });
  const bound = async (name: string) => ({ boundObjectRef: { kind: 'Pod', name, uid: await uid(name) } });
  t.match(await token(await bound('p1')), { code: 201 });
  t.match(await token(await bound('p2')), { code: 403, body: { message: /different node/ } });
  t.match(await token({}), { code: 403, body: { message: /not bound to a pod/ } });
  t.match(await token(await bound('p1'), 'robot'), { code: 403, body: { message: /no relationship found/ } });
  t.match(await n1('DELETE', `${IN}/pods/p1?gracePeriodSeconds=0`), { code: 200 });

  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  t.match(await n1('POST', leases, { metadata: { name: 'n1' }, spec: {} }), { code: 201 });
  t.match(await n1('POST', leases, { metadata: { name: 'n2' }, spec: {} }), { code: 403 });
  t.match(await n1('GET', `${leases}/n1`), { code: 200 });
  t.match(await n1('GET', `${leases}/n2`), { code: 403 });

  const dial = (name: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const { socketPath } = server;
      const headers = {
        connection: 'Upgrade',
        upgrade: 'podwire-agent',
        'impersonate-user': 'system:node:n1',
      };
      const request = httpRequest({
        socketPath,
        method: 'POST',
        path: `/podwire/agents/${name}`,
        headers: { ...headers, 'impersonate-group': 'system:nodes' },
      });
      request.once('upgrade', (_, socket) => (socket.destroy(), resolve(101)));
      request.once('response', (response) => (response.resume(), resolve(response.statusCode!)));
      request.once('error', reject);
      request.end();
    });
  t.equal(await dial('n1'), 101);
  t.equal(await dial('n2'), 403);
});

t.test('exec and port-forward as upgrades are refused like any request', async (t) => {
  const server = await startServer(t);
  await server.call('POST', `${IN}/pods`, pod('web'));
  const upgrade = (path: string, method: string): Promise<{ code: number; text: string }> =>
    new Promise((resolve, reject) => {
      const request = httpRequest({
        socketPath: server.socketPath,
        method,
        path: `${IN}/pods/web/${path}`,
        headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'impersonate-user': 'jane' },
      });
      request.once('upgrade', (_, socket) => (socket.destroy(), resolve({ code: 101, text: '' })));
      request.once('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ code: response.statusCode!, text }));
      });
      request.once('error', reject);
      request.end();
    });
  t.match(await upgrade('exec?command=id', 'POST'), {
    code: 403,
    text: /cannot create resource \\"pods\/exec\\"/,
  });
  t.match(await upgrade('exec?command=id', 'GET'), {
    code: 403,
    text: /cannot get resource \\"pods\/exec\\"/,
  });
  t.match(await upgrade('portforward', 'POST'), {
    code: 403,
    text: /cannot create resource \\"pods\/portforward\\"/,
  });
  await give(
    server,
    role('e', ['create pods/exec'], 'default'),
    binding('e', 'Role/e', ['user:jane'], 'default'),
  );
  const { code } = await upgrade('exec?command=id', 'POST');
  t.ok(code !== 403 && code !== 101, `allowed, and then there is no host that runs it: ${code}`);
  t.match(await upgrade('exec?command=id', 'GET'), { code: 403 });
  t.match(await upgrade('attach', 'POST'), { code: 403 });
});

t.test('the default roles come back whole with the server', async (t) => {
  const server = await startServer(t);
  const roles = async (): Promise<number> =>
    (await server.call('GET', `${RBAC}/clusterroles?labelSelector=kubernetes.io/bootstrapping=rbac-defaults`))
      .body.items.length;
  const before = await roles();
  t.ok(before > 10);
  const edit = async () =>
    (await server.call('GET', `${RBAC}/clusterroles/admin`)).body.rules.length as number;
  const rules = await edit();
  await server.call('DELETE', `${RBAC}/clusterroles/view`);
  await server.call('DELETE', `${RBAC}/clusterrolebindings/system:discovery`);
  t.equal(await roles(), before - 1);
  await server.restart();
  t.equal(await roles(), before);
  t.equal(await edit(), rules);
  t.match(await server.call('GET', `${RBAC}/clusterrolebindings/system:discovery`), { code: 200 });
  await give(server, {
    ...role('more', ['get,list widgets@example.com']),
    metadata: { name: 'more', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
  });
  await until('a part of view is a part of admin', async () =>
    JSON.stringify((await server.call('GET', `${RBAC}/clusterroles/admin`)).body.rules).includes(
      'example.com',
    )
      ? true
      : undefined,
  );
});
