import t from 'tap';
import { serviceAddresses } from '../../src/compile/service-addresses.js';
import type { Node, Service, ServiceSpec } from '../../src/api/types.js';

const INSIDE = ['10.244.0.0/16', '10.96.0.0/12'];

const node = (name: string, address: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP', address }] },
});
const nodes = [node('node1', '192.168.50.1'), node('node2', '192.168.50.2')];

const service = (
  name: string,
  spec: Partial<ServiceSpec>,
  owner?: string,
  ingress: object[] = [],
): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name,
    namespace: 'default',
    annotations: owner === undefined ? {} : { 'podwire.dev/owner': owner },
  },
  spec: { clusterIP: '10.96.0.41', ports: [{ port: 80 }], ...spec },
  status: { loadBalancer: { ingress } },
});
const on = (name: string, ...services: Service[]) => serviceAddresses({ services, nodes }, name, INSIDE);

t.test('every host routes an address, its owner answers for it', async (t) => {
  const lb = service('web', { type: 'LoadBalancer' }, 'node2', [{ ip: '192.168.50.200' }]);
  t.same(on('node1', lb), { routed: ['192.168.50.200'], owned: [], steered: [] });
  t.same(on('node2', lb), { routed: ['192.168.50.200'], owned: ['192.168.50.200'], steered: [] });
  const external = service('web', { externalIPs: ['203.0.113.9', '192.168.50.100'] }, 'node1');
  t.same(on('node1', external).owned, ['192.168.50.100', '203.0.113.9']);
});

t.test('without an owner nobody answers', async (t) => {
  t.same(on('node1', service('web', { externalIPs: ['203.0.113.9'] })), {
    routed: ['203.0.113.9'],
    owned: [],
    steered: [],
  });
});

t.test('an address that Services share has one owner, whatever their order', async (t) => {
  const a = service('a', { externalIPs: ['203.0.113.9'] }, 'node1');
  const b = service('b', { externalIPs: ['203.0.113.9'] }, 'node2');
  t.same([on('node1', a, b).owned, on('node1', b, a).owned], [['203.0.113.9'], ['203.0.113.9']]);
  t.same([on('node2', a, b).owned, on('node2', b, a).owned], [[], []]);
});

t.test("a host's own address as external one steers the ports that no range has, on that host", async (t) => {
  const web = service('web', {
    externalIPs: ['192.168.50.1'],
    ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }, { port: 30080 }, { port: 7, protocol: 'SCTP' }],
  });
  t.same(on('node1', web), {
    routed: [],
    owned: [],
    steered: [
      { protocol: 'tcp', port: 80 },
      { protocol: 'udp', port: 53 },
    ],
  });
  t.same(on('node2', web), { routed: [], owned: [], steered: [] });
});

t.test("addresses that are none of the kernel's business are left out", async (t) => {
  const ip = [{ ip: '192.168.50.200' }];
  for (const [why, one] of [
    ['IPv6', service('a', { externalIPs: ['2001:db8::1'] })],
    ['a ClusterIP', service('a', { externalIPs: ['10.96.0.50'] })],
    ['a pod', service('a', { externalIPs: ['10.244.2.2'] })],
    ['headless', service('a', { clusterIP: 'None', externalIPs: ['203.0.113.9'] })],
    ['ExternalName', service('a', { type: 'ExternalName', externalIPs: ['203.0.113.9'] })],
    ['was a LoadBalancer', service('a', { type: 'ClusterIP' }, 'node1', ip)],
    ['ipMode Proxy', service('a', { type: 'LoadBalancer' }, 'node1', [{ ...ip[0], ipMode: 'Proxy' }])],
    ['a name', service('a', { type: 'LoadBalancer' }, 'node1', [{ hostname: 'lb.example' }])],
  ] as const)
    t.same(on('node1', one), { routed: [], owned: [], steered: [] }, why);
});
