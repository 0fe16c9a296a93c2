import t from 'tap';
import { ManifestError, parseManifest, type Located } from '../../src/client/manifest.js';
import { freeUnderlays, planLab, type PlanOptions, type Taken } from '../../src/lab/plan.js';
import { parseCidr } from '../../src/wire/address.js';

const LAB = 'apiVersion: podwire.dev/v1alpha1\nkind: Lab\nmetadata: {name: demo}\n';
const pod = (name: string, spec = ''): string =>
  `---\napiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec:\n  containers: [{name: c, image: nginx}]\n${spec}`;

const taken = (cidr: string, owner = `lab "other"`): Taken => ({ cidr: parseCidr(cidr)!, owner });

const plan = (text: string, options: Partial<PlanOptions> = {}) =>
  planLab({ objects: parseManifest(text, 'lab.yaml'), readManifest: () => [], taken: [], ...options });

const problems = (text: string, options: Partial<PlanOptions> = {}): readonly string[] => {
  try {
    plan(text, options);
  } catch (error) {
    if (error instanceof ManifestError) return error.problems;
    throw error;
  }
  return [];
};

t.test('a Lab without a spec gets every default', async (t) => {
  const { name, lab, nodes, underlay } = plan(LAB);
  t.equal(name, 'demo');
  t.strictSame(lab.spec, {
    podCIDR: '10.244.0.0/16',
    serviceCIDR: '10.96.0.0/12',
    backend: { type: 'vxlan', vni: 1, port: 8472 },
    underlay: { cidr: '192.168.50.0/24', mtu: 1500 },
    access: true,
    nodes: [{ name: 'node1' }, { name: 'node2' }],
    manifests: [],
    loadBalancers: {},
    proxy: { scheduler: 'random' },
    dns: { zone: 'cluster.local', ttl: 5, pods: 'insecure', hosts: [] },
  });
  t.strictSame(nodes, [
    { name: 'node1', netns: 'demo.node1', address: '192.168.50.1' },
    { name: 'node2', netns: 'demo.node2', address: '192.168.50.2' },
  ]);
  t.strictSame(underlay, {
    netns: 'demo.net',
    cidr: '192.168.50.0/24',
    bits: 24,
    mtu: 1500,
    access: { link: 'pw-demo', address: '192.168.50.254' },
  });
});

t.test('flags win over the file, and a file without a Lab is the lab demo', async (t) => {
  const { name, lab, nodes, objects } = plan(pod('web'), { nodes: 3, name: 'mine' });
  t.equal(name, 'mine');
  t.equal(lab.metadata.name, 'mine');
  t.strictSame(
    nodes.map((node) => node.netns),
    ['mine.node1', 'mine.node2', 'mine.node3'],
  );
  t.strictSame(
    objects.map(({ object }) => object.metadata.name),
    ['web'],
  );
});

t.test('the underlay is the first range that nobody has', async (t) => {
  const { underlay } = plan(LAB, {
    taken: [taken('192.168.50.0/24'), taken('192.168.51.128/25'), taken('10.0.0.0/8')],
  });
  t.equal(underlay.cidr, '192.168.52.0/24');
  t.equal(freeUnderlays([taken('192.168.0.0/16')]).length, 0);
  t.match(problems(LAB, { taken: [taken('192.168.0.0/16')] }), [
    /^lab\.yaml:\d+: spec\.underlay\.cidr: All of/,
  ]);
});

t.test('an underlay of somebody else is refused with the owner', async (t) => {
  const text = `${LAB}spec:\n  underlay:\n    cidr: 192.168.60.0/24\n`;
  t.match(
    problems(text, { taken: [taken('192.168.0.0/16', "the machine's route 192.168.0.0/16 dev eth0")] }),
    [
      /^lab\.yaml:6: spec\.underlay\.cidr: 192\.168\.60\.0\/24 overlaps the machine's route 192\.168\.0\.0\/16 dev eth0; choose/,
    ],
  );
  t.equal(plan(text).underlay.cidr, '192.168.60.0/24');
});

t.test('prefixes of one lab that overlap are refused', async (t) => {
  t.match(problems(`${LAB}spec:\n  podCIDR: 10.96.0.0/16\n`), [
    /^lab\.yaml:\d: spec\.serviceCIDR: .*overlap/,
  ]);
  t.match(problems(`${LAB}spec:\n  podCIDR: 192.168.0.0/16\n  underlay: {cidr: 192.168.9.0/24}\n`), [
    /^lab\.yaml:6: spec\.underlay\.cidr: .*overlap/,
  ]);
  t.equal(plan(`${LAB}spec: {podCIDR: 192.168.50.0/23}\n`).underlay.cidr, '192.168.52.0/24');
});

t.test('a long name is refused, in the file and as a flag', async (t) => {
  t.match(problems(LAB.replace('demo', 'a-name-too-long')), [
    /^lab\.yaml:3: metadata\.name: .*12 characters/,
  ]);
  t.match(problems(LAB, { name: 'a-name-too-long' }), [/metadata\.name: .*12 characters/]);
  t.match(problems(LAB, { name: 'host' }), [/metadata\.name: "host" is the lab of agents on real hosts/]);
  t.match(problems('', { name: 'Wrong' }), [/^metadata\.name: /]);
});

t.test('nodes keep their own addresses, and two with one are refused', async (t) => {
  const text = (address: string): string =>
    `${LAB}spec:\n  underlay: {cidr: 172.30.0.0/24}\n  nodes:\n    - {name: a}\n    - {name: b, address: ${address}}\n`;
  t.strictSame(
    plan(text('172.30.0.9')).nodes.map((node) => node.address),
    ['172.30.0.1', '172.30.0.9'],
  );
  t.match(problems(text('172.30.0.1')), [
    /^lab\.yaml:8: spec\.nodes\[1\]: b would get 172\.30\.0\.1, which a has/,
  ]);
});

t.test('a pod of a node that the lab does not have is refused', async (t) => {
  t.match(problems(LAB + pod('web', '  nodeName: node9\n')), [
    /^lab\.yaml:10: spec\.nodeName: There is no node "node9" in this lab; it has node1, node2/,
  ]);
  const peer = '---\napiVersion: v1\nkind: Node\nmetadata: {name: node9}\n';
  t.strictSame(problems(LAB + peer + pod('web', '  nodeName: node9\n')), []);
});

t.test('two Labs are refused, and a Lab in a manifest', async (t) => {
  t.match(problems(`${LAB}---\n${LAB}`), [/^lab\.yaml:5: kind: A second Lab/]);
  const readManifest = (): Located[] => parseManifest(LAB, 'other.yaml');
  t.match(problems(`${LAB}spec:\n  manifests: [other.yaml]\n`, { readManifest }), [
    /^lab\.yaml:5: spec\.manifests\[0\]: other\.yaml:1: kind: A Lab cannot/,
  ]);
});

t.test('manifests follow the objects of the file, and clash with them by name', async (t) => {
  const text = `${LAB}spec:\n  manifests: [more.yaml]\n${pod('web')}`;
  const more = (name: string) => (): Located[] => parseManifest(pod(name), 'more.yaml');
  t.strictSame(
    plan(text, { readManifest: more('api') }).objects.map(({ object }) => object.metadata.name),
    ['web', 'api'],
  );
  t.match(problems(text, { readManifest: more('web') }), [
    /^more\.yaml:4: metadata\.name: The same Pod stands at lab\.yaml:7/,
  ]);
});

t.test('without access the machine has no part in the lab', async (t) => {
  t.equal(plan(`${LAB}spec: {access: false}\n`).underlay.access, undefined);
});

t.test('the digest tells whether a person wrote something else', async (t) => {
  const { digest } = plan(LAB + pod('web'));
  t.equal(plan(`# other words\n${LAB}${pod('web')}`, { taken: [taken('192.168.50.0/24')] }).digest, digest);
  t.equal(plan(`${LAB}spec: {access: true}\n${pod('web')}`).digest, digest, 'a default may be written down');
  for (const other of [LAB + pod('api'), LAB, `${LAB}spec: {access: false}\n${pod('web')}`])
    t.not(plan(other).digest, digest);
});
