import t from 'tap';
import { describeProblem, validate } from '../../src/api/validate.js';

const pod = (spec: unknown, metadata: unknown = { name: 'web' }) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata,
  spec,
});
const lab = (spec: unknown, name = 'demo') => ({
  apiVersion: 'podwire.dev/v1alpha1',
  kind: 'Lab',
  metadata: { name },
  spec,
});
const node = (spec: unknown, annotations?: unknown) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node1', annotations },
  spec,
});
const web = { name: 'web', image: 'nginx' };
const lines = (value: unknown): string[] => validate(value).map(describeProblem);

t.test('a pod as people write it is valid', async (t) => {
  t.strictSame(
    lines(
      pod(
        {
          containers: [
            {
              ...web,
              ports: [{ containerPort: 80, name: 'http' }],
              env: [{ name: 'A', value: '1' }],
              resources: { limits: { cpu: '500m', memory: 128 } },
              readinessProbe: { httpGet: { path: '/', port: 'http' } },
              volumeMounts: [{ name: 'data', mountPath: '/data' }],
            },
          ],
          volumes: [{ name: 'data', emptyDir: {} }],
          nodeSelector: null,
        },
        { name: 'web-1', namespace: 'shop', labels: { app: 'web', 'example.com/tier': '' } },
      ),
    ),
    [],
  );
});

t.test('what is no object, or of a kind we do not know, is named', async (t) => {
  t.strictSame(lines('text'), [': must be an object with apiVersion and kind, not a string']);
  t.strictSame(lines([]), [': must be an object with apiVersion and kind, not a list']);
  t.strictSame(lines({ kind: 'Pod' }), ['apiVersion: Required value']);
  t.match(
    lines({ apiVersion: 'v1', kind: 'Pdo' })[0],
    /^kind: Unsupported value: "Pdo": supported values: .*"Pod"/,
  );
  t.strictSame(lines({ apiVersion: 'v2', kind: 'Pod' }), [
    'apiVersion: Unsupported value: "v2": supported values: "v1"',
  ]);
});

t.test('an unknown field is named by its path', async (t) => {
  t.strictSame(lines(pod({ containers: [{ ...web, imagee: 'x' }] })), [
    'spec.containers[0].imagee: unknown field',
  ]);
  t.strictSame(lines(pod({ containers: [web], constructor: 1 })), ['spec.constructor: unknown field']);
});

t.test('a value of the wrong type is named with what was expected', async (t) => {
  t.strictSame(lines(pod({ containers: web })), [
    'spec.containers: Invalid value: "map": must be of type array, not map',
  ]);
  t.strictSame(lines(pod({ containers: [{ ...web, ports: [{ containerPort: '80' }] }] })), [
    'spec.containers[0].ports[0].containerPort: Invalid value: "string": must be of type 32-bit integer, not string',
  ]);
  t.strictSame(lines(pod({ containers: [{ ...web, args: ['a', 1] }] })), [
    'spec.containers[0].args[1]: Invalid value: "integer": must be of type string, not integer',
  ]);
  t.strictSame(lines(pod({ containers: [null] })), [
    'spec.containers[0]: Invalid value: "null": must be of type map, not null',
  ]);
});

t.test('the rules of a pod', async (t) => {
  const one = (spec: unknown, expected: RegExp | string): void => {
    const found = lines(pod(spec));
    t.equal(found.length, 1, found.join('\n'));
    t.match(found[0], expected);
  };
  one({}, 'spec.containers: Required value');
  one({ containers: [] }, 'spec.containers: Required value');
  one({ containers: [{ name: 'a' }] }, 'spec.containers[0].image: Required value');
  one({ containers: [web, web] }, 'spec.containers[1].name: Duplicate value: "web"');
  one({ containers: [web], initContainers: [web] }, 'spec.initContainers[0].name: Duplicate value: "web"');
  one(
    { containers: [{ ...web, name: 'Web' }] },
    /^spec.containers\[0\].name: Invalid value: "Web": a lowercase RFC 1123 label/,
  );
  one(
    { containers: [{ ...web, ports: [{ containerPort: 70000 }] }] },
    'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
  );
  one(
    { containers: [web], restartPolicy: 'Sometimes' },
    'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
  );
  one(
    { containers: [{ ...web, env: [{ name: 'A=B' }] }] },
    /^spec.containers\[0\].env\[0\].name: Invalid value/,
  );
});

t.test('names and labels', async (t) => {
  const named = (metadata: unknown): string[] => lines(pod({ containers: [web] }, metadata));
  t.match(named({}), ['metadata.name: Required value: name or generateName is required']);
  t.strictSame(named({ generateName: 'web-' }), []);
  t.match(
    named({ name: 'Web_1' })[0],
    /^metadata.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain/,
  );
  t.match(named({ name: 'a'.repeat(254) })[0], /no more than 253 characters/);
  t.match(
    named({ name: 'a', labels: { 'a b': 'c' } })[0],
    /^metadata.labels: Invalid value: "a b": name part/,
  );
  t.match(
    named({ name: 'a', labels: { app: 'a b' } })[0],
    /^metadata.labels: Invalid value: "a b": a valid label/,
  );
  t.match(named({ name: 'a', namespace: 'A' })[0], /^metadata.namespace: Invalid value: "A"/);
});

t.test('the rules of a node', async (t) => {
  t.strictSame(lines(node({ podCIDR: '10.244.1.0/24' })), []);
  t.strictSame(lines(node({ podCIDR: '10.244.1.0/33' })), [
    'spec.podCIDRs[0]: Invalid value: "10.244.1.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
  ]);
  t.strictSame(lines(node({ podCIDR: '10.244.1.1/24' })), [
    'spec.podCIDRs[0]: Invalid value: "10.244.1.1/24": must not have bits set beyond the prefix length (10.244.1.0/24)',
  ]);
  t.match(lines(node({ podCIDR: '10.244.1.0/30' })), [/prefix length must be 16\.\.29/]);
  t.match(lines(node({ podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.2.0/24'] })), [
    /must be the same as podCIDR/,
  ]);
  const flannel = (annotations: Record<string, string>): string[] =>
    lines(
      node(
        {},
        Object.fromEntries(Object.entries(annotations).map(([k, v]) => [`flannel.alpha.coreos.com/${k}`, v])),
      ),
    );
  t.strictSame(
    flannel({
      'public-ip': '192.168.50.3',
      'backend-type': 'vxlan',
      'backend-data': '{"VNI":1,"VtepMAC":"0e:58:0a:f4:03:00"}',
    }),
    [],
  );
  t.equal(flannel({ 'public-ip': 'x' }).length, 1);
  t.equal(flannel({ 'backend-type': 'udp' }).length, 1);
  for (const data of [
    '',
    'null',
    '[]',
    '{"VNI":1}',
    '{"VNI":-1,"VtepMAC":"0e:58:0a:f4:03:00"}',
    '{"VtepMAC":"0e:58"}',
  ]) {
    t.equal(flannel({ 'backend-data': data }).length, 1, data);
  }
});

t.test('a lab needs nothing but a name', async (t) => {
  t.strictSame(lines({ apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'demo' } }), []);
  t.strictSame(lines(lab({ nodes: [{ name: 'a' }], underlay: { cidr: '172.16.9.0/24', mtu: 9000 } })), []);
});

t.test('the rules of a lab', async (t) => {
  const one = (spec: unknown, expected: RegExp | string, name = 'demo'): void => {
    const found = lines(lab(spec, name));
    t.equal(found.length, 1, found.join('\n'));
    t.match(found[0], expected);
  };
  one({}, /^metadata.name: .*no more than 12 characters/, 'a-name-with-13');
  one({}, /^metadata.name: .*RFC 1123 label/, 'Demo');
  one({ podCIDR: '10.244.0.0/33' }, /^spec.podCIDR: .*must be a valid CIDR value/);
  one({ podCIDR: '10.244.0.0/25' }, /^spec.podCIDR: .*prefix length must be 8\.\.24/);
  one(
    { podCIDR: '10.96.0.0/16' },
    /^spec.serviceCIDR: Invalid value: "10.96.0.0\/12": must not overlap spec.podCIDR/,
  );
  one({ underlay: { cidr: '10.244.9.0/24' } }, /^spec.underlay.cidr: .*must not overlap spec.podCIDR/);
  one({ podCIDR: '127.0.0.0/16' }, /must not overlap 127.0.0.0\/8, which is loopback/);
  one({ podCIDR: '224.0.0.0/8' }, /multicast/);
  one({ backend: { vni: 16777216 } }, 'spec.backend.vni: Invalid value: 16777216: must be 0..16777215');
  one({ backend: { vni: -1 } }, /^spec.backend.vni/);
  one({ backend: { port: 0 } }, /^spec.backend.port/);
  one(
    { backend: { type: 'udp' } },
    /^spec.backend.type: Unsupported value: "udp": supported values: "vxlan"/,
  );
  one({ underlay: { mtu: 1279 } }, 'spec.underlay.mtu: Invalid value: 1279: must be 1280..65535');
  one({ nodes: [] }, /^spec.nodes: Required value/);
  one({ nodes: [{ name: 'a' }, { name: 'a' }] }, 'spec.nodes[1].name: Duplicate value: "a"');
  one({ nodes: [{ name: 'net' }] }, /^spec.nodes\[0\].name: .*the lab itself uses/);
  one({ nodes: [{ name: 'a.b' }] }, /^spec.nodes\[0\].name: /);
  one(
    { podCIDR: '10.244.0.0/23', nodes: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] },
    /^spec.nodes: .*room for 2 nodes/,
  );
  one({ nodes: [{ name: 'a', address: '192.168.50.1' }] }, /needs spec.underlay.cidr/);
  const underlay = { cidr: '192.168.50.0/24' };
  one({ underlay, nodes: [{ name: 'a', address: '192.168.51.1' }] }, /must lie in spec.underlay.cidr/);
  one({ underlay, nodes: [{ name: 'a', address: '192.168.50.254' }] }, /the last but one/);
  one({ access: 'yes' }, 'spec.access: Invalid value: "string": must be of type boolean, not string');
  one({ nodess: [] }, 'spec.nodess: unknown field');
});

t.test('vni 0 and 16777215 are accepted', async (t) => {
  t.strictSame(lines(lab({ backend: { vni: 0 } })), []);
  t.strictSame(lines(lab({ backend: { vni: 16777215 } })), []);
});
