import t from 'tap';
import { allocations } from '../../src/control/allocations.js';
import { applyChanges, reconcile, settle } from '../../src/control/reconcile.js';
import { compareNatural } from '../../src/control/order.js';
import { AGENT_ANNOTATION, FLANNEL_BACKEND_DATA, FLANNEL_PUBLIC_IP } from '../../src/api/types.js';
import type { ClusterView, Lab, Namespace, Node, Pod } from '../../src/api/types.js';
import { random } from '../lib/random.js';

const lab = (spec?: Lab['spec']): Lab => ({
  apiVersion: 'podwire.dev/v1alpha1',
  kind: 'Lab',
  metadata: { name: 'demo' },
  spec,
});
const node = (name: string, spec?: Node['spec'], metadata: Partial<Node['metadata']> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, ...metadata },
  spec,
});
const external = (name: string, podCIDR: string): Node =>
  node(
    name,
    { podCIDR },
    {
      annotations: {
        [FLANNEL_PUBLIC_IP]: '192.168.50.9',
        [FLANNEL_BACKEND_DATA]: '{"VNI":1,"VtepMAC":"0e:58:0a:f4:09:00"}',
      },
    },
  );
const pod = (
  name: string,
  spec: Partial<Pod['spec']> = {},
  status?: Pod['status'],
  metadata: Partial<Pod['metadata']> = {},
): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', ...metadata },
  spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
  status,
});
const view = (
  nodes: Node[],
  pods: Pod[] = [],
  labObject = lab(),
  namespaces: Namespace[] = [],
): ClusterView => ({
  lab: labObject,
  namespaces,
  nodes,
  pods,
  services: [],
  endpointSlices: [],
  endpoints: [],
});
const cidrs = (of: ClusterView): Record<string, string | undefined> =>
  Object.fromEntries(of.nodes.map((n) => [n.metadata.name, n.spec?.podCIDR]));
const places = (of: ClusterView): Record<string, string> =>
  Object.fromEntries(of.pods.map((p) => [p.metadata.name, `${p.spec.nodeName} ${p.status?.podIP}`]));

t.test('nodes get the prefixes of the lab in the order of its spec', async (t) => {
  t.strictSame(cidrs(settle(view([node('node2'), node('node1')]))), {
    node2: '10.244.2.0/24',
    node1: '10.244.1.0/24',
  });
  const odd = lab({ nodes: [{ name: 'zeta' }, { name: 'alpha' }] });
  t.strictSame(cidrs(settle(view([node('alpha'), node('zeta')], [], odd))), {
    alpha: '10.244.2.0/24',
    zeta: '10.244.1.0/24',
  });
});

t.test("a lab's node gets its own prefix also when the others come later", async (t) => {
  t.strictSame(cidrs(settle(view([node('node2')]))), { node2: '10.244.2.0/24' });
});

t.test('nodes the lab does not name are counted as people count', async (t) => {
  t.strictSame(cidrs(settle(view([node('vm10'), node('vm9')]))), {
    vm10: '10.244.2.0/24',
    vm9: '10.244.1.0/24',
  });
});

t.test('a node keeps the prefix it has, wherever it lies', async (t) => {
  const settled = settle(
    view([node('a', { podCIDR: '10.244.1.0/24' }), node('b', { podCIDR: '172.30.0.0/20' }), node('node1')]),
  );
  t.strictSame(cidrs(settled), { a: '10.244.1.0/24', b: '172.30.0.0/20', node1: '10.244.2.0/24' });
});

t.test('a prefix that overlaps takes every /24 it touches', async (t) => {
  const nodes = [
    node('a', { podCIDR: '10.244.0.0/22' }),
    node('b', { podCIDR: '10.244.4.128/26' }),
    node('c'),
  ];
  t.strictSame(cidrs(settle(view(nodes)))['c'], '10.244.5.0/24');
});

t.test('of two nodes with one prefix the external host wins, then the older node', async (t) => {
  const old = node('z', { podCIDR: '10.244.7.0/24' }, { creationTimestamp: '2026-01-01T00:00:00Z' });
  const young = node('a', { podCIDR: '10.244.7.0/24' }, { creationTimestamp: '2026-01-02T00:00:00Z' });
  t.strictSame(cidrs(settle(view([young, old]))), { a: '10.244.1.0/24', z: '10.244.7.0/24' });
  t.strictSame(cidrs(settle(view([old, external('k', '10.244.7.0/24')]))), {
    z: '10.244.1.0/24',
    k: '10.244.7.0/24',
  });
});

t.test('the 0th prefix is the last to be given, and then there is none', async (t) => {
  const small = lab({ podCIDR: '10.9.2.0/23' });
  const settled = settle(view([node('a'), node('b'), node('c')], [], small));
  t.strictSame(cidrs(settled), { a: '10.9.3.0/24', b: '10.9.2.0/24', c: undefined });
});

t.test('pods are spread by count, ties by name, and get the lowest free address', async (t) => {
  const pods = ['web-10', 'web-2', 'web-1', 'db'].map((name) => pod(name));
  t.strictSame(places(settle(view([node('node1'), node('node2')], pods))), {
    db: 'node1 10.244.1.2',
    'web-1': 'node2 10.244.2.2',
    'web-2': 'node1 10.244.1.3',
    'web-10': 'node2 10.244.2.3',
  });
});

t.test('nodeName, a node selector and a cordon are respected', async (t) => {
  const nodes = [
    node('node1', { unschedulable: true }),
    node('node2', {}, { labels: { disk: 'ssd' } }),
    node('node3'),
  ];
  const pods = [
    pod('a', { nodeName: 'node1' }),
    pod('b', { nodeSelector: { disk: 'ssd' } }),
    pod('c', { nodeSelector: { disk: 'ssd' } }),
    pod('d'),
  ];
  const settled = places(settle(view(nodes, pods)));
  t.match(settled, { a: /^node1 /, b: /^node2 /, c: /^node2 /, d: /^node3 / });
});

t.test('a pod that fits nowhere says why', async (t) => {
  const why = (of: ClusterView): string | undefined => of.pods[0]!.status?.conditions?.[0]?.message;
  t.equal(why(settle(view([], [pod('a')]))), 'no nodes available to schedule pods');
  const nodes = [node('a', { unschedulable: true }), external('k', '10.244.9.0/24'), node('b')];
  t.equal(
    why(settle(view(nodes, [pod('p', { nodeSelector: { x: 'y' } })]))),
    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were external hosts, 1 node(s) were unschedulable.",
  );
});

t.test('a pod keeps its address; of two with one address the older keeps it', async (t) => {
  const at = (name: string, podIP: string, creationTimestamp: string): Pod =>
    pod(name, { nodeName: 'node1' }, { podIP }, { creationTimestamp });
  const settled = settle(
    view(
      [node('node1')],
      [
        at('young', '10.244.1.7', '2026-01-02T00:00:00Z'),
        at('old', '10.244.1.7', '2026-01-01T00:00:00Z'),
        at('gateway', '10.244.1.1', '2026-01-03T00:00:00Z'),
        at('router', '10.244.1.254', '2026-01-04T00:00:00Z'),
        at('elsewhere', '10.244.9.9', '2026-01-05T00:00:00Z'),
      ],
    ),
  );
  t.strictSame(places(settled), {
    old: 'node1 10.244.1.7',
    young: 'node1 10.244.1.2',
    gateway: 'node1 10.244.1.3',
    router: 'node1 10.244.1.4',
    elsewhere: 'node1 10.244.1.5',
  });
});

t.test('a full node takes no more pods, and a pod that insists says why it waits', async (t) => {
  const pods = Array.from({ length: 253 }, (_, i) => pod(`p${i}`, { nodeName: 'node1' }));
  const settled = settle(view([node('node1'), node('node2')], [...pods, pod('free')]));
  const addresses = settled.pods.filter((p) => p.spec.nodeName === 'node1').map((p) => p.status?.podIP);
  t.equal(new Set(addresses).size, 253);
  t.ok(
    addresses.includes('10.244.1.2') && addresses.includes('10.244.1.253') && addresses.includes(undefined),
  );
  t.match(places(settled)['free'], /^node2 /);
  t.match(settled.pods[252]!.status?.conditions, [
    {},
    {
      type: 'PodReadyToStartContainers',
      status: 'False',
      message: 'Node "node1" has no address for a pod left in 10.244.1.0/24',
    },
  ]);
});

t.test('an address is given back when its pod is gone, not while the pod is ending', async (t) => {
  const first = settle(view([node('node1')], [pod('a'), pod('b')]));
  const [a, b] = first.pods as [Pod, Pod];
  const ending = { ...a, metadata: { ...a.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  t.strictSame(places(settle({ ...first, pods: [ending, b, pod('c')] }))['c'], 'node1 10.244.1.4');
  t.strictSame(places(settle({ ...first, pods: [b, pod('c')] }))['c'], 'node1 10.244.1.2');
});

t.test('an external host is ready, takes no pods, and loses none', async (t) => {
  const settled = settle(
    view(
      [external('k', '10.244.9.0/24'), node('node1')],
      [pod('a'), pod('b'), pod('theirs', { nodeName: 'k' })],
    ),
  );
  const k = settled.nodes[0]!;
  t.match(k, { spec: { unschedulable: true }, status: { conditions: [{ type: 'Ready', status: 'True' }] } });
  t.strictSame(places(settled), {
    a: 'node1 10.244.1.2',
    b: 'node1 10.244.1.3',
    theirs: 'k undefined',
  });
});

t.test("a node with flannel's annotations and an agent is one of ours", async (t) => {
  const ours = external('node1', '10.244.1.0/24');
  ours.metadata.annotations![AGENT_ANNOTATION] = '0.1.0';
  t.match(places(settle(view([ours], [pod('a')]))), { a: 'node1 10.244.1.2' });
});

t.test('pods whose node is gone are removed; those that never had a node wait for it', async (t) => {
  const settled = settle(
    view([], [pod('a', { nodeName: 'gone' }, { podIP: '10.244.1.2' }), pod('b', { nodeName: 'later' })]),
  );
  t.strictSame(
    settled.pods.map((p) => p.metadata.name),
    ['b'],
  );
});

t.test('a namespace that ends deletes its pods, then goes', async (t) => {
  const shop: Namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', deletionTimestamp: '2026-01-01T00:00:00Z' },
  };
  const inside = pod('a', { nodeName: 'node1' }, { podIP: '10.244.1.2' }, { namespace: 'shop' });
  const before = settle(view([node('node1')], [], lab(), []));
  const changes = reconcile({ ...before, namespaces: [shop], pods: [inside, pod('b')] }, 0, 0);
  t.match(
    changes.map((change) => [change.type, change.object.metadata.name]),
    [
      ['delete', 'a'],
      ['update', 'b'],
    ],
  );
  t.match((changes[1]!.object as Pod).status?.podIP, '10.244.1.3', 'its address is not yet free');
  t.match(reconcile({ ...before, namespaces: [shop] }, 0, 0), [
    { type: 'remove', object: { kind: 'Namespace' } },
  ]);
});

t.test('hosts with the same files in another order decide the same', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const r = random(seed);
    const { nodes, pods } = randomObjects(seed);
    const reference = settle(view(nodes, pods));
    const shuffled = settle(view(r.shuffle(nodes), r.shuffle(pods)));
    t.strictSame(places(shuffled), places(reference), `seed ${seed}`);
    t.strictSame(cidrs(shuffled), cidrs(reference), `seed ${seed}`);
  }
});

t.test('control and its naive twin decide the same, step by step', async (t) => {
  for (let seed = 1; seed <= 60; seed++) {
    const r = random(seed * 7919);
    let now = settle(view([node('node1'), node('node2'), node('node3')]));
    let count = 0;
    const decided: unknown[] = [];
    const expected: unknown[] = [];
    for (let step = 0; step < 40; step++) {
      const pods = [...now.pods];
      if (r.int(3) === 0 && pods.length > 0) pods.splice(r.int(pods.length), 1);
      else
        pods.push(
          pod(`p${count++}`, r.int(4) === 0 ? { nodeName: r.pick(['node1', 'node2', 'node3']) } : {}),
        );
      const next = { ...now, pods };
      expected.push(naivePlaces(next));
      now = settle(next);
      decided.push(places(now));
      if (reconcile(now, 5000, 0).length > 0) t.fail(`seed ${seed}, step ${step}: not at rest`);
      const keys = [...now.nodes, ...now.pods].flatMap(allocations).map(({ key }) => key);
      if (new Set(keys).size < keys.length) t.fail(`seed ${seed}, step ${step}: an address twice`);
    }
    t.strictSame(decided, expected, `seed ${seed}`);
  }
});

t.test('changes applied one batch at a time end where settle ends', async (t) => {
  const { nodes, pods } = randomObjects(4711);
  let now = settle(view([]));
  now = {
    ...now,
    nodes: settle(view(nodes)).nodes.map((n) => node(n.metadata.name)),
    pods: settle(view([], pods)).pods,
  };
  for (let round = 0; round < 8; round++) now = applyChanges(now, reconcile(now, 0, 0));
  t.strictSame(
    places(now),
    places(
      settle(
        view(
          nodes.map((n) => node(n.metadata.name)),
          pods,
        ),
      ),
    ),
  );
});

t.test('names are compared as people count', async (t) => {
  const names = ['node10', 'node2', 'node1', 'a', 'node02', 'node2b', ''];
  t.strictSame(names.sort(compareNatural), ['', 'a', 'node1', 'node02', 'node2', 'node2b', 'node10']);
});

t.test('prefixes that overlap share an allocation', async (t) => {
  const keys = (podCIDR: string): string[] => allocations(node('a', { podCIDR })).map(({ key }) => key);
  t.strictSame(keys('10.244.1.0/24'), ['podcidr/10.244.1.0/24']);
  t.strictSame(keys('10.244.1.128/26'), ['podcidr/10.244.1.0/24']);
  t.strictSame(keys('10.244.2.0/23'), ['podcidr/10.244.2.0/24', 'podcidr/10.244.3.0/24']);
  t.strictSame(allocations(pod('a', { hostNetwork: true }, { podIP: '192.168.50.1' })), []);
});

function randomObjects(seed: number): { nodes: Node[]; pods: Pod[] } {
  const r = random(seed);
  const nodes = Array.from({ length: 1 + r.int(6) }, (_, i) =>
    node(
      `n${i}`,
      r.int(3) === 0 ? { podCIDR: `10.244.${1 + r.int(4)}.0/24` } : { unschedulable: r.int(5) === 0 },
    ),
  );
  const pods = Array.from({ length: r.int(40) }, (_, i) =>
    pod(
      `p${i}`,
      r.int(3) === 0 ? { nodeName: `n${r.int(7)}` } : {},
      r.int(4) === 0 ? { podIP: `10.244.${1 + r.int(3)}.${r.int(10)}` } : undefined,
    ),
  );
  return { nodes, pods };
}

/** The same decisions by brute force: one pod after the other, by name, everything counted anew. */
function naivePlaces({ nodes, pods }: ClusterView): Record<string, string> {
  const place = new Map(pods.map((p) => [p.metadata.name, { node: p.spec.nodeName, ip: p.status?.podIP }]));
  const names = [...place.keys()].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  for (const name of names) {
    const mine = place.get(name)!;
    if (!mine.node) {
      const counts = nodes.map((n) => [...place.values()].filter((p) => p.node === n.metadata.name).length);
      mine.node = nodes[counts.indexOf(Math.min(...counts))]!.metadata.name;
    }
    if (mine.ip) continue;
    const prefix = nodes.find((n) => n.metadata.name === mine.node)!.spec!.podCIDR!.replace('0/24', '');
    for (let last = 2; !mine.ip; last++) {
      const ip = `${prefix}${last}`;
      if (![...place.values()].some((p) => p.ip === ip)) mine.ip = ip;
    }
  }
  return Object.fromEntries([...place].map(([name, { node: on, ip }]) => [name, `${on} ${ip}`]));
}
