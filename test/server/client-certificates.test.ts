import { createPublicKey, randomBytes, sign, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as tlsConnect, createServer, type TLSSocket } from 'node:tls';
import t from 'tap';
import { openCredentials } from '../../src/server/access/credentials.js';
import {
  makeAuthority,
  makeClientCertificate,
  newKey,
  type Certificate,
} from '../../src/server/access/certificate.js';
import { createCertificateOwner } from '../../src/server/access/client-certificates.js';
import { bitString, integer, objectId, sequence, time } from '../../src/client/pki/der.js';
import { formatPem } from '../../src/client/pki/pem.js';
import { hashAuthority } from '../../src/client/join-token.js';
import { encodeSubject } from '../../src/client/pki/subject.js';
import { needsOpenssl, openssl } from '../lib/openssl.js';
import type { TestScope } from '../lib/scope.js';
import { ask, startTls, type Answer } from '../lib/tls-server.js';

const DAY = 24 * 3_600_000;
const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });
const ALICE = { commonName: 'alice', organizations: ['dev', 'ops'] };

/** A server, and the right to sign in its name. */
async function start(t: TestScope) {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const credentials = openCredentials(lab.options.data, Date.now());
  const key = newKey();
  const own = (lifeMs: number, subject = ALICE, now = Date.now()): { key: string; cert: string } => ({
    key: pemOf(key),
    cert: credentials.clientCertificate(
      { subject: encodeSubject(subject), publicKey: spkiOf(key), hasKeyEncipherment: false, lifeMs },
      now,
    ),
  });
  const whoami = (identity: { key?: string; cert?: string; token?: string }): Promise<Answer> =>
    ask(url, {
      ca: lab.ca(),
      ...identity,
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      method: 'POST',
      body: {},
    });
  return { lab, url, credentials, own, whoami, key };
}

const userOf = ({ body }: Answer): unknown =>
  (JSON.parse(body) as { status: { userInfo: unknown } }).status.userInfo;

t.test('a certificate of ours lets in: the name is the user, organizations are groups', async (t) => {
  const { own, whoami, lab } = await start(t);
  t.strictSame(userOf(await whoami(own(DAY))), {
    username: 'alice',
    groups: ['dev', 'ops', 'system:authenticated'],
  });
  t.match(userOf(await whoami({ ...own(DAY), token: lab.token() })), { username: 'alice' }, 'before a token');
  t.match(userOf(await whoami({ token: lab.token() })), { username: 'podwire:admin' });
});

t.test('no other one does', async (t) => {
  const { own, whoami, credentials, key, lab } = await start(t);
  const foreign = makeAuthority('podwire-ca', Date.now());
  const of = (issuer: Certificate, now = Date.now()): string =>
    makeClientCertificate(
      { name: 'podwire-ca', key: issuer.key },
      { subject: encodeSubject(ALICE), publicKey: spkiOf(key), hasKeyEncipherment: true, lifeMs: DAY },
      now,
    );
  const server = credentials.serverCertificate(['localhost']);
  for (const [what, identity, why] of [
    [
      'a foreign authority of the same name',
      { cert: of(foreign) },
      /not signed by the authority|signature is wrong/,
    ],
    ['and its whole chain', { cert: of(foreign) + foreign.certificate }, /not signed by the authority/],
    [
      'a foreign one of tomorrow',
      { cert: of(foreign, Date.now() + DAY) },
      /is not good before|not signed by/,
    ],
    ['signed by itself', { cert: selfSigned(key) }, /signed by itself/],
    ['expired', own(DAY, ALICE, Date.now() - 2 * DAY), /has expired at 20/],
    ['of tomorrow', own(DAY, ALICE, Date.now() + DAY), /is not good before 20.*do the clocks agree/],
    ['a server’s', { cert: server.certificate, key: pemOf(server.key) }, /it is not for clients/],
  ] as const) {
    const answer = await whoami({ key: pemOf(key), ...identity });
    t.match(answer, { code: 401, body: /"reason":"Unauthorized"/ }, what);
    t.match(answer.body, /the client certificate of \\"[^"]*\\" is not accepted/, what);
    t.match(answer.body, why, what);
    t.match(userOf(await whoami({ key: pemOf(key), ...identity, token: lab.token() })), {
      username: 'podwire:admin',
    });
  }
});

/** A certificate of version 1, without extensions. */
function selfSigned(key: KeyObject): string {
  const algorithm = sequence(objectId('1.2.840.10045.4.3.2'));
  const name = encodeSubject(ALICE);
  const body = sequence(
    integer(randomBytes(8)),
    algorithm,
    name,
    sequence(time(Date.now() - DAY), time(Date.now() + DAY)),
    name,
    spkiOf(key),
  );
  return formatPem('CERTIFICATE', sequence(body, algorithm, bitString(sign('sha256', body, key))));
}

t.test('a session that is resumed has the certificate of the first', async (t) => {
  const { url, lab, own } = await start(t);
  const { hostname, port } = new URL(url);
  const identity = own(DAY);
  const open = (session?: Buffer): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const options = { host: hostname, port: Number(port), ca: lab.ca(), ...identity, session };
      const socket = tlsConnect(options, () => resolve(socket));
      socket.on('error', reject);
      t.teardown(() => socket.destroy());
    });
  const ask = (socket: TLSSocket): Promise<string> =>
    new Promise((resolve) => {
      socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1').slice(0, 12)));
      socket.write(`GET /version HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    });
  const first = await open();
  const session = new Promise<Buffer>((resolve) => first.once('session', resolve));
  t.equal(await ask(first), 'HTTP/1.1 200');
  const second = await open(await session);
  t.ok(second.isSessionReused());
  t.equal(await ask(second), 'HTTP/1.1 200');
});

t.test('a certificate ends on a connection that lives on', async (t) => {
  const { credentials, key } = await start(t);
  let now = Date.now();
  const owner = createCertificateOwner(() => now);
  const cert = credentials.clientCertificate(
    { subject: encodeSubject(ALICE), publicKey: spkiOf(key), hasKeyEncipherment: false, lifeMs: DAY },
    now,
  );
  const own = credentials.serverCertificate(['localhost']);
  const server = createServer({
    key: pemOf(own.key),
    cert: own.certificate,
    ca: credentials.authority,
    requestCert: true,
    rejectUnauthorized: false,
  });
  t.teardown(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const accepted = new Promise<TLSSocket>((resolve) => server.once('secureConnection', resolve));
  const client = tlsConnect({
    port,
    servername: 'localhost',
    ca: credentials.authority,
    cert,
    key: pemOf(key),
  });
  t.teardown(() => client.destroy());
  const socket = await accepted;
  t.match(owner(socket), { username: 'alice' });
  now += DAY + 1000;
  t.throws(() => owner(socket), { code: 401, message: /has expired/ });
});

t.test('a certificate for clients is what openssl takes it for', { skip: needsOpenssl() }, async (t) => {
  const { credentials, own } = await start(t);
  const folder = t.testdir();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const ca = file('ca.pem', credentials.authority);
  const { cert } = own(30 * DAY, { commonName: 'system:node:n1', organizations: ['system:nodes'] });
  t.match(openssl(['verify', '-CAfile', ca, '-purpose', 'sslclient', file('c.pem', cert)]), /: OK/);
  const text = openssl(['x509', '-noout', '-text'], cert);
  t.match(text, /Subject: O = system:nodes, CN = system:node:n1/);
  t.match(text, /TLS Web Client Authentication/);
  t.match(text, /CA:FALSE/);
  t.notMatch(text, /TLS Web Server/);
});

t.test('the server sends its authority along, for who has only a hash of it', async (t) => {
  const { url, lab } = await start(t);
  const { hostname, port } = new URL(url);
  const hash = await new Promise<string>((resolve, reject) => {
    const socket = tlsConnect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(hashAuthority(socket.getPeerCertificate(true).issuerCertificate.raw));
      socket.destroy();
    });
    socket.on('error', reject);
  });
  t.equal(hash, hashAuthority(lab.ca()));
});
