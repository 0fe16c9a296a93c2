/**
 * What pods and nodes say of each other: labels, taints, affinity, spread.
 */
import t from 'tap';
import type { Affinity, Node, Pod, PodSpec, Taint } from '../../src/api/types.js';
import { emptySeat, schedule, sit, type Seat } from '../../src/control/schedule.js';

const seat = (name: string, labels: Record<string, string> = {}, spec: Node['spec'] = {}): Seat =>
  emptySeat(
    { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { host: name, ...labels } }, spec },
    () => true,
  );
const tainted = (name: string, ...taints: Taint[]): Seat => seat(name, {}, { taints });
const pod = (
  spec: Partial<PodSpec> = {},
  labels: Record<string, string> = {},
  namespace = 'default',
): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace, labels },
  spec: { containers: [{ name: 'c' }], ...spec },
});
const place = (what: Pod, seats: Seat[]): string => {
  const placement = schedule(what, seats, (namespace) => ({ team: namespace === 'shop' ? 'sales' : 'none' }));
  return 'node' in placement ? placement.node : placement.why;
};
const gpu: Taint = { key: 'gpu', value: 'yes', effect: 'NoSchedule' };

t.test('taints keep pods away that do not tolerate them', async (t) => {
  const seats = [tainted('a', gpu)];
  t.equal(place(pod(), seats), '0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.');
  for (const [toleration, fits] of [
    [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }, true],
    [{ key: 'gpu', operator: 'Equal', value: 'yes' }, true],
    [{ key: 'gpu', operator: 'Exists' }, true],
    [{ operator: 'Exists' }, true],
    [{ key: 'gpu', value: 'no' }, false],
    [{ key: 'gpu', operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: 'cpu', operator: 'Exists' }, false],
  ] as const)
    t.equal(place(pod({ tolerations: [toleration] }), seats) === 'a', fits, JSON.stringify(toleration));
  const shy: Taint = { ...gpu, effect: 'PreferNoSchedule' };
  t.equal(place(pod(), [tainted('a', shy), seat('b')]), 'b');
  t.equal(place(pod(), [tainted('a', shy)]), 'a', 'better there than nowhere');
});

t.test('a cordon keeps pods away, but for those that tolerate it', async (t) => {
  const seats = [seat('a', {}, { unschedulable: true })];
  t.equal(place(pod(), seats), '0/1 nodes are available: 1 node(s) were unschedulable.');
  const tolerations = [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }];
  t.equal(place(pod({ tolerations }), seats), 'a');
});

t.test('affinity for nodes: one term must hold, with all it asks for', async (t) => {
  const seats = [seat('a', { zone: 'x', cpus: '4' }), seat('b', { zone: 'y', cpus: '8' })];
  const wants = (...nodeSelectorTerms: object[]): string =>
    place(
      pod({
        affinity: {
          nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
        } as Affinity,
      }),
      seats,
    );
  const term = (key: string, operator: string, ...values: string[]): object => ({
    matchExpressions: [{ key, operator, values }],
  });
  t.equal(wants(term('zone', 'In', 'y', 'z')), 'b');
  t.equal(wants(term('zone', 'NotIn', 'x')), 'b');
  t.equal(wants(term('cpus', 'Gt', '6')), 'b');
  t.equal(wants(term('cpus', 'Lt', '6')), 'a');
  t.equal(wants(term('zone', 'In', 'nowhere'), term('zone', 'In', 'y')), 'b', 'one of several is enough');
  t.equal(wants({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['b'] }] }), 'b');
  const none = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
  t.equal(wants({}), none, 'an empty term holds for none');
  t.equal(wants(term('gpu', 'Exists')), none);
  const preferred = [{ weight: 10, preference: term('zone', 'In', 'y') }];
  const likes = pod({
    affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } } as Affinity,
  });
  sit(seats[1]!, pod());
  t.equal(place(likes, seats), 'b', 'what it prefers counts more than how full it is');
});

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const near = (
  kind: 'podAffinity' | 'podAntiAffinity',
  app: string,
  parts: object = {},
): Partial<PodSpec> => ({
  affinity: {
    [kind]: { [REQUIRED]: [{ labelSelector: { matchLabels: { app } }, topologyKey: 'host', ...parts }] },
  } as Affinity,
});

t.test('pods that do not want to be together are kept apart, whoever of them says so', async (t) => {
  const seats = [seat('a'), seat('b')];
  const web = pod(near('podAntiAffinity', 'web'), { app: 'web' });
  for (const expected of ['a', 'b']) {
    const node = place(web, seats);
    t.equal(node, expected);
    sit(
      seats.find((one) => one.node.metadata.name === node)!,
      web,
    );
  }
  t.equal(place(web, seats), "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.");
  t.equal(
    place(pod({}, { app: 'web' }), seats),
    "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.",
  );
  t.equal(place(pod({}, { app: 'db' }), seats), 'a');
  t.equal(place(pod({}, { app: 'web' }, 'shop'), seats), 'a', 'other namespaces are not meant');
});

t.test('pods that want to be together are, and the first of them begins', async (t) => {
  const seats = [seat('a', { zone: 'x' }), seat('b', { zone: 'x' }), seat('c', { zone: 'y' })];
  t.equal(
    place(pod(near('podAffinity', 'db')), seats),
    "0/3 nodes are available: 3 node(s) didn't match pod affinity rules.",
  );
  sit(seats[1]!, pod({}, { app: 'db' }));
  t.equal(place(pod(near('podAffinity', 'db')), seats), 'b');
  t.equal(
    place(pod(near('podAffinity', 'db', { topologyKey: 'zone' })), seats),
    'a',
    'the same zone will do',
  );
  t.equal(place(pod(near('podAffinity', 'new'), { app: 'new' }), seats), 'a', 'it is near itself');
  sit(seats[2]!, pod({}, { app: 'till' }, 'shop'));
  const sales = { namespaceSelector: { matchLabels: { team: 'sales' } } };
  t.equal(place(pod(near('podAffinity', 'till', sales)), seats), 'c');
  t.match(place(pod(near('podAffinity', 'till')), seats), /^0\/3/);
});

t.test('pods are spread over domains', async (t) => {
  const seats = [seat('a', { zone: 'x' }), seat('b', { zone: 'x' }), seat('c', { zone: 'y' })];
  const web = pod(
    {
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'zone',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: { matchLabels: { app: 'web' } },
        },
      ],
    },
    { app: 'web' },
  );
  const order: string[] = [];
  for (let i = 0; i < 4; i++) {
    const node = place(web, seats);
    order.push(node);
    sit(
      seats.find((one) => one.node.metadata.name === node)!,
      web,
    );
  }
  t.strictSame(order, ['a', 'c', 'b', 'c']);
  const cordoned = [seats[0]!, { ...seats[2]!, node: { ...seats[2]!.node, spec: { unschedulable: true } } }];
  for (let i = 0; i < 2; i++) sit(seats[0]!, web);
  t.match(place(web, cordoned), /1 node\(s\) didn't match pod topology spread constraints/);
});
