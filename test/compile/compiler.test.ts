/** From view to view is the same as from nothing, and costs what has changed. */
import t from 'tap';
import type { ClusterView, EndpointSlice, Pod, Service } from '../../src/api/types.js';
import type { CompileInput } from '../../src/compile/compile.js';
import { compile, Compiler } from '../../src/compile/compiler.js';
import { Ids, type Image } from '../../src/compile/image.js';
import { MasterCopy, type Plan } from '../../src/compile/master-copy.js';
import { ENDPOINT_DRAINING } from '../../src/tables/services.js';
import { CAPACITIES, STATIC_NAMES, type StaticName } from '../../src/tables/tables.js';
import { formatIpv4 } from '../../src/wire/address.js';
import { nodeObject, podObject } from '../lib/host-bench.js';
import { random } from '../lib/random.js';
import { serviceObject, sliceObject } from '../lib/services.js';

const port = (handle: number) => ({ handle, offload: 7, isCaptured: false });

const EMPTY: ClusterView = {
  lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'demo' } },
  namespaces: [],
  services: [],
  endpointSlices: [],
  endpoints: [],
  nodes: [nodeObject(1), nodeObject(2)],
  pods: [],
};

const inputOf = (view: ClusterView): CompileInput => ({
  view,
  node: 'node1',
  host: port(1),
  tunnel: port(2),
  pods: new Map(view.pods.map((pod, i) => [`default/${pod.metadata.name}`, port(3 + i)])),
});

/** Columns of `services` that name the first row of a run, and those with its length. */
const RUNS: readonly [first: number, count: number, table: StaticName][] = [
  [10, 11, 'backends'],
  [12, 13, 'backends'],
  [15, 16, 'ranges'],
];

/** An image without ids: each frontend with the endpoints and ranges that it names; and all other rows but `endpoints`. */
function meaning(image: Readonly<Image>, ids: Ids): Record<string, unknown> {
  const rowAt = (table: StaticName, id: number): Int32Array => {
    const words = image[table].get(ids.keyOf(table, id) ?? '');
    if (!words) throw new Error(`Row ${id} of ${table} is named and is not there`);
    return words;
  };
  const endpoint = (id: number): string => {
    const [state, , , , address, number] = rowAt('endpoints', id);
    return `${formatIpv4(address!)}:${number} ${state}`;
  };
  const frontends = [...image.services].map(([key, words]) => [
    key,
    [...words].filter((_, i) => !RUNS.some(([first]) => i === first)).join(' '),
    ...RUNS.map(([first, count, table]) =>
      Array.from({ length: words[count]! }, (_, i) => {
        const row = rowAt(table, words[first]! + i);
        return table === 'backends' ? endpoint(row[0]!) : row.join(' ');
      }),
    ),
  ]);
  const others = STATIC_NAMES.filter(
    (name) => !['services', 'endpoints', 'backends', 'ranges'].includes(name),
  );
  return {
    frontends: frontends.sort(byText),
    keys: Object.fromEntries(others.map((name) => [name, [...image[name].keys()].sort()])),
  };
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Keys of endpoints by whether they drain. */
const endpointKeys = (image: Readonly<Image>, isDraining: boolean): string[] =>
  [...image.endpoints]
    .filter(([, words]) => (words[0] === ENDPOINT_DRAINING) === isDraining)
    .map(([key]) => key)
    .sort();

t.test('seeded random changes: step by step is the same as from nothing', async (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const chance = random(seed);
    const master = new MasterCopy(CAPACITIES);
    const compiler = new Compiler(master.ids);
    const unseen: Plan[] = [];
    let view = EMPTY;
    /** Endpoints that left their slices while a pod has their address. */
    let departed = new Map<string, string>();
    let before = new Map<string, string>();
    const names = ['one', 'two', 'three', 'four'];
    const ips = Array.from({ length: 6 }, (_, i) => `10.244.1.${i + 2}`);
    const some = <T>(list: readonly T[]): T[] => list.filter(() => chance.int(2) === 0);
    const place = <T extends { metadata: { name: string } }>(list: readonly T[], object: T): T[] =>
      list.some(({ metadata }) => metadata.name === object.metadata.name)
        ? list.map((old) => (old.metadata.name === object.metadata.name ? object : old))
        : [...list, object];
    const without = <T extends { metadata: { name: string } }>(list: readonly T[], name: string): T[] =>
      list.filter(({ metadata }) => metadata.name !== name);
    const service = (name: string): Service =>
      serviceObject(name, {
        clusterIP: `10.96.0.${names.indexOf(name) + 1}`,
        type: chance.pick(['ClusterIP', 'NodePort', 'LoadBalancer']),
        ports: [{ port: 80, protocol: 'TCP', nodePort: 30000 + names.indexOf(name) }],
        internalTrafficPolicy: chance.pick(['Local', 'Cluster']),
        externalTrafficPolicy: chance.pick(['Local', 'Cluster']),
        sessionAffinity: chance.pick(['None', 'ClientIP']),
        loadBalancer: chance.int(2) === 0 ? '192.168.50.200' : undefined,
        loadBalancerSourceRanges: some(['10.0.0.0/8', '192.168.0.0/16']),
      });
    const slice = (name: string): EndpointSlice =>
      sliceObject(
        name,
        some(ips).map((ip) => ({
          ip,
          node: chance.pick(['node1', 'node2']),
          ready: chance.int(3) > 0,
          serving: true,
          terminating: chance.int(4) === 0,
        })),
      );
    const pod = (ip: string): Pod => podObject(`p${ip.slice(9)}`, chance.pick(['node1', 'node2']), ip);
    const steps: (() => Partial<ClusterView>)[] = [
      () => ({ services: place(view.services, service(chance.pick(names))) }),
      () => ({ services: without(view.services, chance.pick(names)) }),
      () => ({ endpointSlices: place(view.endpointSlices, slice(chance.pick(names))) }),
      () => ({ endpointSlices: place(view.endpointSlices, slice(chance.pick(names))) }),
      () => ({ endpointSlices: without(view.endpointSlices, `${chance.pick(names)}-1`) }),
      () => ({ pods: place(view.pods, pod(chance.pick(ips))) }),
      () => ({ pods: without(view.pods, `p${chance.pick(ips).slice(9)}`) }),
      () => ({ services: [...view.services].reverse() }),
      () => ({ nodes: [nodeObject(1), nodeObject(2), ...some([nodeObject(3)])] }),
      () => ({
        lab: { ...view.lab, spec: { proxy: { scheduler: chance.pick(['rr', 'random'] as const) } } },
      }),
      () => ({
        nodes: [
          {
            ...nodeObject(1),
            status: { addresses: [{ type: 'ExternalIP' as const, address: chance.pick(ips) }] },
          },
        ],
      }),
    ];
    for (let step = 0; step < 300; step++) {
      view = { ...view, ...chance.pick(steps)() };
      const plan = master.plan(compiler.update(inputOf(view)).parts);
      unseen.push(plan);
      while (unseen.length > 0 && chance.int(3) > 0) master.seen(unseen.shift()!);

      const ids = new Ids(CAPACITIES);
      const { image } = compile(inputOf(view), ids);
      const where = `seed ${seed}, step ${step}`;
      const [got, wanted] = [meaning(master.image, master.ids), meaning(image, ids)];
      if (JSON.stringify(got) !== JSON.stringify(wanted)) t.same(got, wanted, where);

      // The naive twin of draining.
      const now = new Map([...image.endpoints.keys()].map((key) => [key, / ([\d.]+):/.exec(key)![1]!]));
      const alive = new Set(view.pods.map(({ status }) => status?.podIP));
      departed = new Map([...departed, ...before].filter(([key, ip]) => !now.has(key) && alive.has(ip)));
      before = now;
      const drains = [...endpointKeys(image, true), ...departed.keys()].sort();
      if (JSON.stringify(endpointKeys(master.image, true)) !== JSON.stringify(drains))
        t.same(endpointKeys(master.image, true), drains, `draining at ${where}`);
      if (JSON.stringify(endpointKeys(master.image, false)) !== JSON.stringify(endpointKeys(image, false)))
        t.fail(`ready endpoints at ${where}`);
    }
    t.pass(`seed ${seed}`);
  }
});

/** What one changed endpoint costs among so many Services. */
function costOf(count: number): { services: number; rows: number; words: number } {
  const name = (i: number): string => `s${i}`;
  const ip = (i: number): string => formatIpv4((10 << 24) | (96 << 16) | (i + 1));
  const services = Array.from({ length: count }, (_, i) => serviceObject(name(i), { clusterIP: ip(i) }));
  const endpointSlices = Array.from({ length: count }, (_, i) =>
    sliceObject(name(i), [{ ip: '10.244.1.2' }, { ip: '10.244.2.2' }]),
  );
  const master = new MasterCopy(CAPACITIES);
  const compiler = new Compiler(master.ids);
  const view = { ...EMPTY, services, endpointSlices };
  master.seen(master.plan(compiler.update(inputOf(view)).parts));
  const before = compiler.compiled;
  const changed = endpointSlices.slice();
  const at = Math.floor(count / 2);
  changed[at] = sliceObject(name(at), [{ ip: '10.244.1.2' }, { ip: '10.244.2.3' }]);
  const { changes } = master.plan(compiler.update(inputOf({ ...view, endpointSlices: changed })).parts);
  return {
    services: compiler.compiled - before,
    rows: changes.length,
    words: changes.reduce((sum, { words }) => sum + words.length, 0),
  };
}

t.test('one changed endpoint costs the same among 10 Services and among 10 000', async (t) => {
  const few = costOf(10);
  t.same(costOf(10_000), few);
  t.equal(few.services, 1, 'its own Service is compiled');
  t.ok(few.rows <= 4, `${few.rows} rows: the endpoint that went, the one that came, the run`);
});

t.test('a change that a full table refuses is made once there is room', async (t) => {
  const master = new MasterCopy({ ...CAPACITIES, endpoints: 3 });
  const compiler = new Compiler(master.ids);
  const services = [serviceObject('web', { clusterIP: '10.96.0.9' })];
  const slices = (...ips: string[]): EndpointSlice[] => [
    sliceObject(
      'web',
      ips.map((ip) => ({ ip })),
    ),
  ];
  const view = (endpointSlices: EndpointSlice[]): ClusterView => ({ ...EMPTY, services, endpointSlices });
  master.plan(compiler.update(inputOf(view(slices('10.244.1.2')))).parts);
  const tooMany = view(slices('10.244.1.2', '10.244.1.3', '10.244.1.4'));
  t.throws(() => compiler.update(inputOf(tooMany)), { message: /table endpoints holds 2 rows/ });
  t.throws(() => compiler.update(inputOf(tooMany)), { message: /table endpoints holds 2 rows/ }, 'again');
  master.plan(compiler.update(inputOf(view(slices('10.244.1.2')))).parts);
  t.same([...master.image.endpoints.keys()], ['default/web:80 10.244.1.2:8080']);
});
