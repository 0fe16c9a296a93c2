/** What a new pod is given so that its programs can ask the API: a volume with a token, as kubectl would see it. */
import t from 'tap';
import { POD } from '../../src/api/kinds.js';
import type { Pod } from '../../src/api/types.js';
import { startServer } from '../lib/server.js';

const PODS = '/api/v1/namespaces/default/pods';
const PLACE = '/var/run/secrets/kubernetes.io/serviceaccount';
const MERGE = { 'content-type': 'application/merge-patch+json' };

const pod = (name: string, spec: Partial<Pod['spec']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec },
});

t.test('a new pod has the volume in each of its containers', async (t) => {
  const { call } = await startServer(t);
  const { code, body } = await call(
    'POST',
    PODS,
    pod('web', { initContainers: [{ name: 'first', image: 'x' }] }),
  );
  t.equal(code, 201);
  const { spec } = body as Pod;
  const [volume] = spec.volumes!;
  t.match(volume!.name, /^kube-api-access-[a-z0-9]{5}$/);
  t.match(volume!.projected!.sources, [
    { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
  ]);
  for (const { volumeMounts } of [...spec.containers, ...spec.initContainers!])
    t.strictSame(volumeMounts, [{ name: volume!.name, mountPath: PLACE, readOnly: true }]);
  t.ok(
    (await call('POST', PODS, pod('host', { hostNetwork: true }))).body.spec.volumes,
    'on the host network too',
  );
});

t.test(
  'who wants no token gets none: the pod, its account, a container with a volume of its own there',
  async (t) => {
    const { call } = await startServer(t);
    const made = async (name: string, spec: Partial<Pod['spec']>): Promise<unknown> =>
      (await call('POST', PODS, pod(name, spec))).body.spec.volumes;
    t.notOk(await made('none', { automountServiceAccountToken: false }));
    const account = { metadata: { name: 'quiet' }, automountServiceAccountToken: false };
    t.equal((await call('POST', '/api/v1/namespaces/default/serviceaccounts', account)).code, 201);
    t.notOk(await made('quiet', { serviceAccountName: 'quiet' }));
    t.ok(await made('loud', { serviceAccountName: 'quiet', automountServiceAccountToken: true }));
    const volumes = [{ name: 'mine', emptyDir: {} }];
    const volumeMounts = [{ name: 'mine', mountPath: PLACE }];
    const own = { volumes, containers: [{ name: 'main', image: 'busybox', volumeMounts }] };
    t.strictSame(await made('own', own), volumes);
    t.equal(
      (await call('PATCH', `${PODS}/none`, { metadata: { labels: { a: 'b' } } }, MERGE)).body.spec.volumes,
      undefined,
      'nor later',
    );
  },
);

t.test('the same file can be applied again', async (t) => {
  const { client } = await startServer(t);
  t.equal((await client.apply(pod('web'))).result, 'created');
  t.equal((await client.apply(pod('web'))).result, 'unchanged');
  const newer = pod('web', { containers: [{ name: 'main', image: 'busybox:2' }] });
  t.equal((await client.apply(newer)).result, 'configured');
  t.equal((await client.get(POD, 'web', 'default'))!.spec.volumes!.length, 1);
});
