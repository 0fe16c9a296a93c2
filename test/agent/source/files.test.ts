import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { createFilesSource } from '../../../src/agent/source/files.js';
import { isExternalNode } from '../../../src/api/node.js';
import { FLANNEL_BACKEND_DATA } from '../../../src/api/types.js';
import type { ClusterView, EndpointSlice, Pod } from '../../../src/api/types.js';
import { testName } from '../../lib/netns.js';

const NODES = `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: vm1}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
- {apiVersion: v1, kind: Node, metadata: {name: vm2}, status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}}
`;
const pod = (name: string, image = 'nginx'): string => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: vm1
  containers:
  - name: main
    image: ${image}
`;

/** A source over files that the test writes, and the views it gave. */
const makeSource = (t: Test, files: Record<string, string>, intervalMs = 3_600_000) => {
  const dir = mkdtempSync(join(tmpdir(), testName('')));
  const write = (name: string, text: string): void => writeFileSync(join(dir, name), text);
  for (const [name, text] of Object.entries(files)) write(name, text);
  const source = createFilesSource({
    paths: Object.keys(files).map((name) => join(dir, name)),
    lab: 'host',
    log: pino({ level: 'silent' }),
    intervalMs,
  });
  t.teardown(async () => {
    await source.close();
    rmSync(dir, { recursive: true });
  });
  let views = 0;
  let view: ClusterView | undefined;
  let wake: () => void = () => undefined;
  const start = (): Promise<void> =>
    source.start((next) => {
      views++;
      view = next;
      wake();
    });
  /** Wait until `isSo` holds; looked at on each view, and often. */
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo())
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, 5);
      });
  };
  const podNamed = (name: string): Pod => {
    const found = view?.pods.find((one) => one.metadata.name === name);
    if (!found) throw new Error(`no pod ${name} in the view`);
    return found;
  };
  return { dir, write, source, start, until, podNamed, view: () => view!, views: () => views };
};

t.test('objects of several files become one settled view', async (t) => {
  const files = makeSource(t, { 'nodes.yaml': NODES, 'pods.yaml': pod('a') + pod('b') });
  await files.start();
  const { lab, nodes, namespaces } = files.view();
  t.match(lab, { metadata: { name: 'host' }, spec: { podCIDR: '10.244.0.0/16', backend: { port: 8472 } } });
  t.same(
    nodes.map((node) => [
      node.metadata.name,
      node.spec?.podCIDR,
      node.metadata.annotations?.[FLANNEL_BACKEND_DATA],
    ]),
    [
      ['vm1', '10.244.1.0/24', '{"VNI":1,"VtepMAC":"0e:58:0a:f4:01:00"}'],
      ['vm2', '10.244.2.0/24', '{"VNI":1,"VtepMAC":"0e:58:0a:f4:02:00"}'],
    ],
  );
  t.notOk(nodes.some(isExternalNode));
  t.same(
    namespaces.map((namespace) => namespace.metadata.name),
    ['default', 'kube-system'],
  );
  t.match(files.podNamed('a'), {
    metadata: { namespace: 'default' },
    status: { podIP: '10.244.1.2', hostIP: '192.0.2.1' },
  });
  t.equal(files.podNamed('b').status?.podIP, '10.244.1.3');
});

t.test('two hosts with the same files see the same view', async (t) => {
  const texts = { 'nodes.yaml': NODES, 'pods.yaml': pod('a') + pod('b') };
  const [one, two] = [makeSource(t, texts), makeSource(t, texts)];
  await Promise.all([one.start(), two.start()]);
  const facts = (view: ClusterView) =>
    view.pods.map(({ metadata, spec, status }) => [
      metadata.name,
      metadata.uid,
      spec.nodeName,
      status?.podIP,
    ]);
  t.same(facts(one.view()), facts(two.view()));
});

t.test('Services from files get addresses and endpoints, the same on every host', async (t) => {
  const service = (name: string, more: string): string => `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {ports: [{port: 80}]${more}}
`;
  const texts = {
    'nodes.yaml': NODES,
    'pods.yaml': pod('a').replace('metadata: {', 'metadata: {labels: {app: web}, '),
    'services.yaml':
      service('web', ', selector: {app: web}') +
      service('fixed', ', clusterIP: 172.30.0.9') +
      `---
apiVersion: v1
kind: Endpoints
metadata: {name: fixed}
subsets: [{addresses: [{ip: 203.0.113.9}], ports: [{port: 8080}]}]
`,
  };
  const [one, two] = [makeSource(t, texts), makeSource(t, texts)];
  await Promise.all([one.start(), two.start()]);
  t.strictSame(one.view().services, two.view().services);
  t.strictSame(one.view().endpointSlices, two.view().endpointSlices);
  const [web, fixed] = one.view().services;
  t.match(web, { metadata: { uid: /./ }, spec: { clusterIP: /^10\./ } });
  t.equal(fixed?.spec.clusterIP, '172.30.0.9', 'an address outside serviceCIDR is taken as it is');
  const { endpointSlices } = one.view();
  const isDns = ({ metadata }: EndpointSlice): boolean => metadata.name === 'kube-dns';
  t.match(
    endpointSlices.find(isDns)?.endpoints.map(({ addresses: [ip] }) => ip),
    ['10.244.1.1', '10.244.2.1'],
    'and DNS has its own',
  );
  const addresses = endpointSlices
    .filter((slice) => !isDns(slice))
    .flatMap(({ endpoints }) => endpoints)
    .map(({ addresses: [ip], conditions }) => [ip, conditions?.ready]);
  t.strictSame(addresses.sort(), [
    ['10.244.1.2', true],
    ['203.0.113.9', true],
  ]);
});

t.test('an external host is left as its file says', async (t) => {
  const files = makeSource(t, {
    'nodes.yaml': `${NODES}---
apiVersion: v1
kind: Node
metadata:
  name: kernel
  annotations:
    flannel.alpha.coreos.com/public-ip: 192.0.2.9
    flannel.alpha.coreos.com/backend-type: vxlan
    flannel.alpha.coreos.com/backend-data: '{"VNI":1,"VtepMAC":"02:00:00:00:00:09"}'
spec: {podCIDR: 10.244.9.0/24}
`,
  });
  await files.start();
  const kernel = files.view().nodes.find((node) => node.metadata.name === 'kernel')!;
  t.ok(isExternalNode(kernel));
  t.match(kernel.metadata.annotations?.[FLANNEL_BACKEND_DATA], /02:00:00:00:00:09/);
});

t.test('a file that is written again, or replaced as editors do, is read again', async (t) => {
  const files = makeSource(t, { 'nodes.yaml': NODES, 'pods.yaml': pod('a') });
  await files.start();
  const { uid } = files.podNamed('a').metadata;
  files.write('pods.yaml', pod('a') + pod('b'));
  await files.until(() => files.view().pods.length === 2);
  t.equal(files.podNamed('a').metadata.uid, uid, 'a pod that did not change is the same pod');
  files.write('pods.yaml.new', pod('a', 'alpine'));
  renameSync(join(files.dir, 'pods.yaml.new'), join(files.dir, 'pods.yaml'));
  await files.until(() => files.view().pods.length === 1);
  t.not(files.podNamed('a').metadata.uid, uid, 'a pod that changed is another pod');
  t.same(files.source.problems(), []);
});

t.test('a pod whose address moves because others were added is another pod', async (t) => {
  const files = makeSource(t, { 'nodes.yaml': NODES, 'pods.yaml': pod('b') });
  await files.start();
  const { uid } = files.podNamed('b').metadata;
  files.write('pods.yaml', pod('a') + pod('b'));
  await files.until(() => files.view().pods.length === 2);
  t.equal(files.podNamed('b').status?.podIP, '10.244.1.3');
  t.not(files.podNamed('b').metadata.uid, uid);
});

t.test('files that go wrong leave what was in force, and are named with line and field', async (t) => {
  const files = makeSource(t, { 'nodes.yaml': NODES, 'pods.yaml': pod('a') });
  await files.start();
  const problem = (): string => files.source.problems().join('\n');

  files.write('pods.yaml', pod('a') + pod('b').replace('name: main', 'name: Main!'));
  await files.until(() => problem() !== '');
  t.match(problem(), /pods\.yaml:17: spec\.containers\[0\]\.name: .*Main!/);
  t.equal(files.views(), 1, 'nothing half-applied');
  t.equal(files.view().pods.length, 1);

  files.write('pods.yaml', 'apiVersion: v1\nkind: [');
  await files.until(() => !/Main/.test(problem()));
  t.match(problem(), /pods\.yaml:2: /);

  files.write('pods.yaml', pod('a') + pod('c'));
  await files.until(() => files.view().pods.length === 2);
  t.same(files.source.problems(), []);
});

t.test('a start with files that are wrong is refused', async (t) => {
  const wrong = async (text: string, message: RegExp): Promise<void> => {
    await t.rejects(makeSource(t, { 'all.yaml': text }).start(), { message });
  };
  await wrong(
    'apiVersion: v1\nkind: Node\nmetadata: {name: a}\n',
    /all\.yaml:1: status\.addresses: Required value: .*InternalIP/,
  );
  await wrong(NODES + pod('a') + pod('a'), /all\.yaml:\d+: metadata\.name: /);
  await wrong(
    NODES + '---\napiVersion: v1\nkind: Spaceship\nmetadata: {name: a}\n',
    /all\.yaml:9: kind: .*Spaceship/,
  );
  const lab = (name: string): string =>
    `---\napiVersion: podwire.dev/v1alpha1\nkind: Lab\nmetadata: {name: ${name}}\n`;
  await wrong(NODES + lab('a') + lab('b'), /all\.yaml:12: kind: Expected at most one Lab/);
  const missing = makeSource(t, { 'all.yaml': NODES });
  rmSync(join(missing.dir, 'all.yaml'));
  await t.rejects(missing.start(), { message: /all\.yaml: There is no such file/ });
});

t.test('a change that the kernel does not report is found by looking', async (t) => {
  const files = makeSource(t, { 'nodes.yaml': NODES, 'pods.yaml': pod('a') }, 5);
  const later = join(files.dir, 'pods.yaml');
  await files.start();
  rmSync(later);
  await files.until(() => files.source.problems().length > 0);
  t.match(files.source.problems(), [/pods\.yaml: There is no such file/]);
  files.write('pods.yaml', pod('c'));
  await files.until(() => files.view().pods[0]?.metadata.name === 'c');
  t.pass('and what comes back is taken');
});
