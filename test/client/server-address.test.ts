import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { dialServer } from '../../src/agent/api/dial.js';
import { NODE, POD, SERVICE_ACCOUNT } from '../../src/api/kinds.js';
import type { ApiObject, Node, Pod } from '../../src/api/types.js';
import { createClient } from '../../src/client/client.js';
import { createInformer } from '../../src/client/informer.js';
import { connectToPort } from '../../src/client/relay.js';
import { hostAndPort, type KeyAndCertificate } from '../../src/client/server-address.js';
import { makeAuthority, makeServerCertificate } from '../../src/server/access/certificate.js';
import { ask, startTls } from '../lib/tls-server.js';
import { until } from '../lib/until.js';

const NOW = Date.now();
const authority = { name: 'test-ca', ...makeAuthority('test-ca', NOW) };
const issue = (...names: string[]): KeyAndCertificate => {
  const { key, certificate } = makeServerCertificate(authority, names, NOW);
  return { key: key.export({ type: 'pkcs8', format: 'pem' }) as string, certificate };
};

/** A server, and its administrator's client. */
async function startTlsServer(t: Test) {
  const tls = await startTls(t);
  const server = await tls.start();
  const address = { url: server.url!, authority: tls.ca(), bearer: tls.token() };
  const client = createClient(address);
  t.teardown(() => client.close());
  return { address, client, stop: () => server.close(), start: () => tls.start() };
}

t.test('a URL says host and port, or what is wrong with it', async (t) => {
  t.same(hostAndPort('https://192.0.2.1:6443'), { host: '192.0.2.1', port: 6443 });
  t.same(hostAndPort('https://vm1/'), { host: 'vm1', port: 443 });
  t.same(hostAndPort('https://[2001:db8::1]:6443'), { host: '2001:db8::1', port: 6443 });
  for (const url of ['http://a:1', 'vm1:6443', 'https://', 'https://a:1/b', 'https://a:99999', 'https://u@a'])
    t.throws(() => hostAndPort(url), { message: /expected https:\/\/HOST:PORT/ }, url);
});

t.test('a client over TLS reads, writes, watches, and gets tokens', async (t) => {
  const server = await startTlsServer(t);
  const { client } = server;
  const nodes = new Map<string, Node>();
  const informer = createInformer<Node>(client, NODE, {
    changed: (items) => {
      nodes.clear();
      for (const [key, node] of items) nodes.set(key, node);
    },
  });
  t.teardown(() => informer.close());
  await informer.start();
  await client.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
  await until('the watch tells of the node', () => nodes.size === 1);
  const account = await until('there is an account', () => client.get(SERVICE_ACCOUNT, 'default', 'default'));
  t.equal(account.metadata.name, 'default');
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'default' } };
  await client.create<Pod & ApiObject>({ ...pod, spec: { containers: [{ name: 'c', image: 'nginx' }] } });
  t.equal((await client.list(POD)).items.length, 1);
  t.match(await client.requestToken('default', 'default', {}), /^[\w-]+\.[\w-]+\.[\w-]+$/);
  await server.stop();
  await t.rejects(client.list(POD), {
    code: 503,
    message: `Cannot reach the server at "${server.address.url}": nobody listens there; has the server ended?`,
  });
  await server.start();
  await client.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n2' } });
  await until('the watch is back', () => nodes.size === 2);
});

t.test('a client trusts one authority, and shows what it was given', async (t) => {
  const server = await startTlsServer(t);
  const { url } = server.address;
  const strangers = createClient({ url, authority: authority.certificate, bearer: server.address.bearer });
  t.teardown(() => strangers.close());
  await t.rejects(strangers.list(POD), {
    code: 503,
    message: /another authority has signed its certificate: it is not the server that we trust/,
  });
  const nobody = createClient({ url, authority: server.address.authority });
  t.teardown(() => nobody.close());
  await t.rejects(nobody.list(POD), { code: 401 });
});

t.test('the agent’s line and the relay of its pods go to the port', async (t) => {
  const server = await startTlsServer(t);
  const { address } = server;
  const words: string[] = [];
  const line = dialServer({
    server: address,
    node: 'n1',
    listener: (_request, response) => void response.end('from the agent\n'),
    log: pino({}, { write: (text: string) => void words.push(text) }),
  });
  t.teardown(() => line.close());
  await until('the line is open', () => words.some((text) => text.includes('can reach this agent')));
  await server.client.create<Pod & ApiObject>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', namespace: 'default' },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'nginx' }] },
  });
  const log = '/api/v1/namespaces/default/pods/a/log';
  t.same(await ask(address.url, { ca: address.authority, token: address.bearer, path: log }), {
    code: 200,
    body: 'from the agent\n',
  });
  const socket = await connectToPort(address.url);
  socket.destroy();
  await server.stop();
  await t.rejects(connectToPort(address.url), { code: 'ECONNREFUSED' });
});

t.test('a renewed certificate is shown by new connections, and watches begin anew with it', async (t) => {
  const seen: string[] = [];
  const own = issue('127.0.0.1');
  const server = createServer(
    {
      key: own.key,
      cert: own.certificate,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      const certificate = (request.socket as TLSSocket).getPeerX509Certificate();
      seen.push(`${request.url!.includes('watch=') ? 'watch' : 'list'} ${certificate?.subjectAltName}`);
      response.writeHead(200, { 'content-type': 'application/json' });
      if (request.url!.includes('watch=')) response.flushHeaders();
      else response.end('{"items":[],"metadata":{"resourceVersion":"7"}}');
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  let identity = issue('first');
  const client = createClient({
    url: `https://127.0.0.1:${port}`,
    authority: authority.certificate,
    identity: () => identity,
  });
  t.teardown(() => client.close());
  const troubles: (string | undefined)[] = [];
  const informer = createInformer(client, NODE, {
    changed: () => {},
    trouble: (error) => troubles.push(error?.message),
  });
  t.teardown(() => informer.close());
  await informer.start();
  await until('it watches', () => seen.length === 2);
  await client.list(POD);
  identity = issue('second');
  client.reconnect();
  await until('it watches again', () => seen.length === 4);
  await client.list(POD);
  t.same(seen, [
    'list DNS:first',
    'watch DNS:first',
    'list DNS:first',
    'watch DNS:second',
    'list DNS:second',
  ]);
  t.same(troubles, [], 'which is no trouble');
});
