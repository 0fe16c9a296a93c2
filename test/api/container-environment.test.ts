import t from 'tap';
import { decodeBase64, encodeBase64 } from '../../src/api/base64.js';
import { containerEnvironment, expand, type PodObjects } from '../../src/api/container-environment.js';
import { resourceOf } from '../../src/api/pod-fields.js';
import { parseQuantity } from '../../src/api/quantity.js';
import type { Container, EnvVar, Pod } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const podWith = (container: Partial<Container>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u', labels: { 'app.kubernetes.io/name': 'web' } },
  spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'nginx', ...container }] },
  status: { podIP: '10.244.1.2', podIPs: [{ ip: '10.244.1.2' }, { ip: 'fd00::2' }] },
});
const objects: PodObjects = {
  configMap: (namespace, name) =>
    name === 'cm' && namespace === 'default'
      ? { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { A: 'from cm', B: '$(A)' } }
      : undefined,
  secret: (_namespace, name) =>
    name === 's'
      ? { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { k: encodeBase64('grün') } }
      : undefined,
};
const environment = (container: Partial<Container>): Record<string, string> => {
  const pod = podWith(container);
  return containerEnvironment({ pod, container: pod.spec.containers[0]!, objects, services: { S: 'svc' } });
};

t.test('a variable may name those before it', async (t) => {
  const env = [{ name: 'A', value: '1' }, { name: 'B', value: '$(A)2$(C)$(S)' }, { name: 'C' }];
  t.same(environment({ env }), { S: 'svc', A: '1', B: '12$(C)svc', C: '' });
  t.equal(expand('$(toString)', {}), '$(toString)');
});

t.test('values come from everywhere; env overrides envFrom, and that the Services', async (t) => {
  const ref = (fieldPath: string): EnvVar['valueFrom'] => ({ fieldRef: { fieldPath } });
  t.same(
    environment({
      envFrom: [{ configMapRef: { name: 'cm' } }, { prefix: 'P_', secretRef: { name: 's' } }],
      env: [
        { name: 'A', value: 'mine' },
        { name: 'S', value: 'x' },
        { name: 'IPS', valueFrom: ref('status.podIPs') },
        { name: 'L', valueFrom: ref("metadata.labels['app.kubernetes.io/name']") },
        { name: 'NONE', valueFrom: ref("metadata.annotations['no']") },
        { name: 'K', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
        { name: 'O', valueFrom: { secretKeyRef: { name: 's', key: 'no', optional: true } } },
      ],
    }),
    { S: 'x', A: 'mine', B: '$(A)', P_k: 'grün', IPS: '10.244.1.2,fd00::2', L: 'web', NONE: '', K: 'grün' },
  );
});

t.test('what is missing is named', async (t) => {
  const from = (valueFrom: EnvVar['valueFrom']) => () => environment({ env: [{ name: 'X', valueFrom }] });
  t.throws(from({ configMapKeyRef: { name: 'no', key: 'k' } }), { message: 'configmap "no" not found' });
  t.throws(from({ secretKeyRef: { name: 's', key: 'z' } }), {
    message: "couldn't find key z in Secret default/s",
  });
  t.throws(() => environment({ envFrom: [{ secretRef: { name: 'no' } }] }), {
    message: 'secret "no" not found',
  });
  t.same(environment({ envFrom: [{ secretRef: { name: 'no', optional: true } }] }), { S: 'svc' });
});

t.test('a source is one that is known', async (t) => {
  const problems = (valueFrom: unknown, value?: string) =>
    validate(podWith({ env: [{ name: 'X', value, valueFrom } as EnvVar] })).map(describeProblem);
  t.same(problems({ fieldRef: { fieldPath: 'status.hostIP' } }), []);
  t.match(problems({ fieldRef: { fieldPath: 'spec.color' } }), [
    /fieldPath: Unsupported value: "spec.color"/,
  ]);
  t.match(problems({ resourceFieldRef: { resource: 'cpu' } }), [/resource: Unsupported value: "cpu"/]);
  t.match(problems({ secretKeyRef: { name: 's', key: 'k' } }, 'x'), [/not be specified when `value` is not/]);
  t.match(problems({}), [/must specify one of/]);
});

t.test('resources are counted in units of the divisor, rounded up', async (t) => {
  const container: Partial<Container> = {
    resources: { limits: { cpu: '300m' }, requests: { memory: '65Mi' } },
  };
  const pod = podWith(container);
  const of = (resource: string, divisor?: string) =>
    resourceOf(pod, { resource, divisor }, { memory: '4Gi' }, pod.spec.containers[0]);
  t.equal(of('limits.cpu'), '1');
  t.equal(of('limits.cpu', '1m'), '300');
  t.equal(of('requests.cpu', '1m'), '300', 'a request that is left out is the limit');
  t.equal(of('requests.memory', '1Mi'), '65');
  t.equal(of('limits.memory', '1Gi'), '4', 'a limit that is left out is all of the node');
  for (const [text, value] of [
    ['1e3', 1000],
    ['1.5Gi', 1610612736],
    [2, 2],
    ['5E', 5e18],
    ['', undefined],
    ['5 Mi', undefined],
  ] as const)
    t.equal(parseQuantity(text), value, String(text));
});

t.test('base64 is read as UTF-8', async (t) => {
  for (const text of ['', 'a', 'ab', 'abc', 'grün', '€', '😀 and more']) {
    t.equal(decodeBase64(encodeBase64(text)), text);
    t.equal(decodeBase64(encodeBase64(text)), Buffer.from(encodeBase64(text), 'base64').toString());
  }
  t.equal(decodeBase64('/w=='), '\ufffd');
});
