import t from 'tap';
import { pino } from 'pino';
import { createServerSource } from '../../src/agent/source/server.js';
import { isReady } from '../../src/api/node.js';
import { NODE, SERVICE } from '../../src/api/kinds.js';
import {
  AGENT_ANNOTATION,
  AGENT_USER,
  OWNER_ANNOTATION,
  type Lab,
  type Node,
  type Service,
} from '../../src/api/types.js';
import { createClient } from '../../src/client/client.js';
import { startServer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const log = pino({ level: 'silent' });

const node = (name: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, annotations: { [AGENT_ANNOTATION]: 'test' } },
  status: {
    addresses: [{ type: 'InternalIP', address: `192.168.50.${name.slice(4)}` }],
    conditions: [{ type: 'Ready', status: 'True', reason: 'AgentReady', message: '' }],
  },
});

/** What an agent does of its own: it watches, and says that its node is Ready. */
async function startAgent(server: TestServer, name: string) {
  const client = createClient({ socketPath: server.socketPath, userAgent: AGENT_USER + name });
  const source = createServerSource({ client, name: 'test', node: 'node1', lab: 'demo', log });
  await source.start(() => undefined);
  source.reportNode(node(name));
  const ready = async (): Promise<true> =>
    until(`${name} is Ready`, async () => {
      const found = await server.client.get(NODE, name);
      return found && isReady(found) ? true : undefined;
    });
  await ready();
  return {
    ready,
    /** As after SIGKILL: connections are closed, nothing is said. */ kill: () => source.close(),
    source,
  };
}

/** A broken connection tells at once; the Lease, which tells too, runs out after 40 s. */
const SOON_MS = 20_000;

const condition = async ({ client }: TestServer, name: string) =>
  (await client.get(NODE, name))?.status?.conditions?.find(({ type }) => type === 'Ready');

t.test('a node whose agent is lost is no longer Ready, and another owns its addresses', async (t) => {
  const server = await startServer(t);
  const { client } = server;
  const lab: Lab = {
    apiVersion: 'podwire.dev/v1alpha1',
    kind: 'Lab',
    metadata: { name: 'demo' },
    spec: { underlay: { cidr: '192.168.50.0/24' } },
  };
  await client.create(lab);
  const agents = new Map([
    ['node1', await startAgent(server, 'node1')],
    ['node2', await startAgent(server, 'node2')],
  ]);
  t.teardown(() => Promise.all([...agents.values()].map(({ source }) => source.close())));
  await client.create<Service>({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
  });
  const owner = (is: (name: string) => boolean) =>
    until('an owner', async () => {
      const name = (await client.get(SERVICE, 'web', 'default'))?.metadata.annotations?.[OWNER_ANNOTATION];
      return name !== undefined && is(name) ? name : undefined;
    });
  const first = await owner(() => true);
  const began = Date.now();
  await agents.get(first)!.kill();
  const second = await owner((name) => name !== first);
  const took = Date.now() - began;
  t.comment(`the address moved in ${took} ms`);
  t.ok(took < SOON_MS, 'without waiting for the Lease');
  t.match(await condition(server, first), { status: 'Unknown', reason: 'NodeStatusUnknown' });
  t.match(await condition(server, second), { status: 'True' });
});

t.test('an agent that finds itself given up says that it is there', async (t) => {
  const server = await startServer(t);
  const agent = await startAgent(server, 'node1');
  t.teardown(() => agent.source.close());
  const found = (await server.client.get(NODE, 'node1'))!;
  const lost = { type: 'Ready', status: 'Unknown' as const, reason: 'NodeStatusUnknown', message: '' };
  await server.client.updateStatus({ ...found, status: { ...found.status, conditions: [lost] } });
  t.ok(await agent.ready());
});

t.test('a server that comes back keeps nodes Ready whose agents come back too', async (t) => {
  const server = await startServer(t);
  const agent = await startAgent(server, 'node1');
  t.teardown(() => agent.source.close());
  await server.restart();
  t.match(await condition(server, 'node1'), { status: 'True' });
  await until('the agent is connected again', () =>
    agent.source.problems().length === 0 ? true : undefined,
  );
  t.match(await condition(server, 'node1'), { status: 'True' });
});
