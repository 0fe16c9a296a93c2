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
import { needsPython, startPython } from '../lib/python.js';
import { printed } from '../lib/spawn.js';
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

t.test(
  'python3-kubernetes creates, lists, patches, watches and deletes',
  { skip: needsPython },
  async (t) => {
    const { kubeconfig, call } = await startServer(t);
    const rootCa = `/api/v1/namespaces/${namespace}/configmaps/kube-root-ca.crt`;
    await until('there is one besides ours', async () => (await call('GET', rootCa)).code === 200);
    const child = startPython(
      t,
      kubeconfig,
      `
meta = client.V1ObjectMeta(name="p", labels={"app": "p"})
core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=meta, data={"a": "1"}))
core.patch_namespaced_config_map("p", "default", {"data": {"b": "2"}})
print("data", sorted(core.read_namespaced_config_map("p", "default").data.items()))
page = core.list_namespaced_config_map("default", limit=1)
print("page", len(page.items), page.metadata.remaining_item_count)
rest = core.list_namespaced_config_map("default", limit=9, _continue=page.metadata._continue)
print("rest", len(rest.items), rest.metadata._continue)
chosen = core.list_namespaced_config_map("default", label_selector="app=p")
seen = chosen.metadata.resource_version
core.patch_namespaced_config_map("p", "default", {"data": {"b": None}})
core.delete_namespaced_config_map("p", "default")
for event in watch.Watch().stream(core.list_namespaced_config_map, "default", label_selector="app=p", resource_version=seen):
    print("event", event["type"], sorted(event["object"].data.items()))
    if event["type"] == "DELETED":
        break
try:
    core.read_namespaced_config_map("p", "default")
except client.exceptions.ApiException as error:
    print("error", error.status, error.reason)
try:
    list(watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version="999999"))
except client.exceptions.ApiException as error:
    print("error", error.status)
deployment = {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {
    "metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}}
apps = client.AppsV1Api()
apps.create_namespaced_deployment("default", deployment)
apps.patch_namespaced_deployment_scale("d", "default", {"spec": {"replicas": 3}})
print("replicas", apps.read_namespaced_deployment("d", "default").spec.replicas)
print("done")
`,
    );
    const lines = (await printed(child, /^done$/m)).trimEnd().split('\n');
    t.strictSame(lines, [
      "data [('a', '1'), ('b', '2')]",
      'page 1 1',
      'rest 1 None',
      "event MODIFIED [('a', '1')]",
      "event DELETED [('a', '1')]",
      'error 404 Not Found',
      'error 410',
      'replicas 3',
      'done',
    ]);
  },
);
