import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { isTerminal } from '../../src/api/pod.js';
import {
  keyOf,
  MANAGED_BY,
  OWNER_ANNOTATION,
  SERVICE_NAME,
  type ClusterView,
  type Endpoint,
  type Endpoints,
  type EndpointSlice,
  type Node,
  type Pod,
  type Service,
} from '../../src/api/types.js';
import { applyChanges, reconcile, settle, type Change } from '../../src/control/reconcile.js';
import { ControlMemo } from '../../src/control/memo.js';
import { random, type Random } from '../lib/random.js';

const service = (name: string, spec: Partial<Service['spec']> = {}): Service =>
  withDefaults<Service>({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', uid: `uid-${name}` },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  });
const node = (name: string, ready: boolean, labels?: Record<string, string>): Node =>
  withDefaults<Node>({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    status: {
      addresses: [{ type: 'InternalIP', address: `192.168.50.${name.slice(4)}` }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', reason: 'x', message: '' }],
    },
  });
const NODES = ['node1', 'node2', 'node3'];
const pod = (
  name: string,
  options: {
    app?: string;
    node?: string;
    ready?: boolean;
    ip?: string;
    leaves?: boolean;
    port?: number;
  } = {},
): Pod =>
  withDefaults<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      labels: { app: options.app ?? 'web' },
      ...(options.leaves && { deletionTimestamp: '2026-01-01T00:00:30Z', deletionGracePeriodSeconds: 30 }),
    },
    spec: {
      nodeName: options.node ?? 'node1',
      containers: [
        { name: 'c', image: 'nginx', ports: [{ name: 'http', containerPort: options.port ?? 80 }] },
      ],
    },
    status: {
      phase: 'Running',
      podIP: options.ip,
      conditions: [{ type: 'Ready', status: (options.ready ?? true) ? 'True' : 'False' }],
    },
  });
const viewOf = (parts: Partial<ClusterView>): ClusterView => ({
  lab: {
    apiVersion: 'podwire.dev/v1alpha1',
    kind: 'Lab',
    metadata: { name: 'demo' },
    spec: { underlay: { cidr: '192.168.50.0/24' } },
  },
  namespaces: [],
  nodes: NODES.map((name) => node(name, true)),
  pods: [],
  services: [],
  endpointSlices: [],
  endpoints: [],
  ...parts,
});

/** Carry out changes until there are none, as the server does; new objects get their defaults and a uid. */
function rest(view: ClusterView, memo?: ControlMemo): { view: ClusterView; changes: Change[] } {
  const all: Change[] = [];
  for (let round = 0; round < 8; round++) {
    const changes = reconcile(view, 0, 0, undefined, memo);
    if (changes.length === 0) return { view, changes: all };
    all.push(...changes);
    view = applyChanges(
      view,
      changes.map(({ type, object }) => ({ type, object: withDefaults(object) })),
    );
  }
  throw new Error('control does not come to rest');
}
const at = (view: ClusterView): ClusterView => rest(view).view;
const slicesOf = (view: ClusterView, name: string): EndpointSlice[] =>
  view.endpointSlices.filter(({ metadata }) => metadata.labels?.[SERVICE_NAME] === name);
const endpointsOf = (view: ClusterView, name: string): Endpoint[] =>
  slicesOf(view, name).flatMap(({ endpoints }) => endpoints);
const brief = (view: ClusterView, name: string): string[] =>
  slicesOf(view, name)
    .flatMap(({ endpoints, ports = [] }) =>
      endpoints.map(({ addresses, conditions = {} }) => {
        const words = Object.entries(conditions).flatMap(([word, is]) => (is ? word : []));
        return `${addresses[0]}:${ports.map(({ port }) => port).join('+')} ${words.join(' ')}`;
      }),
    )
    .sort();
const oldForm = (view: ClusterView, name: string): Endpoints['subsets'] =>
  view.endpoints.find((endpoints) => endpoints.metadata.name === name)?.subsets;

t.test('a Service gets a slice of the pods that it selects, and Endpoints', async (t) => {
  const view = at(
    viewOf({
      services: [service('web')],
      pods: [
        pod('a', { ip: '10.244.1.2' }),
        pod('b', { ip: '10.244.2.2', node: 'node2', ready: false }),
        pod('c', { ip: '10.244.1.3', app: 'other' }),
      ],
    }),
  );
  const slices = slicesOf(view, 'web');
  t.match(slices, [
    {
      metadata: {
        name: /^web-[a-z0-9]{5}$/,
        labels: { [MANAGED_BY]: 'endpointslice-controller.k8s.io', [SERVICE_NAME]: 'web' },
        ownerReferences: [{ kind: 'Service', name: 'web', uid: 'uid-web', controller: true }],
      },
      addressType: 'IPv4',
      ports: [{ name: '', port: 80, protocol: 'TCP' }],
      endpoints: [
        { addresses: ['10.244.1.2'], nodeName: 'node1', targetRef: { kind: 'Pod', name: 'a', uid: 'uid-a' } },
        { addresses: ['10.244.2.2'], nodeName: 'node2' },
      ],
    },
  ]);
  t.equal(slices.length, 1);
  t.strictSame(brief(view, 'web'), ['10.244.1.2:80 ready serving', '10.244.2.2:80 ']);
  t.match(oldForm(view, 'web'), [
    {
      addresses: [{ ip: '10.244.1.2', nodeName: 'node1' }],
      notReadyAddresses: [{ ip: '10.244.2.2' }],
      ports: [{ port: 80, protocol: 'TCP' }],
    },
  ]);
});

t.test('conditions of a pod that ends, and of one that is published before it is ready', async (t) => {
  const pods = [
    pod('a', { ip: '10.244.1.2', leaves: true }),
    pod('b', { ip: '10.244.1.3', leaves: true, ready: false }),
    pod('c', { ip: '10.244.1.4', ready: false }),
  ];
  const strict = at(viewOf({ services: [service('web')], pods }));
  t.strictSame(brief(strict, 'web'), [
    '10.244.1.2:80 serving terminating',
    '10.244.1.3:80 terminating',
    '10.244.1.4:80 ',
  ]);
  t.match(oldForm(strict, 'web'), [{ notReadyAddresses: [{ ip: '10.244.1.4' }] }]);
  const loose = at(viewOf({ services: [service('web', { publishNotReadyAddresses: true })], pods }));
  t.strictSame(brief(loose, 'web'), [
    '10.244.1.2:80 ready serving terminating',
    '10.244.1.3:80 ready terminating',
    '10.244.1.4:80 ready',
  ]);
});

t.test('a named targetPort that differs between pods makes two slices and two subsets', async (t) => {
  const view = at(
    viewOf({
      services: [service('web', { ports: [{ port: 80, targetPort: 'http' }] })],
      pods: [pod('a', { ip: '10.244.1.2', port: 3000 }), pod('b', { ip: '10.244.1.3', port: 3001 })],
    }),
  );
  t.equal(slicesOf(view, 'web').length, 2);
  t.strictSame(brief(view, 'web'), ['10.244.1.2:3000 ready serving', '10.244.1.3:3001 ready serving']);
  t.match(oldForm(view, 'web'), [{ ports: [{ port: 3000 }] }, { ports: [{ port: 3001 }] }]);
});

t.test('a Service that matches no pod has one slice without endpoints', async (t) => {
  const view = at(viewOf({ services: [service('web')] }));
  t.match(slicesOf(view, 'web'), [{ endpoints: [] }]);
  t.equal(slicesOf(view, 'web').length, 1);
  t.equal(slicesOf(view, 'web')[0]!.ports, undefined);
  const [endpoints] = view.endpoints;
  t.equal(endpoints?.subsets, undefined);
});

t.test('slices deleted by hand come back the same', async (t) => {
  const view = at(viewOf({ services: [service('web')], pods: [pod('a', { ip: '10.244.1.2' })] }));
  const again = at({ ...view, endpointSlices: [] });
  t.strictSame(again.endpointSlices, view.endpointSlices);
});

t.test('changed ports change the slice that is there', async (t) => {
  const pods = [pod('a', { ip: '10.244.1.2' })];
  const view = at(viewOf({ services: [service('web')], pods }));
  const { view: next, changes } = rest({ ...view, services: [service('web', { ports: [{ port: 8080 }] })] });
  t.strictSame(
    changes.flatMap(({ type, object }) => (object.kind === 'EndpointSlice' ? type : [])),
    ['update'],
  );
  t.strictSame(brief(next, 'web'), ['10.244.1.2:8080 ready serving']);
});

t.test('what control made goes with its Service; what somebody else made stays', async (t) => {
  const byHand: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'by-hand', namespace: 'default', labels: { [SERVICE_NAME]: 'web' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['203.0.113.9'] }],
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
  };
  const view = at(
    viewOf({
      services: [service('web')],
      pods: [pod('a', { ip: '10.244.1.2' })],
      endpointSlices: [byHand],
    }),
  );
  t.equal(view.endpointSlices.length, 2);
  const gone = at({ ...view, services: [] });
  t.strictSame(gone.endpointSlices, [byHand]);
  t.strictSame(gone.endpoints, []);
});

t.test('hand-made Endpoints become slices, and follow', async (t) => {
  const made = (ip: string, labels?: Record<string, string>): Endpoints => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'db', namespace: 'default', uid: 'uid-ep', labels },
    subsets: [
      {
        addresses: [{ ip }, { ip: '2001:db8::1' }],
        notReadyAddresses: [{ ip: '203.0.113.8' }],
        ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
      },
    ],
  });
  const services = [service('db', { selector: undefined })];
  const view = at(viewOf({ services, endpoints: [made('203.0.113.7')] }));
  t.strictSame(brief(view, 'db'), ['2001:db8::1:5432 ready', '203.0.113.7:5432 ready', '203.0.113.8:5432 ']);
  t.match(
    slicesOf(view, 'db')
      .map(({ addressType }) => addressType)
      .sort(),
    ['IPv4', 'IPv6'],
  );
  t.match(slicesOf(view, 'db')[0], {
    metadata: {
      labels: { [MANAGED_BY]: 'endpointslicemirroring-controller.k8s.io' },
      ownerReferences: [{ kind: 'Endpoints', uid: 'uid-ep' }],
    },
    ports: [{ name: 'sql', port: 5432 }],
  });
  const moved = at({ ...view, endpoints: [made('203.0.113.70')] });
  t.ok(brief(moved, 'db').includes('203.0.113.70:5432 ready'));
  t.equal(slicesOf(at({ ...view, endpoints: [] }), 'db').length, 0, 'without them, no slices');
  const skipped = made('203.0.113.7', { 'endpointslice.kubernetes.io/skip-mirror': 'true' });
  t.equal(slicesOf(at(viewOf({ services, endpoints: [skipped] })), 'db').length, 0, 'asked not to');
});

t.test('a Service that loses its selector leaves its endpoints to its user', async (t) => {
  const view = at(viewOf({ services: [service('web')], pods: [pod('a', { ip: '10.244.1.2' })] }));
  const next = at({ ...view, services: [service('web', { selector: undefined })], pods: [] });
  t.strictSame(brief(next, 'web'), ['10.244.1.2:80 ready']);
  t.equal(
    slicesOf(next, 'web')[0]!.metadata.labels?.[MANAGED_BY],
    'endpointslicemirroring-controller.k8s.io',
  );
});

t.test('a headless Service without ports, and an ExternalName', async (t) => {
  const pods = [pod('a', { ip: '10.244.1.2' })];
  const headless = service('web', { clusterIP: 'None', clusterIPs: undefined, ports: undefined });
  const view = at(viewOf({ services: [headless], pods }));
  t.match(slicesOf(view, 'web'), [
    { metadata: { labels: { 'service.kubernetes.io/headless': '' } }, endpoints: [{}] },
  ]);
  t.match(oldForm(view, 'web'), [{ addresses: [{ ip: '10.244.1.2' }] }]);
  const renamed = service('web', { type: 'ExternalName', externalName: 'example.com' });
  t.equal(slicesOf(at({ ...view, services: [renamed] }), 'web').length, 0);
});

t.test('near endpoints are hinted at', async (t) => {
  const zoned = NODES.map((name, i) => node(name, true, { 'topology.kubernetes.io/zone': `z${i}` }));
  const pods = [pod('a', { ip: '10.244.1.2' }), pod('b', { ip: '10.244.2.2', node: 'node2' })];
  const hints = (trafficDistribution: string): unknown[] =>
    endpointsOf(
      at(viewOf({ nodes: zoned, services: [service('web', { trafficDistribution })], pods })),
      'web',
    ).map((endpoint) => endpoint.hints);
  t.strictSame(hints('PreferClose'), [{ forZones: [{ name: 'z0' }] }, { forZones: [{ name: 'z1' }] }]);
  t.match(hints('PreferSameNode'), [{ forNodes: [{ name: 'node1' }] }, { forNodes: [{ name: 'node2' }] }]);
});

t.test('250 pods fill three slices, and one that changes changes one of them', async (t) => {
  const pods = Array.from({ length: 250 }, (_, i) =>
    pod(`p${i}`, { ip: `10.244.${1 + (i % 3)}.${2 + Math.floor(i / 3)}`, node: NODES[i % 3] }),
  );
  const view = at(viewOf({ services: [service('web')], pods }));
  t.strictSame(
    slicesOf(view, 'web').map(({ endpoints }) => endpoints.length),
    [100, 100, 50],
  );
  const ip = view.pods[120]!.status!.podIP;
  const { view: next, changes } = rest({
    ...view,
    pods: view.pods.map((one, i) => (i === 120 ? pod('p120', { ip, node: NODES[0], ready: false }) : one)),
  });
  t.equal(changes.filter(({ object }) => object.kind === 'EndpointSlice').length, 1);
  t.equal(endpointsOf(next, 'web').filter(({ conditions }) => conditions?.ready).length, 249);
});

t.test('LoadBalancer Services get addresses of the pool, and one ready host each', async (t) => {
  const balanced = (name: string, spec: Partial<Service['spec']> = {}): Service =>
    service(name, { type: 'LoadBalancer', ...spec });
  const names = Array.from({ length: 30 }, (_, i) => `svc${i}`);
  const view = at(viewOf({ services: names.map((name) => balanced(name)) }));
  const ips = view.services.map(({ status }) => status?.loadBalancer?.ingress?.[0]?.ip);
  t.strictSame(
    [...ips].sort(),
    names.map((_, i) => `192.168.50.${200 + i}`),
    'the lowest ones',
  );
  const owners = (of: ClusterView): Map<string, string | undefined> =>
    new Map(of.services.map(({ metadata }) => [metadata.name, metadata.annotations?.[OWNER_ANNOTATION]]));
  t.strictSame([...new Set(owners(view).values())].sort(), NODES, 'every host has some');

  const down = at({ ...view, nodes: [node('node1', true), node('node2', false), node('node3', true)] });
  for (const [name, owner] of owners(view)) {
    if (owner === 'node2') t.not(owners(down).get(name), 'node2');
    else t.equal(owners(down).get(name), owner, `${name} did not move`);
  }
  const local = at(
    viewOf({
      services: [balanced('web', { externalTrafficPolicy: 'Local' })],
      pods: [pod('a', { ip: '10.244.3.2', node: 'node3' })],
    }),
  );
  t.equal(owners(local).get('web'), 'node3');
  const lonely = at({ ...local, pods: [] });
  t.equal(owners(lonely).get('web'), undefined);
  t.match(lonely.services[0]!.status?.conditions, [
    { type: 'podwire.dev/LoadBalancer', status: 'False', reason: 'NoOwner' },
  ]);
  const plain = at({
    ...local,
    services: local.services.map((one) => ({
      ...one,
      spec: { ...one.spec, type: 'ClusterIP' as const, externalTrafficPolicy: undefined },
    })),
  });
  t.strictSame(plain.services[0]!.status, { loadBalancer: {}, conditions: [] });
  t.equal(owners(plain).get('web'), undefined);
});

t.test('a LoadBalancer address that cannot be had is said to be so', async (t) => {
  const why = (services: Service[], parts: Partial<ClusterView> = {}): string | undefined =>
    at(viewOf({ services, ...parts })).services.at(-1)?.status?.conditions?.[0]?.message;
  const asking = (name: string, loadBalancerIP?: string): Service =>
    service(name, { type: 'LoadBalancer', loadBalancerIP });
  t.match(
    why([asking('a', '10.0.0.1')]),
    /10\.0\.0\.1 is not in the pool 192\.168\.50\.200 to 192\.168\.50\.250/,
  );
  t.match(why([asking('a', '192.168.50.210'), asking('b', '192.168.50.210')]), /is another Service's/);
  t.match(why([asking('a', '192.168.50.210')]), /Node "node\d" answers for 192\.168\.50\.210/);
  const lab = { ...viewOf({}).lab, spec: {} };
  t.match(why([asking('a')], { lab }), /neither spec\.loadBalancers\.cidr nor an underlay/);
  const tiny = { ...lab, spec: { loadBalancers: { cidr: '198.51.100.4/31' } } };
  const three = [asking('a'), asking('b'), asking('c')];
  t.match(why(three, { lab: tiny }), /No address is left in the pool/);
});

t.test('from files: pods count as ready, and what is written of endpoints holds', async (t) => {
  const bare = { ...pod('a', { ip: '10.244.1.2' }), status: { podIP: '10.244.1.2' } };
  const services = [service('web')];
  const settled = settle(viewOf({ services, pods: [bare] }));
  t.strictSame(brief(settled, 'web'), ['10.244.1.2:80 ready serving']);
  t.match(settled.services[0]!.spec.clusterIP, /^10\.\d+\.\d+\.\d+$/);
  t.equal(settled.services[0]!.spec.clusterIP, settle(viewOf({ services })).services[0]!.spec.clusterIP);

  const slice = {
    ...settled.endpointSlices[0]!,
    endpoints: [{ addresses: ['10.9.9.9'], conditions: { ready: true } }],
  };
  t.strictSame(brief(settle(viewOf({ services, endpointSlices: [slice] })), 'web'), ['10.9.9.9:80 ready']);
  const endpoints = settled.endpoints;
  t.strictSame(brief(settle(viewOf({ services, endpoints })), 'web'), ['10.244.1.2:80 ready']);
  const elsewhere = service('far', { clusterIP: '172.30.0.41', clusterIPs: ['172.30.0.41'] });
  t.equal(settle(viewOf({ services: [elsewhere] })).services[0]!.spec.clusterIP, '172.30.0.41');
});

/** What a Service's endpoints should be, by the plain words of the Kubernetes documentation. */
function naiveEndpoints(of: Service, pods: readonly Pod[]): string[] {
  const result: string[] = [];
  for (const { metadata, spec, status } of pods) {
    const selects = Object.entries(of.spec.selector!).every(
      ([key, value]) => metadata.labels?.[key] === value,
    );
    if (!selects || !status?.podIP || isTerminal({ spec, status } as Pod)) continue;
    const ports = of.spec.ports!.flatMap(({ port, targetPort }) => {
      if (typeof targetPort !== 'string') return targetPort ?? port;
      return spec.containers[0]!.ports!.find(({ name }) => name === targetPort)?.containerPort ?? [];
    });
    const words: string[] = [];
    const isReady = status.conditions![0]!.status === 'True';
    if (of.spec.publishNotReadyAddresses || (isReady && !metadata.deletionTimestamp)) words.push('ready');
    if (isReady) words.push('serving');
    if (metadata.deletionTimestamp) words.push('terminating');
    result.push(`${status.podIP}:${ports.join('+')} ${words.join(' ')}`);
  }
  return result.sort();
}

function randomStep(chance: Random, view: ClusterView): ClusterView {
  const apps = ['a', 'b', 'c'];
  const index = chance.int(60);
  const name = `p${index}`;
  const rest = view.pods.filter(({ metadata }) => metadata.name !== name);
  switch (chance.int(6)) {
    case 0:
      return { ...view, pods: rest };
    case 1: {
      const changed = service(chance.pick(apps), {
        ports: chance.pick([
          [{ port: 80 }],
          [{ port: 80, targetPort: 'http' }],
          [
            { name: 'x', port: 80, targetPort: 'http' },
            { name: 'y', port: 81, targetPort: 'nobody' },
          ],
        ]),
        publishNotReadyAddresses: chance.int(2) === 0,
      });
      const others = view.services.filter(({ metadata }) => metadata.name !== changed.metadata.name);
      return { ...view, services: chance.int(4) === 0 ? others : [...others, changed] };
    }
    case 2:
      return {
        ...view,
        endpointSlices: view.endpointSlices.filter(() => chance.int(3) > 0),
        endpoints: view.endpoints.filter(() => chance.int(3) > 0),
      };
    default: {
      const made = pod(name, {
        app: chance.pick(apps),
        node: NODES[index % 3],
        ip: `10.244.${1 + (index % 3)}.${2 + index}`,
        ready: chance.int(2) === 0,
        leaves: chance.int(4) === 0,
        port: 3000 + chance.int(2),
      });
      if (chance.int(8) === 0) made.status!.phase = 'Succeeded';
      return { ...view, pods: chance.shuffle([...rest, made]) };
    }
  }
}

t.test('after every change the endpoints are those of the naive twin', async (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const chance = random(seed);
    const memo = new ControlMemo();
    let view = at(viewOf({ services: ['a', 'b', 'c'].map((name) => service(name)) }));
    for (let step = 0; step < 60; step++) {
      const changed = randomStep(chance, view);
      const where = `seed ${seed}, step ${step}`;
      const { view: next, changes } = rest(changed, memo);
      t.strictSame(changes, rest(changed).changes, `${where}: what was remembered changes nothing`);
      view = next;
      for (const one of view.services) {
        const { name } = one.metadata;
        const wanted = naiveEndpoints(one, view.pods);
        t.strictSame(brief(view, name), wanted, `${where}: ${name}`);
        const addresses = oldForm(view, name)?.flatMap((subset) => subset.addresses ?? []) ?? [];
        const ready = wanted.filter((text) => / ready/.test(text) && !/: /.test(text));
        t.strictSame(
          addresses.map(({ ip }) => ip).sort(),
          ready.map((text) => text.split(':')[0]).sort(),
          `${where}: Endpoints ${name}`,
        );
      }
      const names = view.services.map(({ metadata }) => metadata.name);
      t.ok(
        view.endpointSlices.every(({ metadata }) => names.includes(metadata.labels![SERVICE_NAME]!)),
        `${where}: no orphans`,
      );
      t.equal(new Set(view.endpointSlices.map(keyOf)).size, view.endpointSlices.length);
    }
  }
});

t.test('endpoints of a node that is lost leave in the same run as the LoadBalancer’s owner', (t) => {
  const balancer = service('web', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
  const rested = at(
    viewOf({
      services: [balancer],
      pods: [pod('a', { ip: '10.244.1.2', node: 'node1' }), pod('b', { ip: '10.244.2.2', node: 'node2' })],
    }),
  );
  const ownerIn = ({ services }: ClusterView): string | undefined =>
    services[0]!.metadata.annotations?.[OWNER_ANNOTATION];
  const owner = ownerIn(rested)!;
  const lost = (one: Node): Node =>
    one.metadata.name === owner
      ? { ...one, status: { ...one.status, conditions: [{ type: 'Ready', status: 'Unknown' }] } }
      : one;
  const view = { ...rested, nodes: rested.nodes.map(lost) };
  const next = applyChanges(view, reconcile(view, 0, 0));
  const other = owner === 'node1' ? 'node2' : 'node1';
  t.equal(ownerIn(next), other, 'the host with the other endpoint answers');
  t.strictSame(
    endpointsOf(next, 'web').flatMap(({ nodeName, conditions }) => (conditions?.ready ? nodeName! : [])),
    [other],
    'and it alone has an endpoint that is ready',
  );
  t.equal(oldForm(next, 'web')![0]!.addresses!.length, 1);
  t.end();
});
