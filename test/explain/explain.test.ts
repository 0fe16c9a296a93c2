import t from 'tap';
import type { ApiObject } from '../../src/api/types.js';
import { parseManifest } from '../../src/client/manifest.js';
import { explain, type Explanation } from '../../src/explain/explain.js';
import { checkQuery, type Query } from '../../src/explain/query.js';
import { viewOf } from '../../src/explain/view.js';
import { serviceObject, sliceObject } from '../lib/services.js';

const NODES = `
apiVersion: v1
kind: Node
metadata: { name: node1 }
spec: { podCIDR: 10.244.1.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.168.50.1 }] }
---
apiVersion: v1
kind: Node
metadata: { name: node2 }
spec: { podCIDR: 10.244.2.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.168.50.2 }] }
---
apiVersion: v1
kind: Pod
metadata: { namespace: default, name: a }
spec: { nodeName: node1, containers: [{ name: c }] }
status: { podIP: 10.244.1.2 }
---
apiVersion: v1
kind: Pod
metadata: { namespace: default, name: b }
spec: { nodeName: node1, containers: [{ name: c }] }
status: { podIP: 10.244.1.3 }
`;
const VIP = '10.96.0.9';
const OUTSIDE = '203.0.113.7';

const nodes = (): ApiObject[] => parseManifest(NODES, 'nodes.yaml').map(({ object }) => object);

function ask(objects: readonly ApiObject[], query: Partial<Query>): Explanation {
  const full = { node: 'node1', from: '10.244.1.2', to: VIP, port: 80, ...query };
  return explain(viewOf([...nodes(), ...objects]), checkQuery(full));
}

const web = (spec: Parameters<typeof serviceObject>[1] = {}): ApiObject =>
  serviceObject('web', { clusterIP: VIP, clusterIPs: [VIP], ...spec });

const stages = ({ path }: Explanation): string[] => path.map(({ stage }) => stage);

t.test('a pod reaches the endpoints of a Service, here and on another node', async (t) => {
  const objects = [web(), sliceObject('web', [{ ip: '10.244.1.3' }, { ip: '10.244.2.7' }])];
  const answer = ask(objects, { tries: 64 });
  t.match(answer, { verdict: 'forward', sourceRewritten: false, problems: [] });
  t.same(answer.backends.map(({ ip, port }) => `${ip}:${port}`).sort(), [
    '10.244.1.3:8080',
    '10.244.2.7:8080',
  ]);
  t.equal(
    answer.backends.reduce((sum, { count }) => sum + count, 0),
    64,
  );
  t.same(ask(objects, { tries: 64 }), answer, 'and the same question has the same answer');
});

t.test('every step names the row that decided', async (t) => {
  const answer = ask([web(), sliceObject('web', [{ ip: '10.244.2.7' }])], {});
  t.same(
    answer.path.map(({ stage, rule }) => `${stage}: ${rule}`),
    [
      'port in: pod default/a',
      'service: default/web:80 cluster-ip 10.96.0.9:80',
      'dnat: default/web:80 10.244.2.7:8080',
      'route: node node2',
      'port out: vxlan',
    ],
  );
  t.match(answer.path.at(-1)!.text, 'in VXLAN to node node2 at 192.168.50.2');
});

t.test('verdicts: refused, silent, unmatched, the host’s own, and without a Service', async (t) => {
  t.match(ask([web()], {}), { verdict: 'reject', backends: [], reason: /no endpoint/ });
  t.same(stages(ask([web()], {})), ['port in', 'service', 'reject', 'port out']);
  const local = web({
    type: 'NodePort',
    externalTrafficPolicy: 'Local',
    ports: [{ port: 80, nodePort: 30080 }],
  });
  const far = sliceObject('web', [{ ip: '10.244.2.7', node: 'node2' }]);
  t.match(ask([local, far], { from: OUTSIDE, to: '192.168.50.1', port: 30080 }), {
    verdict: 'drop',
    reason: /keeps its traffic local/,
  });
  t.match(ask([web()], { port: 81 }), { verdict: 'no-service', reason: /No Service has 10.96.0.9:81/ });
  t.match(ask([], { from: OUTSIDE, to: '192.168.50.1', port: 31000 }), { verdict: 'no-service' });
  t.match(ask([], { from: OUTSIDE, to: '192.168.50.1', port: 22 }), { verdict: 'local' });
  t.match(ask([], { to: '192.168.50.1', port: 22 }), { verdict: 'local' });
  t.match(ask([], { to: '10.244.1.3' }), { verdict: 'forward', backends: [], sourceRewritten: false });
  t.match(ask([], { to: '10.244.1.9' }), { verdict: 'drop', reason: /nobody answers the ARP/ });
  t.match(ask([], { to: '9.9.9.9' }), { verdict: 'forward', sourceRewritten: true });
  t.match(ask([], { to: '10.244.9.9' }), { verdict: 'reject', reason: /to no node/ });
  t.match(ask([], { to: 'fd00::1' }), { verdict: 'drop', reason: /IPv6/ });
});

t.test('the host answers health checks of a Service whose traffic stays local', async (t) => {
  const service = web({
    type: 'LoadBalancer',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 30002,
    loadBalancer: '192.168.50.200',
  });
  t.match(ask([service], { from: OUTSIDE, to: '192.168.50.1', port: 30002 }), {
    verdict: 'local',
    reason: /health check port of Service default\/web/,
  });
});

t.test('ping: a pod, the gateway, the router', async (t) => {
  const ping = { protocol: 'icmp', port: undefined };
  t.match(ask([], { ...ping, to: '10.244.1.3' }), { verdict: 'forward' });
  t.match(ask([], { ...ping, to: '10.244.1.1' }), { verdict: 'local', reason: /host's own/ });
  t.match(ask([], { ...ping, to: '10.244.1.254' }), { verdict: 'local', reason: /router's own/ });
});

t.test('where a packet comes in decides', async (t) => {
  const objects = [web(), sliceObject('web', [{ ip: '10.244.1.3' }])];
  const of = (from: string, more: Partial<Query> = {}): string =>
    `${ask(objects, { from, ...more }).path[0]!.rule} ${ask(objects, { from, ...more }).sourceRewritten}`;
  t.equal(of('10.244.1.2'), 'pod default/a false');
  t.equal(of('10.244.1.3'), 'pod default/b true', 'hairpin');
  t.equal(of('10.244.1.77'), 'pod ?/10.244.1.77 false', 'a pod that is no object');
  t.equal(of('10.244.2.7'), 'vxlan false');
  t.equal(of('192.168.50.1'), 'pw0 true');
  t.equal(of(OUTSIDE), 'pw0 true');
  const forged = ask(objects, { from: '10.244.1.2', inInterface: 'underlay' });
  t.match(forged, { verdict: 'drop', reason: /can not be a sender/ }, 'a pod’s address from outside');
});

t.test('affinity keeps a client’s connections together', async (t) => {
  const slice = sliceObject('web', [{ ip: '10.244.1.3' }, { ip: '10.244.2.7' }, { ip: '10.244.2.8' }]);
  t.match(ask([web({ sessionAffinity: 'ClientIP' }), slice], { tries: 50 }).backends, [{ count: 50 }]);
});

t.test('Services with a selector find the pods of the files', async (t) => {
  const [pod] = parseManifest(
    'apiVersion: v1\nkind: Pod\nmetadata: {namespace: default, name: x, labels: {app: x}}\n' +
      'spec: {nodeName: node2, containers: [{name: c}]}\nstatus: {podIP: 10.244.2.9}\n',
    'x.yaml',
  );
  const service = web({ selector: { app: 'x' }, ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }] });
  t.match(ask([service, pod!.object], {}).backends, [{ ip: '10.244.2.9', port: 8080, count: 1 }]);
});

t.test('what the objects say stands, also outside of the lab’s networks', async (t) => {
  const [node, pod] = parseManifest(
    'apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: {podCIDR: 10.42.0.0/24}\n' +
      'status: {addresses: [{type: InternalIP, address: 172.16.0.9}]}\n---\n' +
      'apiVersion: v1\nkind: Pod\nmetadata: {namespace: default, name: p}\nspec: {nodeName: n, containers: [{name: c}]}\n' +
      'status: {podIP: 10.42.0.17}\n',
    'k3s.yaml',
  );
  const service = serviceObject('web', { clusterIP: '10.43.0.10', clusterIPs: ['10.43.0.10'] });
  const view = viewOf([node!.object, pod!.object, service, sliceObject('web', [{ ip: '10.42.0.17' }])]);
  const answer = explain(view, { from: OUTSIDE, to: '10.43.0.10', port: 80 });
  t.match(answer, { verdict: 'forward', backends: [{ ip: '10.42.0.17', port: 8080 }] });
  t.equal(answer.path.find(({ stage }) => stage === 'port out')?.rule, 'pod default/p');
});

t.test('a query that cannot be read says which field is wrong', async (t) => {
  for (const [query, message] of [
    [[], /need an object/],
    [{ to: '1.2.3.4', port: 1 }, /"from"/],
    [{ from: '1.2.3.4', to: '1.2.3.4' }, /"port" undefined/],
    [{ from: '1.2.3.4', to: '1.2.3.4', port: 70000 }, /"port" 70000/],
    [{ from: '1.2.3.4', to: '1.2.3.4', port: 1, protocol: 'x' }, /"protocol" "x"/],
    [{ from: '1.2.3.4', to: '1.2.3.4', port: 1, tries: 0 }, /"tries" 0/],
    [{ from: '1.2.3.4', to: '1.2.3.4', port: 1, inInterface: 'lo' }, /"inInterface" "lo"/],
  ] as const)
    t.throws(() => checkQuery(query), { message });
  t.throws(() => ask([], { node: 'x' }), { message: /no Node "x"; there are: node1, node2/ });
  t.throws(() => ask([], { from: 'pod-a' }), { message: /"from" "pod-a": need an IP address/ });
});
