/** Clients that are not kubectl: Kubernetes' own for JavaScript and Python, over TLS with the kubeconfig. */
import {
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';
import t from 'tap';
import { startServer } from '../lib/server.js';
import { printed, runSync, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

const namespace = 'default';

t.test('@kubernetes/client-node creates, lists, patches, applies, watches and deletes', async (t) => {
  const config = new KubeConfig();
  const { kubeconfig } = await startServer(t);
  config.loadFromFile(kubeconfig);
  const core = config.makeApiClient(CoreV1Api);
  const seen: string[] = [];
  const list = () => core.listNamespacedConfigMap({ namespace });
  const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);
  for (const event of ['add', 'update', 'delete'] as const)
    informer.on(event, ({ metadata }) => {
      if (metadata?.name === 'c') seen.push(event);
    });
  await informer.start();
  t.teardown(() => informer.stop());
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'c' }, data: { a: '1' } } });
  await until('the informer has heard of it', () => seen.includes('add'));
  const patched = await core.patchNamespacedConfigMap(
    { namespace, name: 'c', body: [{ op: 'add', path: '/data/b', value: '2' }] },
    setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
  );
  t.strictSame(patched.data, { a: '1', b: '2' });
  await until('the informer has heard of the change', () => seen.includes('update'));
  t.equal((await list()).items.filter(({ metadata }) => metadata?.name === 'c').length, 1);
  await t.rejects(core.readNamespacedConfigMap({ namespace, name: 'none' }), { code: 404 });
  const objects = KubernetesObjectApi.makeApiClient(config);
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace },
    spec: { ports: [{ port: 80 }] },
  };
  t.match(await objects.create(service), { spec: { type: 'ClusterIP', clusterIP: /^10\./ } });
  await core.deleteNamespacedConfigMap({ namespace, name: 'c' });
  await until('the informer has heard of the end', () => seen.includes('delete'));
});

const PYTHON = `
import sys
from kubernetes import client, config, watch
config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="p"), data={"a": "1"}))
core.patch_namespaced_config_map("p", "default", {"data": {"b": "2"}})
print(sorted(core.read_namespaced_config_map("p", "default").data.items()))
for event in watch.Watch().stream(core.list_namespaced_config_map, "default", timeout_seconds=20):
    print(event["type"], event["object"].metadata.name)
    if event["object"].metadata.name == "p":
        break
core.delete_namespaced_config_map("p", "default")
try:
    core.read_namespaced_config_map("p", "default")
except client.exceptions.ApiException as error:
    print(error.status, error.reason)
`;
const hasPython = runSync(['python3', '-c', 'import kubernetes']).status === 0;

t.test(
  'python3-kubernetes does the same',
  { skip: !hasPython && 'there is no python3-kubernetes' },
  async (t) => {
    const { kubeconfig } = await startServer(t);
    const child = start(t, ['python3', '-c', PYTHON, kubeconfig]);
    const text = await printed(child, /404 Not Found/);
    t.match(text, "[('a', '1'), ('b', '2')]");
    t.match(text, /ADDED p/);
  },
);
