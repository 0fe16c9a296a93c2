/** Objects to rows: what is left out and why, and how little changes when little changes. */
import t from 'tap';
import { FLANNEL_BACKEND_DATA, FLANNEL_PUBLIC_IP, type ClusterView, type Node } from '../../src/api/types.js';
import type { CompileInput } from '../../src/compile/compile.js';
import { compile, Compiler } from '../../src/compile/compiler.js';
import { Ids, type Image } from '../../src/compile/image.js';
import { MasterCopy } from '../../src/compile/master-copy.js';
import { CAPACITIES, STATIC_NAMES } from '../../src/tables/tables.js';
import { nodeObject, podObject } from '../lib/host-bench.js';

const port = (handle: number) => ({ handle, offload: 7, isCaptured: false });

function view(changes: Partial<ClusterView> = {}): ClusterView {
  return {
    lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'demo' } },
    namespaces: [],
    services: [],
    endpointSlices: [],
    endpoints: [],
    nodes: [nodeObject(1), nodeObject(2), nodeObject(3)],
    pods: [podObject('a', 'node1', '10.244.1.2'), podObject('b', 'node2', '10.244.2.2')],
    ...changes,
  };
}

const inputOf = (of: ClusterView): CompileInput => ({
  view: of,
  node: 'node1',
  host: port(1),
  tunnel: port(2),
  pods: new Map(of.pods.map((pod, i) => [`default/${pod.metadata.name}`, port(3 + i)])),
});

const keysOf = (image: Image): Record<string, string[]> =>
  Object.fromEntries(STATIC_NAMES.map((name) => [name, [...image[name].keys()].sort()]));

function changedNode(number: number, change: (node: Node) => void): Node {
  const node = structuredClone(nodeObject(number));
  change(node);
  return node;
}

t.test('a host knows its own pods, and the others by their nodes', async (t) => {
  const { image, problems } = compile(inputOf(view()), new Ids(CAPACITIES));
  t.same(problems, []);
  t.same(keysOf(image), {
    ports: ['pod default/a', 'pw0', 'vxlan'],
    segments: ['cni0'],
    services: [],
    endpoints: [],
    backends: [],
    ranges: [],
    neighbors: ['default/a'],
    routes: [
      'default',
      'gateway',
      'node node1',
      'node node2',
      'node node3',
      'podCIDR',
      'router',
      'serviceCIDR',
    ],
    vteps: ['node2', 'node3'],
  });
});

t.test('a node without a pod CIDR compiles to nothing, and says so', async (t) => {
  const nodes = [changedNode(1, (node) => delete node.spec)];
  const { image, problems } = compile(inputOf(view({ nodes })), new Ids(CAPACITIES));
  t.same(problems, ['Node "node1" has no usable podCIDR yet']);
  t.same(Object.values(keysOf(image)).flat(), []);
});

t.test('a pod without an address or a port, on the host’s network, or elsewhere has no rows', async (t) => {
  const pods = [
    podObject('without-address', 'node1', ''),
    {
      ...podObject('host', 'node1', '192.168.50.1'),
      spec: { nodeName: 'node1', containers: [], hostNetwork: true },
    },
    podObject('elsewhere', 'node2', '10.244.2.2'),
  ];
  const input = inputOf(view({ pods: [...pods, podObject('without-port', 'node1', '10.244.1.9')] }));
  const open = new Map([...input.pods].filter(([name]) => name !== 'default/without-port'));
  const { image } = compile({ ...input, pods: open }, new Ids(CAPACITIES));
  t.same(keysOf(image).neighbors, []);
  t.same(keysOf(image).ports, ['pw0', 'vxlan']);
});

t.test('a peer that cannot be reached is left out and named, with the reason', async (t) => {
  const annotation = (node: Node, name: string, value: string): void => {
    node.metadata.annotations![name] = value;
  };
  const cases: [string, (node: Node) => void][] = [
    [
      'it has no annotation flannel.alpha.coreos.com/public-ip and no IPv4 address',
      (node) => annotation(node, FLANNEL_PUBLIC_IP, 'fd00::1'),
    ],
    [
      'its annotation flannel.alpha.coreos.com/backend-data is not JSON',
      (node) => annotation(node, FLANNEL_BACKEND_DATA, '{'),
    ],
    ['its VNI is 7, ours 1', (node) => annotation(node, FLANNEL_BACKEND_DATA, '{"VNI":7}')],
    [
      'its annotation flannel.alpha.coreos.com/backend-data has no VtepMAC',
      (node) => annotation(node, FLANNEL_BACKEND_DATA, '{"VNI":1}'),
    ],
    ['its podCIDR "10.244.2.0/33" is no IPv4 prefix', (node) => (node.spec!.podCIDR = '10.244.2.0/33')],
    [
      'its address 192.168.50.1 is that of node "node1"',
      (node) => annotation(node, FLANNEL_PUBLIC_IP, '192.168.50.1'),
    ],
    ['its podCIDR 10.244.1.0/24 is that of node "node1"', (node) => (node.spec!.podCIDR = '10.244.1.0/24')],
  ];
  for (const [reason, change] of cases) {
    const nodes = [nodeObject(1), changedNode(2, change), nodeObject(3)];
    const { image, problems } = compile(inputOf(view({ nodes })), new Ids(CAPACITIES));
    t.same(problems, [`Cannot reach the pods of node "node2": ${reason}`]);
    t.same(keysOf(image).vteps, ['node3']);
  }
});

t.test(
  'of two nodes with one address the one that is not down is reached, whatever their order',
  async (t) => {
    const twin = changedNode(3, (node) => {
      node.metadata.annotations![FLANNEL_PUBLIC_IP] = '192.168.50.2';
    });
    const down = changedNode(2, (node) => {
      node.status = { conditions: [{ type: 'Ready', status: 'Unknown' }] };
    });
    for (const nodes of [
      [nodeObject(1), nodeObject(2), twin],
      [twin, nodeObject(2), nodeObject(1)],
    ]) {
      const { image, problems } = compile(inputOf(view({ nodes })), new Ids(CAPACITIES));
      t.same(keysOf(image).vteps, ['node2']);
      t.same(problems, [
        'Cannot reach the pods of node "node3": its address 192.168.50.2 is that of node "node2"',
      ]);
    }
    const { image } = compile(inputOf(view({ nodes: [nodeObject(1), down, twin] })), new Ids(CAPACITIES));
    t.same(keysOf(image).vteps, ['node3']);
  },
);

t.test('of two pods with one address one is reached, always the same', async (t) => {
  const pods = [podObject('y', 'node1', '10.244.1.2'), podObject('x', 'node1', '10.244.1.2')];
  for (const order of [pods, [...pods].reverse()]) {
    const { image, problems } = compile(inputOf(view({ pods: order })), new Ids(CAPACITIES));
    t.same(keysOf(image).neighbors, ['default/x']);
    t.same(problems, ['Cannot reach pod "default/y": its address 10.244.1.2 is that of pod "default/x"']);
  }
});

t.test('the same objects again change nothing; one more pod changes its own rows', async (t) => {
  const master = new MasterCopy(CAPACITIES);
  const compiler = new Compiler(master.ids);
  const planOf = (of: ClusterView) => master.plan(compiler.update(inputOf(of)).parts);
  t.ok(planOf(view()).changes.length > 0);
  t.match(planOf(view()), { changes: [], gone: [] });
  t.same(planOf(view({ nodes: [...view().nodes].reverse() })).changes, [], 'in another order too');
  const pods = [...view().pods, podObject('c', 'node1', '10.244.1.3')];
  t.same(
    planOf(view({ pods })).changes.map(({ table }) => STATIC_NAMES[table]),
    ['ports', 'neighbors'],
  );
});

t.test('an id is not given out again before the worker has seen that its object is gone', async (t) => {
  const master = new MasterCopy(CAPACITIES);
  const withPods = (...names: string[]): ClusterView =>
    view({ pods: names.map((name) => podObject(name, 'node1', '10.244.1.2')) });
  const compiler = new Compiler(master.ids);
  const planOf = (of: ClusterView) => master.plan(compiler.update(inputOf(of)).parts);
  planOf(withPods('a'));
  const id = master.ids.of('ports', 'pod default/a');
  const without = planOf(withPods());
  const next = planOf(withPods('b'));
  t.not(master.ids.of('ports', 'pod default/b'), id);
  master.seen(without);
  master.seen(next);
  planOf(withPods('b', 'c'));
  t.equal(master.ids.of('ports', 'pod default/c'), id);
});

t.test('a pod that comes back before the worker has seen it go keeps its id', async (t) => {
  const master = new MasterCopy(CAPACITIES);
  const compiler = new Compiler(master.ids);
  const planOf = (of: ClusterView) => master.plan(compiler.update(inputOf(of)).parts);
  planOf(view());
  const id = master.ids.of('ports', 'pod default/a');
  const without = planOf(view({ pods: [] }));
  planOf(view());
  master.seen(without);
  t.equal(master.ids.keyOf('ports', id), 'pod default/a');
  t.equal(master.ids.of('ports', 'pod default/a'), id);
});

t.test('a full table is refused with its name', async (t) => {
  const ids = new Ids({ ...CAPACITIES, ports: 3 });
  t.throws(() => compile(inputOf(view()), ids), {
    name: 'RangeError',
    message: 'Cannot add "pod default/a": table ports holds 2 rows',
  });
});
