/**
 * Where other hosts reach this server, written down for `podwire token create` and `podwire user add`.
 */
import { CLUSTER_INFO } from '../../api/cluster-info.js';
import { CONFIG_MAP } from '../../api/kinds.js';
import type { ConfigMap } from '../../api/types.js';
import { formatKubeconfig } from '../../client/kubeconfig.js';
import type { Registry } from '../registry/registry.js';

/** Write it, or bring it to what is true now. */
export async function publishClusterInfo(
  registry: Registry,
  cluster: { name: string; url: string; authority: string },
): Promise<void> {
  const { name, namespace, key } = CLUSTER_INFO;
  const place = { kind: CONFIG_MAP, namespace };
  const data = { [key]: formatKubeconfig({ ...cluster, user: '' }) };
  if (await registry.objects.find(place, name))
    await registry.modify(place, name, (old) => ({ ...(old as ConfigMap), data }), undefined);
  else
    await registry.create(place, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace },
      data,
    });
}
