import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dispatch } from '../../src/cli/dispatch.js';
import { knowsNoKernel } from '../lib/import-graph.js';
import { testIo } from '../lib/io.js';

const OBJECTS = `
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: { name: node1 }
  spec: { podCIDR: 10.244.1.0/24, aFieldOfTomorrow: 1 }
  status: { addresses: [{ type: InternalIP, address: 192.168.50.1 }] }
- apiVersion: v1
  kind: Service
  metadata: { name: web }
  spec: { clusterIP: 192.0.2.9, ports: [{ port: 80, targetPort: 8080 }] }
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
  addressType: IPv4
  endpoints: [{ addresses: [10.244.1.3] }]
  ports: [{ port: 8080, protocol: TCP }]
- apiVersion: apps/v1
  kind: Widget
  metadata: { name: web }
`;

async function run(words: readonly string[], input = OBJECTS) {
  const io = testIo({ input });
  const code = await dispatch(['explain', ...words], io);
  return { code, out: io.out(), err: io.err() };
}

t.test('one packet in words', async (t) => {
  const { code, out, err } = await run(['-f', '-', '--from', '10.244.1.2', '--to', '192.0.2.9:80']);
  t.equal(code, 0);
  t.match(out, /^10\.244\.1\.2 → 192\.0\.2\.9:80 TCP: forward\n/);
  t.match(
    out,
    /\n  dnat +192\.0\.2\.9:80 becomes 10\.244\.1\.3:8080.*\[default\/web:80 10\.244\.1\.3:8080\]\n/,
  );
  t.equal(err, 'note: <stdin>:20: Widget has no say in this, left out\n');
});

t.test('one packet as JSON', async (t) => {
  const words = ['-f', '-', '--node', 'node1', '--from', '10.244.1.2:5000', '--to', '192.0.2.9:81'];
  const { code, out } = await run([...words, '-o', 'json']);
  t.equal(code, 0);
  t.match(JSON.parse(out), { verdict: 'no-service', backends: [], sourceRewritten: false });
});

t.test('a line of JSON for a line of JSON', async (t) => {
  const file = join(t.testdir(), 'objects.yaml');
  writeFileSync(file, OBJECTS);
  const lines = [
    '{"node":"node1","from":"10.244.1.2","to":"192.0.2.9","port":80,"protocol":"TCP","tries":3}',
    '',
    '{"from":"10.244.1.3","to":"192.0.2.9","port":80,"fromPort":7}',
    '{"from":"10.244.1.3"',
    '{"from":"10.244.1.3","to":"192.0.2.9"}',
  ];
  const { code, out } = await run(['-f', file, '--queries', '-'], lines.join('\n') + '\n');
  t.equal(code, 1, 'a line could not be read');
  const answers = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(answers, [
    { verdict: 'forward', backends: [{ ip: '10.244.1.3', port: 8080, count: 3 }], sourceRewritten: false },
    { verdict: 'forward', sourceRewritten: true },
    { error: /JSON/ },
    { error: /"port"/ },
  ]);
  t.same(Object.keys(answers[0]!), ['verdict', 'backends', 'sourceRewritten', 'reason', 'path']);
});

t.test('bad usage', async (t) => {
  for (const [words, message] of [
    [[], /From where to where\?/],
    [['--from', '10.0.0.1', '--to', '10.0.0.2'], /need IP:PORT/],
    [['--from', 'web', '--to', '10.0.0.2:80'], /Cannot read --from "web"/],
    [['--from', '10.0.0.1', '--to', '10.0.0.2:80', '--proto', 'x'], /choose TCP/],
    [['--from', '10.0.0.1', '--to', '10.0.0.2:80', '--tries', 'x'], /--tries "x"/],
    [['--queries', '-', '-f', '-'], /Only one/],
    [['--queries', '-', '--from', '10.0.0.1'], /Either --queries/],
  ] as const) {
    const { code, err } = await run(words);
    t.equal(code, 2, words.join(' '));
    t.match(err, message);
  }
  const { code, err } = await run(['-f', '-', '--from', '10.0.0.1', '--to', '10.0.0.2:80'], 'kind: Lab\n');
  t.equal(code, 1);
  t.ok(err.length > 0);
});

t.test('it loads nothing that knows the kernel', async (t) => {
  knowsNoKernel(t, 'cli/explain.js');
});
