import t from 'tap';
import { labSpec } from '../../src/api/lab.js';
import {
  DNS_CONDITION,
  type ClusterView,
  type Condition,
  type EndpointSlice,
  type Node,
} from '../../src/api/types.js';
import { dnsAddress, reconcileDnsService } from '../../src/control/dns-service.js';
import { applyChanges } from '../../src/control/reconcile.js';

const node = (
  name: string,
  cidr: string,
  ...conditions: [type: string, status: Condition['status']][]
): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: { podCIDR: cidr },
  status: { conditions: conditions.map(([type, status]) => ({ type, status })) },
});

const viewOf = (nodes: Node[], serviceCIDR?: string): ClusterView => ({
  lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'l' }, spec: { serviceCIDR } },
  namespaces: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' } }],
  nodes,
  pods: [],
  services: [],
  endpointSlices: [],
  endpoints: [],
});

const NODES = [
  node('node1', '10.244.1.0/24', ['Ready', 'True'], [DNS_CONDITION, 'True']),
  node('node2', '10.244.2.0/24', ['Ready', 'True'], [DNS_CONDITION, 'False']),
  node('node3', '10.244.3.0/24', ['Ready', 'Unknown'], [DNS_CONDITION, 'True']),
];

t.test('kube-dns leads to every host that answers, the own one first', async (t) => {
  const view = viewOf(NODES);
  const after = applyChanges(view, reconcileDnsService(view));
  const [service] = after.services;
  t.match(service, {
    metadata: { name: 'kube-dns', namespace: 'kube-system' },
    spec: { clusterIP: '10.96.0.10' },
  });
  t.same(
    service!.spec.ports!.map(({ name, port, protocol }) => `${name} ${port} ${protocol}`),
    ['dns 53 UDP', 'dns-tcp 53 TCP', 'metrics 9153 TCP'],
  );
  t.same(
    after.endpointSlices[0]!.endpoints.map(({ addresses, conditions, hints }) => [
      addresses[0],
      conditions?.ready,
      hints?.forNodes?.[0]?.name,
    ]),
    [
      ['10.244.1.1', true, 'node1'],
      ['10.244.2.1', false, 'node2'],
      ['10.244.3.1', false, 'node3'],
    ],
  );
  t.same(after.endpoints[0]!.subsets?.[0]?.addresses, [{ ip: '10.244.1.1' }]);
  t.same(reconcileDnsService(after), [], 'and then nothing is to be done');
});

t.test('without anybody’s report all nodes count', async (t) => {
  const view = viewOf(NODES);
  const slice = applyChanges(view, reconcileDnsService(view, true)).endpointSlices[0] as EndpointSlice;
  t.ok(slice.endpoints.every(({ conditions }) => conditions?.ready));
});

t.test('a serviceCIDR that ends before the tenth address has no kube-dns', async (t) => {
  const view = viewOf(NODES, '10.96.0.0/29');
  t.equal(labSpec(view.lab).serviceCIDR, '10.96.0.0/29');
  t.equal(dnsAddress(view.lab), undefined);
  t.same(reconcileDnsService(view), []);
});
