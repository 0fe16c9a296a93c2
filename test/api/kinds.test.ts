import t from 'tap';
import ts from 'typescript';
import { withDefaults } from '../../src/api/defaults.js';
import { findKind, findPlural, KINDS } from '../../src/api/kinds.js';
import { podStatusText } from '../../src/api/pod-columns.js';
import type { Schema } from '../../src/api/schema.js';
import type { Lab, Node, Pod } from '../../src/api/types.js';
import { inRoot } from '../lib/root.js';

t.test('a kind is found by every name it has', async (t) => {
  for (const name of ['pods', 'pod', 'po', 'Pod', 'PODS']) t.equal(findPlural(name)?.kind, 'Pod', name);
  t.equal(findPlural('labs.podwire.dev')?.kind, 'Lab');
  t.equal(findPlural('no')?.kind, 'Node');
  t.equal(findPlural('ns')?.kind, 'Namespace');
  t.equal(findPlural('nothing'), undefined);
  t.equal(findKind('podwire.dev/v1alpha1', 'Lab')?.plural, 'labs');
  t.equal(findKind('v1alpha1', 'Lab'), undefined);
});

t.test('no two kinds share a name', async (t) => {
  // The singular of Endpoints is endpoints.
  const names = KINDS.flatMap((kind) => [...new Set([kind.plural, kind.singular, ...kind.shortNames])]);
  t.equal(new Set(names).size, names.length);
});

t.test('every field of an interface is in the schema of its kind, and of the same type', async (t) => {
  const program = ts.createProgram([inRoot('src/api/types.ts')], {
    strict: true,
    target: ts.ScriptTarget.ES2023,
  });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(inRoot('src/api/types.ts'))!;
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(source)!);
  let fields = 0;

  const typeOf = (type: ts.Type): Schema['type'] => {
    const plain = checker.getNonNullableType(type);
    const parts = plain.isUnion() ? plain.types : [plain];
    const all = (flag: ts.TypeFlags): boolean => parts.every((part) => (part.flags & flag) !== 0);
    if (all(ts.TypeFlags.StringLike)) return 'string';
    if (all(ts.TypeFlags.NumberLike)) return 'integer';
    if (all(ts.TypeFlags.BooleanLike)) return 'boolean';
    return checker.isArrayType(plain) ? 'array' : 'object';
  };
  const hold = (type: ts.Type, schema: Schema, path: string): void => {
    fields++;
    const plain = checker.getNonNullableType(type);
    const name = typeOf(type);
    if (!schema.type) return;
    t.equal(name, schema.type, path);
    if (name === 'array')
      hold(checker.getTypeArguments(plain as ts.TypeReference)[0]!, schema.items!, `${path}[]`);
    if (name !== 'object') return;
    const index = plain.getStringIndexType();
    if (index) return hold(index, schema.additionalProperties!, `${path}[]`);
    for (const property of plain.getProperties()) {
      const part = schema.properties?.[property.name];
      if (!part && schema.additionalProperties) continue;
      t.ok(part, `${path}.${property.name} is in the schema`);
      if (part) hold(checker.getTypeOfSymbol(property), part, `${path}.${property.name}`);
    }
  };
  for (const kind of KINDS) {
    const symbol = exported.find((other) => other.name === kind.kind);
    t.ok(symbol, `types.ts has ${kind.kind}`);
    const own = symbol!.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol!) : symbol!;
    hold(checker.getDeclaredTypeOfSymbol(own), kind.schema, kind.kind);
  }
  t.ok(fields > 100, `${fields} fields were held against a schema`);
});

t.test('defaults of a pod', async (t) => {
  const written: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }] }] },
  };
  const pod = withDefaults(written);
  t.match(pod, {
    metadata: { namespace: 'default' },
    spec: {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      containers: [{ imagePullPolicy: 'Always', ports: [{ protocol: 'TCP' }] }],
    },
    status: { phase: 'Pending' },
  });
  t.equal(written.metadata.namespace, undefined, 'the object given is left alone');
  t.strictSame(withDefaults(pod), pod, 'defaults are filled in once');
});

t.test('defaults of a lab and a node', async (t) => {
  const lab = withDefaults<Lab>({
    apiVersion: 'podwire.dev/v1alpha1',
    kind: 'Lab',
    metadata: { name: 'demo' },
  });
  t.strictSame(lab.spec, {
    podCIDR: '10.244.0.0/16',
    serviceCIDR: '10.96.0.0/12',
    backend: { type: 'vxlan', vni: 1, port: 8472 },
    underlay: { mtu: 1500 },
    access: true,
    nodes: [{ name: 'node1' }, { name: 'node2' }],
    manifests: [],
    loadBalancers: {},
    proxy: { scheduler: 'random' },
    dns: { zone: 'cluster.local', ttl: 5, pods: 'insecure', hosts: [] },
  });
  const node = withDefaults<Node>({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: { podCIDR: '10.1.0.0/24' },
  });
  t.strictSame(node.spec?.podCIDRs, ['10.1.0.0/24']);
  t.equal(node.metadata.namespace, undefined);
});

t.test("a pod's status in one word", async (t) => {
  const text = (status: Pod['status'], deletionTimestamp?: string): string =>
    podStatusText({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', deletionTimestamp },
      spec: { containers: [] },
      status,
    });
  const container = { name: 'a', image: '', imageID: '', ready: false, restartCount: 0 };
  t.equal(text({ phase: 'Pending' }), 'Pending');
  t.equal(text({ phase: 'Running' }, '2026-01-01T00:00:00Z'), 'Terminating');
  const waiting = { ...container, state: { waiting: { reason: 'CrashLoopBackOff' } } };
  t.equal(text({ phase: 'Running', containerStatuses: [waiting] }), 'CrashLoopBackOff');
  const ended = { ...container, state: { terminated: { exitCode: 3 } } };
  t.equal(text({ phase: 'Failed', containerStatuses: [ended] }), 'ExitCode:3');
});
