/** Cases about where traffic goes: addresses, protocols, policies, terminating endpoints, topology. */
import type { Test } from 'tap';
import type { ServiceSpec } from '../../../src/api/types.js';
import { nodeAddresses } from '../../../src/compile/node-addresses.js';
import { bytesOfPacket, L2, NO_OFFLOAD, tcpPacket } from '../../../src/sim/packet.js';
import type { Stream } from '../../../src/sim/stream.js';
import { parseIpv4 } from '../../../src/wire/address.js';
import * as ethernet from '../../../src/wire/ethernet.js';
import * as tcp from '../../../src/wire/tcp.js';
import { HTTP, UDP, type Client, type Cluster } from './cluster.js';
import type { Driver } from './cases.js';

/** HTTP at port 80 and UDP at port 90. */
const BOTH: ServiceSpec['ports'] = [
  { name: 'http', port: 80, targetPort: HTTP },
  { name: 'udp', port: 90, protocol: 'UDP', targetPort: UDP },
];

const NODES = ['node0', 'node1'];

const nodePortOf = (spec: ServiceSpec, name?: string): number =>
  (name === undefined ? spec.ports![0]! : spec.ports!.find((one) => one.name === name)!).nodePort!;

/** A NodePort Service with a server on each node; who asks is one of them or another pod. */
const matrix =
  (protocol: 'TCP' | 'UDP', asker: 'pod' | 'endpoint'): Driver =>
  async (t, cluster) => {
    const servers = await cluster.addPods('web', 2, NODES);
    const { spec } = await cluster.addService('web', { type: 'NodePort', ports: BOTH });
    const client = asker === 'pod' ? await cluster.addPod('client') : cluster.pod(servers[0]!);
    const [port, name] = protocol === 'TCP' ? [80, 'http'] : [90, 'udp'];
    t.strictSame(cluster.seen(client, spec.clusterIP!, port, protocol), servers, 'by the ClusterIP');
    for (const node of NODES)
      t.strictSame(
        cluster.seen(client, cluster.nodeIp(node), nodePortOf(spec, name), protocol),
        servers,
        `by the NodePort of ${node}`,
      );
  };

/** The servers of a Service, one of which is deleted. */
const endpointGoes =
  (protocol: 'TCP' | 'UDP', port: number): Driver =>
  async (t, cluster) => {
    const client = await cluster.addPod('client');
    const servers = await cluster.addPods('web', 3, NODES);
    const { spec } = await cluster.addService('web', { ports: BOTH });
    t.strictSame(cluster.seen(client, spec.clusterIP!, port, protocol), servers);
    await cluster.removePod('web-2');
    t.strictSame(cluster.seen(client, spec.clusterIP!, port, protocol), ['web-1', 'web-3']);
  };

/** A Service whose only endpoint, on node0, ends and goes on serving; and a client on each node. */
async function terminating(cluster: Cluster, spec: Partial<ServiceSpec>): Promise<[ServiceSpec, Client[]]> {
  const clients: Client[] = [];
  for (const node of NODES) clients.push(await cluster.addPod(`client-${node}`, { node }));
  await cluster.addPod('web', { lingers: true });
  const service = await cluster.addService('web', spec);
  await cluster.removePod('web');
  return [service.spec, clients];
}

const reaches = (t: Test, cluster: Cluster, client: Client, ip: string, port: number, what: string): void =>
  void t.match(cluster.tcp(client, ip, port), { by: 'web' }, what);
const misses = (t: Test, cluster: Cluster, client: Client, ip: string, port: number, what: string): void =>
  void t.type(cluster.tcp(client, ip, port), 'string', what);

/** Under internalTrafficPolicy Local: clients on node0 reach the server there, those on node1 do not. */
const internalLocal =
  (options: { server?: boolean; clients: boolean[] }): Driver =>
  async (t, cluster) => {
    await cluster.addPod('web', { hostNetwork: options.server });
    const { spec } = await cluster.addService('web', { internalTrafficPolicy: 'Local' });
    for (const hostNetwork of options.clients) {
      const [here, there] = [
        await cluster.addPod(`here-${hostNetwork}`, { hostNetwork }),
        await cluster.addPod(`there-${hostNetwork}`, { hostNetwork, node: 'node1' }),
      ];
      const who = hostNetwork ? 'a host-network client' : 'a pod';
      reaches(t, cluster, here, spec.clusterIP!, 80, `${who} on node0`);
      misses(t, cluster, there, spec.clusterIP!, 80, `${who} on node1`);
    }
  };

/** What a UDP client with one source port gets, every few hundred milliseconds for a minute at most, until it is `wanted`. */
function keepsAsking(cluster: Cluster, client: Client, ip: string, port: number, wanted: string): string[] {
  const heard = new Set<string>();
  for (let i = 0; i < 60 && !heard.has(wanted); i++) {
    const reply = cluster.udp(client, ip, port, 12345);
    heard.add(typeof reply === 'string' ? reply : reply.by);
    cluster.sim.run(300);
  }
  return [...heard];
}

const udpSwitch =
  (type: 'ClusterIP' | 'NodePort'): Driver =>
  async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('backend1', { app: 'web', node: 'node1' });
    const { spec } = await cluster.addService('web', { type, ports: [BOTH![1]!] });
    const [ip, port] =
      type === 'ClusterIP' ? [spec.clusterIP!, 90] : [cluster.nodeIp('node0'), nodePortOf(spec)];
    t.strictSame(keepsAsking(cluster, client, ip, port, 'backend1'), ['backend1']);
    await cluster.addPod('backend2', { app: 'web', node: 'node1' });
    await cluster.removePod('backend1');
    t.equal(keepsAsking(cluster, client, ip, port, 'backend2').at(-1), 'backend2');
  };

/** Clients reach the endpoints of their own zone, whatever node these are on. */
const zonal =
  (trafficDistribution: string, zones: readonly string[], pods: readonly string[]): Driver =>
  async (t, cluster) => {
    const zoneOf = (node: string): string => zones[Number(node.slice(4))]!;
    for (const node of pods) await cluster.addPod(`web-${node}`, { app: 'web', node });
    const { spec } = await cluster.addService('web', { trafficDistribution });
    for (let i = 0; i < zones.length; i++) {
      const client = await cluster.addPod(`client-${i}`, { node: `node${i}` });
      const near = pods.filter((node) => zoneOf(node) === zones[i]);
      t.strictSame(
        cluster.seen(client, spec.clusterIP!, 80),
        (near.length > 0 ? near : pods).map((node) => `web-${node}`).sort(),
        `node${i} in zone ${zones[i]}`,
      );
    }
  };

export const ZONES: Record<string, readonly string[]> = {
  'svc-113': ['a', 'b', 'c'],
  'svc-114': ['a', 'a', 'b', 'b'],
  'svc-116': ['a', 'a', 'b', 'b'],
};

export const TRAFFIC: Record<string, Driver> = {
  'svc-005': async (t, cluster) => {
    await cluster.addPod('web');
    const client = await cluster.addPod('client', { node: 'node1' });
    const { spec } = await cluster.addService('web');
    t.strictSame(cluster.tcp(client, spec.clusterIP!, 80), { by: 'web', saw: cluster.podIp('client') });
  },

  'svc-006': async (t, cluster) => {
    const pod = await cluster.addPod('web');
    const { spec } = await cluster.addService('web', { ports: [{ port: HTTP, targetPort: HTTP }] });
    t.match(cluster.tcp(pod, spec.clusterIP!, HTTP), { by: 'web' });
  },

  'svc-011': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const servers = await cluster.addPods('web', 2, NODES);
    const { spec } = await cluster.addService('web', { type: 'NodePort' });
    t.strictSame(cluster.resolve('web').addresses, [spec.clusterIP], 'its name is that of its ClusterIP');
    t.strictSame(cluster.seen(client, spec.clusterIP!, 80), servers);
    for (const node of NODES)
      t.strictSame(cluster.seen(client, cluster.nodeIp(node), nodePortOf(spec)), servers);
  },

  'svc-012': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const servers = await cluster.addPods('web', 2);
    await cluster.addService('web', { externalIPs: ['203.0.113.250'] });
    t.strictSame(cluster.seen(client, '203.0.113.250', 80), servers);
  },

  'svc-008': async (t, cluster) => {
    const client = await cluster.addPod('client');
    for (const round of ['first', 'second']) {
      const servers = await cluster.addPods('web', 3);
      const { spec } = await cluster.addService('web');
      t.strictSame(cluster.seen(client, spec.clusterIP!, 80), servers, `the ${round} time`);
      await cluster.removeService('web');
      for (const name of servers) await cluster.removePod(name);
    }
  },

  'svc-021': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('web', { isReady: false, lingers: true });
    const { spec } = await cluster.addService('web', { publishNotReadyAddresses: true });
    t.strictSame(cluster.resolve('web').addresses, [spec.clusterIP]);
    reaches(t, cluster, client, spec.clusterIP!, 80, 'although it is not ready');
    await cluster.patchService('web', { spec: { publishNotReadyAddresses: false } });
    misses(t, cluster, client, spec.clusterIP!, 80, 'once that is not published');
    await cluster.patchService('web', { spec: { publishNotReadyAddresses: true } });
    await cluster.removePod('web');
    reaches(t, cluster, client, spec.clusterIP!, 80, 'while it terminates');
  },

  'svc-022': async (t, cluster) => {
    const client = await cluster.addPod('client', { node: 'node1' });
    await cluster.addPod('web', { isReady: false, lingers: true });
    const { spec } = await cluster.addService('web', { type: 'NodePort', publishNotReadyAddresses: true });
    await cluster.removePod('web');
    reaches(t, cluster, client, spec.clusterIP!, 80, 'by the ClusterIP');
    for (const node of NODES)
      reaches(t, cluster, client, cluster.nodeIp(node), nodePortOf(spec), `by the NodePort of ${node}`);
  },

  'svc-030': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const label = 'service.kubernetes.io/service-proxy-name';
    await cluster.addPods('disabled', 3);
    const toggled = await cluster.addPods('toggled', 3);
    const hidden = (await cluster.addService('disabled', {}, { [label]: 'another' })).spec.clusterIP!;
    const ip = (await cluster.addService('toggled')).spec.clusterIP!;
    const isHidden = (): void =>
      void t.type(cluster.tcp(client, hidden, 80), 'string', 'the hidden one is silent');
    isHidden();
    t.strictSame(cluster.seen(client, ip, 80), toggled);
    await cluster.patchService('toggled', { metadata: { labels: { [label]: 'another' } } });
    t.type(cluster.tcp(client, ip, 80), 'string', 'with the label it stops');
    await cluster.patchService('toggled', { metadata: { labels: { [label]: null } } });
    t.strictSame(cluster.seen(client, ip, 80), toggled);
    isHidden();
  },

  'svc-032': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const { spec } = await cluster.addService('web');
    t.equal(cluster.tcp(client, spec.clusterIP!, 80), 'refused');
  },

  'svc-034': internalLocal({ clients: [false] }),
  'svc-035': internalLocal({ clients: [true] }),
  'svc-036': internalLocal({ server: true, clients: [false, true] }),

  'svc-038': async (t, cluster) => {
    const [spec, clients] = await terminating(cluster, {});
    for (const [i, client] of clients.entries())
      reaches(t, cluster, client, spec.clusterIP!, 80, `from node${i}`);
  },

  'svc-039': async (t, cluster) => {
    const [spec, clients] = await terminating(cluster, { internalTrafficPolicy: 'Local' });
    reaches(t, cluster, clients[0]!, spec.clusterIP!, 80, 'from node0');
    misses(t, cluster, clients[1]!, spec.clusterIP!, 80, 'from node1');
  },

  'svc-040': async (t, cluster) => {
    const [spec, clients] = await terminating(cluster, { type: 'NodePort' });
    for (const node of NODES)
      for (const client of clients) reaches(t, cluster, client, cluster.nodeIp(node), nodePortOf(spec), node);
  },

  'svc-041': async (t, cluster) => {
    const [spec, clients] = await terminating(cluster, { type: 'NodePort', externalTrafficPolicy: 'Local' });
    const port = nodePortOf(spec);
    misses(t, cluster, clients[0]!, cluster.nodeIp('node1'), port, 'node0 → node1');
    reaches(t, cluster, clients[0]!, cluster.nodeIp('node0'), port, 'node0 → node0');
    reaches(t, cluster, clients[1]!, cluster.nodeIp('node0'), port, 'node1 → node0');
  },

  'svc-046': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('web');
    const tcp = { name: 'tcp', port: 80, targetPort: HTTP, protocol: 'TCP' as const };
    const udp = { name: 'udp', port: 80, targetPort: UDP, protocol: 'UDP' as const };
    const { spec } = await cluster.addService('web', { ports: [tcp, udp] });
    const ip = spec.clusterIP!;
    t.match(cluster.tcp(client, ip, 80), { by: 'web' });
    t.match(cluster.udp(client, ip, 80), { by: 'web' });
    await cluster.patchService('web', { spec: { ports: [tcp] } });
    t.match(cluster.tcp(client, ip, 80), { by: 'web' });
    t.type(cluster.udp(client, ip, 80), 'string', 'no UDP');
    await cluster.patchService('web', { spec: { ports: [udp] } });
    t.match(cluster.udp(client, ip, 80), { by: 'web' });
    t.type(cluster.tcp(client, ip, 80), 'string', 'no TCP');
  },

  'svc-047': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('web');
    const ports: ServiceSpec['ports'] = [
      { name: 'tcp', port: 80, targetPort: HTTP, protocol: 'TCP' },
      { name: 'udp', port: 80, targetPort: UDP, protocol: 'UDP' },
    ];
    const { spec } = await cluster.addService('web', { type: 'LoadBalancer', ports });
    t.match(cluster.tcp(client, spec.clusterIP!, 80), { by: 'web' });
    t.match(cluster.udp(client, spec.clusterIP!, 80), { by: 'web' });
  },

  'svc-049': udpSwitch('NodePort'),
  'svc-050': udpSwitch('ClusterIP'),

  'svc-051': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('backend1', { app: 'web' });
    const { spec } = await cluster.addService('web', { internalTrafficPolicy: 'Local', ports: [BOTH![1]!] });
    const ip = spec.clusterIP!;
    t.strictSame(keepsAsking(cluster, client, ip, 90, 'backend1'), ['backend1']);
    await cluster.removePod('backend1');
    await cluster.addPod('backend2', { app: 'web', node: 'node1' });
    for (let i = 0; i < 5; i++) t.type(cluster.udp(client, ip, 90, 12345), 'string', 'backend2 is not local');
    await cluster.addPod('backend3', { app: 'web' });
    t.equal(keepsAsking(cluster, client, ip, 90, 'backend3').at(-1), 'backend3');
  },

  'svc-054': async (t, cluster) => {
    const client = (await cluster.addPod('client'))(0);
    await cluster.addPod('web', { node: 'node1' });
    const { spec } = await cluster.addService('web', { ports: [{ port: 80, targetPort: 9000 }] });
    const server = cluster.pod('web')(0);
    const served: Stream[] = [];
    server.listen(9000, (stream) => void served.push(stream));
    const stream = client.connect(parseIpv4(spec.clusterIP!)!, 80);
    const isOpen = (): boolean => stream.state === 'established' && served[0]?.state === 'established';
    t.ok(cluster.sim.runUntil(isOpen, 1000));
    // From the server's port to the client's, far outside of any window.
    const segment = { srcPort: 9000, dstPort: 40_000, seq: 0x7fff0000, ack: 1, flags: tcp.ACK };
    const wild = tcpPacket({ src: server.ip, dst: client.ip }, segment, new Uint8Array(100), false);
    const router = nodeAddresses(cluster.sim.view.nodes[1]!.spec!.podCIDR!)!.routerMac;
    ethernet.setDst(wild.v, L2, router.hi, router.lo);
    ethernet.setSrc(wild.v, L2, server.mac.hi, server.mac.lo);
    const before = client.frames;
    cluster.sim.hosts.get('node1')!.fromEndpoint('pod default/web', bytesOfPacket(wild), NO_OFFLOAD);
    cluster.sim.run(100);
    t.equal(client.resets, 0, 'the client is not made to reset');
    t.ok(client.frames - before <= 2, 'it got one packet, as from the Service, or none');
    served[0]!.write(new Uint8Array(1000));
    t.ok(
      cluster.sim.runUntil(() => stream.receivedLen === 1000, 1000),
      'the connection goes on',
    );
    t.equal(server.resets, 0);
  },

  'svc-055': matrix('TCP', 'pod'),
  'svc-057': matrix('TCP', 'endpoint'),
  'svc-058': matrix('UDP', 'pod'),
  'svc-060': matrix('UDP', 'endpoint'),

  'svc-062': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const servers = await cluster.addPods('web', 2, NODES);
    const spec = { type: 'NodePort' as const, selector: { app: 'web' } };
    await cluster.addService('a', spec);
    const b = await cluster.addService('b', spec);
    await cluster.removeService('a');
    t.strictSame(cluster.seen(client, b.spec.clusterIP!, 80), servers);
    for (const node of NODES)
      t.strictSame(cluster.seen(client, cluster.nodeIp(node), nodePortOf(b.spec)), servers, node);
  },

  'svc-063': endpointGoes('TCP', 80),
  'svc-065': endpointGoes('UDP', 90),

  'svc-072': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const servers = await cluster.addPods('web', 2, NODES, { hostNetwork: true });
    const { spec } = await cluster.addService('web', { type: 'NodePort', ports: BOTH });
    for (const name of servers) {
      t.match(cluster.tcp(client, cluster.podIp(name), HTTP), { by: name });
      t.match(cluster.udp(client, cluster.podIp(name), UDP), { by: name });
    }
    t.strictSame(cluster.seen(client, spec.clusterIP!, 80), servers);
    t.strictSame(cluster.seen(client, spec.clusterIP!, 90, 'UDP'), servers);
    for (const node of NODES) {
      t.strictSame(cluster.seen(client, cluster.nodeIp(node), nodePortOf(spec, 'http')), servers);
      t.strictSame(cluster.seen(client, cluster.nodeIp(node), nodePortOf(spec, 'udp'), 'UDP'), servers);
    }
  },

  'svc-113': zonal('PreferClose', ZONES['svc-113']!, ['node0', 'node1']),
  'svc-114': zonal('PreferClose', ZONES['svc-114']!, ['node0', 'node1', 'node2']),
  'svc-116': zonal('PreferSameZone', ZONES['svc-116']!, ['node0', 'node1', 'node2']),
};
