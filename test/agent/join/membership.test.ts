import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { clockProblem, fetchAuthority } from '../../../src/agent/join/first-contact.js';
import { readIdentity, type Identity } from '../../../src/agent/join/identity.js';
import { joinCluster, type JoinOptions } from '../../../src/agent/join/join.js';
import { createMembership } from '../../../src/agent/join/membership.js';
import { bootstrapTokenSecret, PODWIRE_BOOTSTRAPPERS } from '../../../src/api/bootstrap-token.js';
import { LEASE, NODE } from '../../../src/api/kinds.js';
import type { Lease } from '../../../src/api/types.js';
import { createClient } from '../../../src/client/client.js';
import {
  formatJoinToken,
  hashAuthority,
  newTokenWords,
  parseJoinToken,
} from '../../../src/client/join-token.js';
import { startTls } from '../../lib/tls-server.js';
import { until } from '../../lib/until.js';

const DAY_MS = 24 * 3600 * 1000;

/** A server, a token for it, a folder for a host, and what the host has logged. */
async function makeCluster(t: Test) {
  const tls = await startTls(t);
  let server = await tls.start();
  const url = server.url!;
  const admin = createClient({ url, authority: tls.ca(), bearer: tls.token() });
  t.teardown(() => admin.close());
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-join-`));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const words: string[] = [];
  const log = pino({}, { write: (line: string) => void words.push(line) });
  const path = join(folder, 'n1', 'identity.json');
  const makeToken = async () => {
    const made = newTokenWords();
    await admin.create(
      bootstrapTokenSecret({
        ...made,
        expiration: undefined,
        groups: [PODWIRE_BOOTSTRAPPERS],
        description: '',
        isForAuthentication: true,
      }),
    );
    return parseJoinToken(formatJoinToken({ ...made, authorityHash: hashAuthority(tls.ca()) }));
  };
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const joinAs = (more: Partial<JoinOptions> = {}): Promise<Identity> =>
    joinCluster({
      node: 'n1',
      path,
      url,
      address: () => Promise.resolve('192.0.2.1'),
      log,
      stop: stop.signal,
      ...more,
    });
  return {
    url,
    admin,
    path,
    folder,
    words,
    log,
    stop,
    makeToken,
    joinAs,
    authority: tls.ca(),
    stopServer: () => server.close(),
    startServer: async () => void (server = await tls.start()),
  };
}

t.test('a certificate is renewed in time, kept, and shown to the server', async (t) => {
  const cluster = await makeCluster(t);
  const { url, path, log } = cluster;
  const first = await cluster.joinAs({ token: await cluster.makeToken() });
  t.same(readIdentity(path), first);
  let ahead = 0;
  const membership = createMembership({
    identity: first,
    path,
    log,
    now: () => Date.now() + ahead,
    lookMs: 5,
  });
  const client = createClient({ ...membership.address, userAgent: 'podwire-agent/n1' });
  t.teardown(() => client.close());
  t.teardown(() => membership.close());
  const lease = (name: string): Lease => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: 'kube-node-lease' },
    spec: { holderIdentity: name },
  });
  await client.create(lease('n1'));
  await t.rejects(client.create(lease('n2')), { code: 403 }, 'of another node');
  membership.start(client);
  t.same(readIdentity(path), first, 'not before its time');
  const end = new X509Certificate(first.certificate).validTo;
  ahead = Date.parse(end) - Date.now() - DAY_MS;
  const second = await until('it is renewed', () => {
    const now = readIdentity(path)!;
    return now.certificate !== first.certificate && now;
  });
  t.not(second.key, first.key, 'with a new key');
  t.equal(membership.address.identity!()!.certificate, second.certificate);
  t.equal((await client.get(LEASE, 'n1', 'kube-node-lease'))?.metadata.name, 'n1');
  t.same(membership.problems(), []);
  const again = await cluster.joinAs({ url: undefined });
  t.equal(again.certificate, second.certificate, 'the next start has it, and knows the server');
  t.equal(again.url, url);
});

t.test(
  'a certificate that cannot be renewed is told, and one that has expired says what to do',
  async (t) => {
    const cluster = await makeCluster(t);
    const { path, log } = cluster;
    const identity = await cluster.joinAs({ token: await cluster.makeToken() });
    await cluster.stopServer();
    let ahead = 29 * DAY_MS;
    const now = () => Date.now() + ahead;
    const membership = createMembership({ identity, path, log, now, lookMs: 5 });
    const client = createClient(membership.address);
    t.teardown(() => client.close());
    t.teardown(() => membership.close());
    membership.start(client);
    await until('it is told', () => membership.problems().length === 1);
    t.match(
      membership.problems()[0],
      /certificate ends at .* could not be renewed yet: Cannot reach the server/,
    );
    ahead = 31 * DAY_MS;
    await until('it is told', () => /has expired/.test(membership.problems()[0] ?? ''));
    t.match(membership.problems()[0], /packets go on; type "podwire token create --print-join-command"/);
    await t.rejects(cluster.joinAs({ now }), {
      message:
        /The certificate of node "n1" has expired at .*: it must join anew; type "podwire token create/,
    });
    ahead = -2 * DAY_MS;
    await t.rejects(cluster.joinAs({ now }), {
      message: /certificate is good from .*, and it is .*: set its clock/,
    });
    await cluster.startServer();
    await until('it is renewed', () => membership.problems().length === 1);
  },
);

t.test('clocks that differ are told with both times, before anything is asked for', async (t) => {
  const cluster = await makeCluster(t);
  const token = await cluster.makeToken();
  const address = { url: cluster.url, authority: await fetchAuthority(cluster.url, token.authorityHash) };
  t.equal(await clockProblem(address, Date.now), undefined);
  const later = () => Date.now() + 120_000;
  t.match(
    await clockProblem(address, later),
    /The clocks are 1[12]\d s apart: it is \d{4}-.*Z on the server and \d{4}-.*Z on this host/,
  );
  await t.rejects(cluster.joinAs({ token, now: later }), { message: /The clocks are/ });
  t.equal(readIdentity(cluster.path), undefined);
  const { items } = await cluster.admin.list(NODE);
  t.same(items, []);
});

t.test('a host is of one cluster, and of one node', async (t) => {
  const cluster = await makeCluster(t);
  const token = await cluster.makeToken();
  await cluster.joinAs({ token });
  t.equal((await cluster.joinAs({ token })).node, 'n1', 'the same token again does no harm');
  const foreign = { ...token, authorityHash: '0'.repeat(64) };
  await t.rejects(cluster.joinAs({ token: foreign }), {
    message: /a node of another cluster.* Leave it with "podwire agent --cleanup --forget" first/,
  });
  await t.rejects(cluster.joinAs({ node: 'n2' }), { message: /is of node "n1"/ });
  writeFileSync(cluster.path, '{"url": ');
  await t.rejects(cluster.joinAs({ token }), {
    message: /Cannot use this host's identity in .*put the file back/,
  });
  t.equal(readFileSync(cluster.path, 'utf8'), '{"url": ', 'and it is left as it is');
});

t.test('an identity that cannot be kept is good until the agent ends', async (t) => {
  const cluster = await makeCluster(t);
  symlinkSync('nowhere', join(cluster.folder, 'full')); // no folder can be made where such a link is
  const path = join(cluster.folder, 'full', 'identity.json');
  const identity = await cluster.joinAs({ token: await cluster.makeToken(), path });
  t.equal(identity.node, 'n1');
  t.ok(
    cluster.words.some((line) =>
      /Cannot keep this host's identity .*its next start needs a token/.test(line),
    ),
  );
});

t.test('a server that does not answer yet is waited for, until somebody stops that', async (t) => {
  const cluster = await makeCluster(t);
  const token = await cluster.makeToken();
  await cluster.stopServer();
  const joining = cluster.joinAs({ token });
  await until('it says so', () => cluster.words.some((line) => line.includes('; trying again')));
  await cluster.startServer();
  t.equal((await joining).node, 'n1');

  await cluster.stopServer();
  rmSync(cluster.path);
  const waiting = cluster.joinAs({ token });
  cluster.stop.abort(new Error('told to end'));
  await t.rejects(waiting, { message: 'told to end' });
});
