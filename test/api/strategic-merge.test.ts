import t from 'tap';
import { NAMESPACE, POD, SERVICE } from '../../src/api/kinds.js';
import type { Schema } from '../../src/api/schema.js';
import { strategicMerge } from '../../src/api/strategic-merge.js';

type Value = Record<string, unknown>;
const merge = (schema: Schema, target: Value, patch: Value): Value => strategicMerge(target, patch, schema);
const pod = (containers: Value[], more: Value = {}): Value => ({ spec: { containers, ...more } });

t.test('containers are merged by their name, and keep their order', async (t) => {
  const live = pod([
    { name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] },
    { name: 'b', image: 'b:1' },
  ]);
  const patch = pod([
    { name: 'b', image: 'b:2' },
    { name: 'a', env: [{ name: 'Y', value: '2' }] },
    { name: 'c' },
  ]);
  t.strictSame(merge(POD.schema, live, patch), {
    spec: {
      containers: [
        { name: 'b', image: 'b:2' },
        {
          name: 'a',
          image: 'a:1',
          env: [
            // As in Kubernetes: what is new has no place among what was there, and goes first.
            { name: 'Y', value: '2' },
            { name: 'X', value: '1' },
          ],
        },
        { name: 'c' },
      ],
    },
  });
});

t.test('$patch deletes and replaces, of a map and of items', async (t) => {
  const live = pod([{ name: 'a' }, { name: 'b' }]);
  t.strictSame(merge(POD.schema, live, pod([{ $patch: 'delete', name: 'a' }])), pod([{ name: 'b' }]));
  t.strictSame(merge(POD.schema, live, pod([{ name: 'z' }, { $patch: 'replace' }])), pod([{ name: 'z' }]));
  t.strictSame(
    merge(
      POD.schema,
      { metadata: { labels: { a: '1' }, name: 'n' } },
      { metadata: { labels: { $patch: 'replace', b: '2' } } },
    ),
    { metadata: { labels: { b: '2' }, name: 'n' } },
  );
  t.strictSame(
    merge(
      POD.schema,
      { spec: { nodeSelector: { a: '1' } } },
      { spec: { nodeSelector: { $patch: 'delete' } } },
    ),
    {
      spec: { nodeSelector: {} },
    },
  );
  t.throws(() => merge(POD.schema, live, { spec: { $patch: 'eat' } }), /unknown patch type "eat"/);
  t.throws(() => merge(POD.schema, live, pod([{ image: 'x' }])), /does not contain declared merge key: name/);
});

t.test('$setElementOrder orders, and what it does not name stays near its place', async (t) => {
  const order = (names: string[]): Value => ({
    '$setElementOrder/containers': names.map((name) => ({ name })),
  });
  const live = pod(['a', 'b', 'c', 'd'].map((name) => ({ name })));
  const names = (value: Value): unknown =>
    ((value['spec'] as Value)['containers'] as { name: string }[]).map(({ name }) => name).join('');
  t.equal(names(merge(POD.schema, live, { spec: order(['d', 'a']) })), 'bcda');
  t.equal(names(merge(POD.schema, live, pod([{ name: 'x' }], order(['x', 'a', 'd'])))), 'xabcd');
});

t.test('a set of plain values is united, and values are taken out of it', async (t) => {
  const live = { spec: { finalizers: ['a', 'b'] } };
  t.strictSame(merge(NAMESPACE.schema, live, { spec: { finalizers: ['b', 'c'] } }), {
    spec: { finalizers: ['a', 'b', 'c'] },
  });
  t.strictSame(merge(NAMESPACE.schema, live, { spec: { '$deleteFromPrimitiveList/finalizers': ['a'] } }), {
    spec: { finalizers: ['b'] },
  });
});

t.test('a Service’s ports go by port; its other lists are replaced whole', async (t) => {
  const live = { spec: { ports: [{ port: 80, name: 'http' }], externalIPs: ['192.0.2.1'] } };
  const patch = {
    spec: { ports: [{ port: 80, targetPort: 8080 }, { port: 443 }], externalIPs: ['192.0.2.2'] },
  };
  t.strictSame(merge(SERVICE.schema, live, patch), {
    spec: {
      ports: [{ port: 80, name: 'http', targetPort: 8080 }, { port: 443 }],
      externalIPs: ['192.0.2.2'],
    },
  });
});

t.test('null removes, $retainKeys removes the rest, and the target stays as it was', async (t) => {
  const live = { spec: { volumes: [{ name: 'v', emptyDir: {} }], hostname: 'h' } };
  const before = JSON.stringify(live);
  const patch = {
    spec: {
      hostname: null,
      volumes: [{ name: 'v', $retainKeys: ['name', 'configMap'], configMap: { name: 'c' } }],
    },
  };
  t.strictSame(merge(POD.schema, live, patch), {
    spec: { volumes: [{ name: 'v', configMap: { name: 'c' } }] },
  });
  t.equal(JSON.stringify(live), before);
});
