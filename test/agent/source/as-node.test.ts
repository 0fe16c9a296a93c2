/**
 * An agent as what it is on a host that has joined: the user of its node, with a certificate, over TLS. It can do all that it
 * has to, and the same agent with the certificate of another node cannot.
 */
import { createPublicKey } from 'node:crypto';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { dialServer } from '../../../src/agent/api/dial.js';
import { nodeObject } from '../../../src/agent/node-object.js';
import { createServerSource } from '../../../src/agent/source/server.js';
import { EVENT, LEASE, POD } from '../../../src/api/kinds.js';
import { AGENT_USER, type ClusterView, type Pod, type Secret } from '../../../src/api/types.js';
import { createClient } from '../../../src/client/client.js';
import { encodeSubject } from '../../../src/client/pki/subject.js';
import type { TlsAddress } from '../../../src/client/server-address.js';
import { newKey } from '../../../src/server/access/certificate.js';
import { openCredentials } from '../../../src/server/access/credentials.js';
import { startTls } from '../../lib/tls-server.js';
import { until } from '../../lib/until.js';

const silent = pino({ level: 'silent' });

/** A server, its administrator, and a source for the agent of node1 that comes with the certificate of some node. */
async function start(t: Test, certified: string) {
  const lab = await startTls(t);
  const { url = '' } = await lab.start();
  const key = newKey();
  const certificate = openCredentials(lab.options.data, Date.now()).clientCertificate(
    {
      subject: encodeSubject({ commonName: `system:node:${certified}`, organizations: ['system:nodes'] }),
      publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }),
      hasKeyEncipherment: false,
      lifeMs: 3_600_000,
    },
    Date.now(),
  );
  const address: TlsAddress = {
    url,
    authority: lab.ca(),
    identity: () => ({ key: key.export({ type: 'pkcs8', format: 'pem' }) as string, certificate }),
  };
  const admin = createClient({ socketPath: lab.options.socketPath! });
  t.teardown(() => admin.close());
  const source = createServerSource({
    client: createClient({ ...address, userAgent: `${AGENT_USER}node1` }),
    name: 'server',
    node: 'node1',
    lab: 'demo',
    log: silent,
  });
  t.teardown(() => source.close());
  let view: ClusterView | undefined;
  await source.start((next) => (view = next));
  return { admin, source, address, view: () => view };
}

const NODE_FACTS = { name: 'node1', address: '192.0.2.1', vni: 1, now: '2026-01-01T00:00:00Z' };
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'default' },
  spec: {
    containers: [{ name: 'main', image: 'nginx', envFrom: [{ secretRef: { name: 's' } }] }],
  },
};

t.test('an agent does all it has to as the user of its node', async (t) => {
  const { admin, source, address, view } = await start(t, 'node1');
  source.reportNode(nodeObject({ ...NODE_FACTS, podCidr: '10.244.1.0/24' }));
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' } };
  await admin.create<Secret>({ ...secret, stringData: { k: 'v' } });
  await admin.create(pod);
  const placed = await until('the pod is placed', () => view()?.pods.find(({ status }) => status?.podIP));
  t.match(view()?.secrets, [{ metadata: { name: 's' } }]);
  t.ok(view()?.configMaps?.some(({ metadata }) => metadata.name === 'kube-root-ca.crt'));
  source.reportPod(placed, { phase: 'Running' });
  await until('its status has arrived', async () =>
    (await admin.get(POD, 'a', 'default'))?.status?.phase === 'Running' ? true : undefined,
  );
  const token = await source.requestToken!(placed, { path: 'token', expirationSeconds: 3600 });
  t.match(token, /^ey/);
  source.reportEvent({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'a.1', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'a', namespace: 'default' },
    reason: 'Started',
    count: 1,
  });
  await until('the event has arrived', () => admin.get(EVENT, 'a.1', 'default'));
  await until('the lease has arrived', () => admin.get(LEASE, 'node1', 'kube-node-lease'));
  await admin.remove(POD, 'a', 'default');
  source.podRemoved(placed);
  await until('the pod is gone', () => (view()?.pods.length === 0 ? true : undefined));
  await until('all reports have arrived', () => (source.problems().length === 0 ? true : undefined));

  const warned: string[] = [];
  const said: string[] = [];
  const log = {
    ...silent,
    warn: (text: string) => warned.push(text),
    info: (text: string) => said.push(text),
  };
  const line = dialServer({
    server: address,
    node: 'node1',
    listener: (_, response) => response.end(),
    log: log as never,
  });
  t.teardown(() => line.close());
  await until('the line is open', () =>
    said.includes('The server can reach this agent') ? true : undefined,
  );
  t.strictSame(warned, []);
});

t.test('with the certificate of another node it is refused, and says so', async (t) => {
  const { admin, source } = await start(t, 'node2');
  source.reportNode(nodeObject(NODE_FACTS));
  const refusals = await until('it is refused', () =>
    source.problems().length > 1 ? source.problems() : undefined,
  );
  t.match(refusals.sort(), [
    /"leases".*same name as the requesting node/,
    /node "node2" is not allowed to modify node "node1"/,
  ]);
  t.equal(await admin.get(LEASE, 'node1', 'kube-node-lease'), undefined);
});
