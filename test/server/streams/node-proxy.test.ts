/**
 * The proxy to a node's agent: a subresource like others for roles, and what it asks the agent.
 */
import type { RequestListener } from 'node:http';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { dialServer } from '../../../src/agent/api/dial.js';
import { binding, role } from '../../lib/roles.js';
import { startServer, type Answer, type TestServer } from '../../lib/server.js';
import { until } from '../../lib/until.js';

const TABLES = '/api/v1/nodes/n1/proxy/tables/fdb?output=json';

/** A node whose agent is nothing but its line, which says what it was asked. */
async function addNode(t: Test, server: TestServer, name: string): Promise<string[]> {
  const asked: string[] = [];
  const listener: RequestListener = (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(200).end('rows\n');
  };
  await server.call('POST', '/api/v1/nodes', { metadata: { name } });
  const line = dialServer({
    server: { socketPath: server.socketPath },
    node: name,
    listener,
    log: pino({ level: 'silent' }),
  });
  t.teardown(() => line.close());
  await until(`${name} is dialled`, async () => {
    const { code } = await server.call('GET', `/api/v1/nodes/${name}/proxy/healthz`);
    return code === 200;
  });
  asked.length = 0;
  return asked;
}

/** A request as somebody else. */
const as = (
  { call }: TestServer,
  method: string,
  path: string,
  user: string,
  group = 'system:authenticated',
): Promise<Answer> => call(method, path, undefined, { 'impersonate-user': user, 'impersonate-group': group });

t.test('the proxy of a node is for masters and for whom a role gives nodes/proxy', async (t) => {
  const server = await startServer(t);
  const asked = await addNode(t, server, 'n1');
  for (const object of [
    role('look', ['get,list,watch nodes', 'get nodes/status']),
    role('ask', ['get nodes/proxy n1']),
    role('tell', ['create nodes/proxy']),
    binding('look', 'ClusterRole/look', ['user:looker']),
    binding('ask', 'ClusterRole/ask', ['user:asker']),
    binding('tell', 'ClusterRole/tell', ['user:teller']),
    binding('admin', 'ClusterRole/admin', ['user:lord']),
  ])
    await server.client.apply(object as never);

  for (const [user, group, code] of [
    ['root', 'system:masters', 200],
    ['asker', 'system:authenticated', 200],
    ['looker', 'system:authenticated', 403],
    ['teller', 'system:authenticated', 403],
    ['lord', 'system:authenticated', 403],
    ['system:node:n1', 'system:nodes', 403],
    ['system:node:n2', 'system:nodes', 403],
  ] as const)
    t.equal((await as(server, 'GET', TABLES, user, group)).code, code, `${user} of ${group}`);
  t.match((await as(server, 'GET', TABLES, 'system:node:n1', 'system:nodes')).body, {
    reason: 'Forbidden',
    message:
      'nodes "n1" is forbidden: User "system:node:n1" cannot get resource "nodes/proxy" in API group "" at the cluster scope',
  });
  t.equal((await as(server, 'GET', '/api/v1/nodes/n2/proxy/status', 'asker')).code, 403, 'another node');
  t.strictSame(asked, Array(2).fill('GET /tables/fdb?output=json'), 'who is refused reaches no agent');

  t.equal((await as(server, 'POST', TABLES, 'teller')).code, 405, 'allowed, and nothing to create');
  t.equal((await as(server, 'POST', TABLES, 'asker')).code, 403);
  t.equal((await as(server, 'POST', TABLES, 'system:node:n1', 'system:nodes')).code, 403);
  for (const path of [
    '/api/v1/nodes/n1/%70roxy/status',
    '/api/v1/nodes/n1/proxy/status?watch=true',
    '/api/v1/nodes/n1/proxy',
    '/api/v1/nodes/n1/proxy/../proxy/status',
  ])
    t.equal((await as(server, 'GET', path, 'looker')).code, 403, path);
});

t.test('an agent is asked what stands behind the proxy, whatever its node is named', async (t) => {
  const server = await startServer(t);
  const asked = await addNode(t, server, 'proxy-1');
  for (const path of ['/proxy', '/proxy/status', '/%70roxy/pods/a%2Db/proxy?x=1'])
    t.equal((await server.call('GET', `/api/v1/nodes/proxy-1${path}`)).code, 200, path);
  t.strictSame(asked, ['GET /', 'GET /status', 'GET /pods/a%2Db/proxy?x=1']);
});
