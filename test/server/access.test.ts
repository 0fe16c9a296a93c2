import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { pino } from 'pino';
import t from 'tap';
import { openCredentials } from '../../src/server/access/credentials.js';
import { bitString, integer, objectId, sequence, time, value } from '../../src/client/pki/der.js';
import { parseListenAddress, urlOf } from '../../src/server/listen.js';
import { createServer } from '../../src/server/server.js';
import { connectToTls } from '../../src/client/relay.js';
import { createClient } from '../../src/client/client.js';
import { LAB, POD, SERVICE_ACCOUNT } from '../../src/api/kinds.js';
import type { ApiObject, Pod } from '../../src/api/types.js';
import { ask, startTls, type Answer } from '../lib/tls-server.js';
import { until } from '../lib/until.js';

const log = pino({ level: 'silent' });
const hex = (bytes: Buffer): string => bytes.toString('hex');

t.test('DER has the shortest form of everything', async (t) => {
  // X.690 §8.1.3.5: 201 bytes of contents have a length of two bytes.
  t.equal(hex(value(0x04, Buffer.alloc(201))).slice(0, 6), '0481c9');
  t.equal(hex(value(0x04, Buffer.alloc(300))).slice(0, 8), '0482012c');
  t.equal(hex(integer(Buffer.of(0x80))), '02020080', 'the top bit is no sign');
  t.equal(hex(integer(Buffer.of(0, 0, 0x7f))), '02017f', 'no leading zeros');
  t.equal(hex(integer(Buffer.of(0))), '020100');
  // X.690 §8.19.5: {2 100 3} is 813403; here 1.2.840.113549, RSA's own.
  t.equal(hex(objectId('1.2.840.113549')), '06062a864886f70d');
  t.equal(hex(bitString(Buffer.of(0b0000_0110), 1)), '03020106');
  t.equal(time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1'), '\x17\x0d491231235959Z');
  t.equal(time(Date.UTC(2050, 0, 1)).toString('latin1'), '\x18\x0f20500101000000Z');
  t.equal(hex(sequence(integer(Buffer.of(1)), integer(Buffer.of(2)))), '3006020101020102');
});

t.test('a certificate is what X.509 readers take it for', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-ca-`));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const credentials = openCredentials(folder, Date.now());
  const authority = new X509Certificate(credentials.authority);
  t.ok(authority.ca);
  t.ok(authority.verify(authority.publicKey));
  const made = credentials.serverCertificate(['localhost', '10.96.0.1', '::1', 'kubernetes.default.svc']);
  const server = new X509Certificate(made.certificate);
  t.notOk(server.ca);
  t.ok(server.checkIssued(authority));
  t.ok(server.verify(authority.publicKey));
  t.ok(server.checkPrivateKey(made.key));
  t.equal(server.checkHost('kubernetes.default.svc'), 'kubernetes.default.svc');
  t.equal(server.checkIP('10.96.0.1'), '10.96.0.1');
  t.ok(server.checkIP('::1'));
  t.equal(server.checkHost('example.org'), undefined);
  t.ok(Date.parse(server.validFrom) < Date.now() && Date.parse(server.validTo) > Date.now() + 3e10);
});

t.test('credentials are made once, for their owner alone, and never replaced', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-cred-`));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'credentials.json');
  const first = openCredentials(folder, Date.now());
  t.equal(statSync(file).mode & 0o777, 0o600);
  const second = openCredentials(folder, Date.now());
  t.equal(second.token, first.token);
  t.equal(second.authority, first.authority);
  writeFileSync(file, '{"token":');
  t.throws(() => openCredentials(folder, 0), /^Cannot use the credentials in .*put the file back/);
  t.equal(readFileSync(file, 'utf8'), '{"token":');
  writeFileSync(file, '{"token":"x"}');
  t.throws(() => openCredentials(folder, 0), /it has no authorityKey/);
});

t.test('over TLS nobody is answered without the token', async (t) => {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const ca = lab.ca();
  const token = lab.token();
  t.equal(statSync(join(lab.folder, 'kubeconfig')).mode & 0o777, 0o600);
  t.match(await ask(url, { ca, token }), { code: 200, body: /gitVersion/ });
  await t.rejects(
    ask(url, { token }),
    /self-signed|unable to (get|verify)/,
    'who does not know the authority',
  );
  for (const [what, headers] of [
    ['no token', {}],
    ['another token', { authorization: `Bearer ${token}x` }],
    ['no bearer', { authorization: `Basic ${token}` }],
    ['an empty one', { authorization: 'Bearer ' }],
  ] as const) {
    for (const path of ['/version', '/healthz', '/api/v1/secrets'])
      t.match(await ask(url, { ca, headers, path }), { code: 401, body: /"reason":"Unauthorized"/ }, what);
  }
});

t.test('pages of other servers and foreign names are refused', async (t) => {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const both = { ca: lab.ca(), token: lab.token() };
  const { host } = new URL(url);
  t.match(await ask(url, { ...both, headers: { origin: `https://${host}` } }), { code: 200 });
  t.match(await ask(url, { ...both, headers: { origin: 'https://evil.example' } }), {
    code: 403,
    body: /Cannot answer a page of \\"https:..evil.example\\"/,
  });
  t.match(await ask(url, { ...both, headers: { origin: 'null' } }), { code: 403 });
  t.match(await ask(url, { ...both, headers: { host: 'evil.example' } }), {
    code: 403,
    body: /evil.example\\": that is no name of this server/,
  });
  t.match(await ask(url, { ...both, headers: { host: 'kubernetes.default.svc' } }), { code: 200 });
});

t.test('a server that starts again has its port, its authority and its token', async (t) => {
  const lab = await startTls(t);
  const first = await lab.start();
  const before = readFileSync(join(lab.folder, 'kubeconfig'), 'utf8');
  await first.close();
  const second = await lab.start();
  t.equal(second.url, first.url);
  t.equal(readFileSync(join(lab.folder, 'kubeconfig'), 'utf8'), before);
});

t.test('a port that is taken is said so, and nothing stays open', async (t) => {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const port = Number(new URL(url).port);
  const other = await startTls(t, { listen: { host: '127.0.0.1', port } });
  await t.rejects(other.start(), { message: /another program listens there; choose another port/ });
  const again = await createServer({ data: other.options.data, socketPath: other.options.socketPath!, log });
  await again.close();
});

t.test('TLS comes in over the path socket too, and asks for the token there', async (t) => {
  const { listen: _, kubeconfig: __, ...rest } = (await startTls(t)).options;
  const server = await createServer(rest);
  t.teardown(() => server.close());
  t.equal(server.url, undefined);
  const { token, authority } = openCredentials(rest.data, Date.now());
  const socket = await connectToTls(rest.socketPath!);
  const tls = tlsConnect({ socket, ca: authority, servername: 'kubernetes.default.svc' });
  t.teardown(() => tls.destroy());
  let text = '';
  tls.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  tls.write('GET /version HTTP/1.1\r\nHost: 10.96.0.1\r\n\r\n');
  await until('an answer without token', () => (text.includes('"code":401') ? true : undefined));
  tls.write(`GET /version HTTP/1.1\r\nHost: 10.96.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await until('an answer', () => (text.includes('gitVersion') ? true : undefined));
  t.match(text, /^HTTP\/1\.1 401 [^]*HTTP\/1\.1 200 OK/);
});

t.test('other upgrades are refused with words', async (t) => {
  const lab = await startTls(t);
  await lab.start();
  const socket = connect(lab.options.socketPath!);
  t.teardown(() => socket.destroy());
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.write('GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
  await until('an answer', () => (text.endsWith('}') ? true : undefined));
  t.match(text, /^HTTP\/1\.1 400 Bad Request[^]*Cannot upgrade \/version to \\"chat\\"/);
});

t.test('the certificate follows the range of the Services', async (t) => {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const certificateNames = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(url);
      const socket = tlsConnect({ host: hostname, port: Number(port), ca: lab.ca() }, () => {
        resolve(socket.getPeerCertificate().subjectaltname ?? '');
        socket.destroy();
      });
      socket.on('error', reject);
    });
  t.match(await certificateNames(), /IP Address:10\.96\.0\.1/);
  const client = createClient({ socketPath: lab.options.socketPath! });
  t.teardown(() => client.close());
  await client.create({
    apiVersion: `${LAB.group}/${LAB.versions[0]}`,
    kind: 'Lab',
    metadata: { name: 'l' },
    spec: { serviceCIDR: '172.30.0.0/16' },
  } as never);
  await until('the new name', async () =>
    (await certificateNames()).includes('IP Address:172.30.0.1') ? true : undefined,
  );
  t.match(await ask(url, { ca: lab.ca(), token: lab.token(), headers: { host: '172.30.0.1' } }), {
    code: 200,
  });
});

t.test('where to listen', async (t) => {
  t.strictSame(parseListenAddress('127.0.0.1:6443'), { host: '127.0.0.1', port: 6443 });
  t.strictSame(parseListenAddress('[::1]:0'), { host: '::1', port: 0 });
  t.strictSame(parseListenAddress(':6443'), { host: '0.0.0.0', port: 6443 });
  for (const text of ['6443', 'a:b', '127.0.0.1', '::1:80', 'a:70000', '[x]:1', ''])
    t.equal(parseListenAddress(text), undefined, text);
  t.equal(urlOf({ host: '::', port: 1 }), 'https://127.0.0.1:1');
  t.equal(urlOf({ host: '::1', port: 1 }), 'https://[::1]:1');
  t.equal(urlOf({ host: 'node1', port: 1 }), 'https://node1:1');
});

t.test('a service account’s token lets in as long as the account and its pod are there', async (t) => {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const client = createClient({ socketPath: lab.options.socketPath! });
  t.teardown(() => client.close());
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'robot', namespace: 'default' },
  };
  await client.create<ApiObject>(account);
  const pod = await client.create<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'nginx' }] },
  });
  const path = '/api/v1/namespaces/default/serviceaccounts/robot/token';
  const request = (spec: object): Promise<Answer> =>
    ask(url, { ...admin, path, method: 'POST', body: { spec } });
  const admin = { ca: lab.ca(), token: lab.token() };
  const tokenOf = ({ code, body }: Answer): string => {
    t.equal(code, 201);
    const { status } = JSON.parse(body) as { status: { token: string; expirationTimestamp: string } };
    t.ok(Date.parse(status.expirationTimestamp) > Date.now() + 3_000_000);
    return status.token;
  };
  const whoami = async (token: string): Promise<Answer> =>
    ask(url, {
      ca: lab.ca(),
      token,
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      method: 'POST',
      body: {},
    });
  const plain = tokenOf(await request({}));
  t.match(await whoami(plain), { code: 201, body: /"username":"system:serviceaccount:default:robot"/ });
  const bound = tokenOf(await request({ boundObjectRef: { kind: 'Pod', name: 'p', uid: pod.metadata.uid } }));
  t.match(await whoami(bound), { code: 201, body: /system:serviceaccounts:default/ });
  const elsewhere = tokenOf(await request({ audiences: ['vault'] }));
  t.match(await whoami(elsewhere), { code: 401 }, 'a token for somebody else');
  const [header, payload, signature] = plain.split('.');
  const forged = Buffer.from(payload!, 'base64url').toString().replace('robot', 'other');
  for (const token of [
    `${header}.${Buffer.from(forged).toString('base64url')}.${signature}`,
    `${header}.${payload}.`,
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
  ])
    t.match(await whoami(token), { code: 401 });
  t.match(await request({ expirationSeconds: 30 }), {
    code: 422,
    body: /may not specify a duration less than 10 minutes/,
  });
  t.match(await request({ boundObjectRef: { kind: 'Pod', name: 'p', uid: 'x' } }), { code: 409 });
  t.match(await request({ boundObjectRef: { kind: 'Pod', name: 'none' } }), { code: 404 });
  await client.remove(POD, 'p', 'default');
  t.match(await whoami(bound), { code: 401 }, 'its pod is gone');
  t.match(await whoami(plain), { code: 201 });
  await client.remove(SERVICE_ACCOUNT, 'robot', 'default');
  await client.create<ApiObject>(account);
  t.match(await whoami(plain), { code: 401 }, 'another account of the same name');
});
