/**
 * `kube-root-ca.crt`, the ConfigMap of every namespace by which its pods know the server. Only a server makes it: it is the
 * server's certificate. What somebody changed is put right again, as Kubernetes' root CA publisher does.
 */
import { CA_FILE, ROOT_CA } from '../api/account-volume.js';
import type { ConfigMap } from '../api/types.js';
import type { Change } from './change.js';
import type { ControlView } from './view.js';

/**
 * Make it where it is missing, and right where it is not.
 *
 * @param view       of a server
 * @param authority  the certificate to trust, PEM
 */
export function reconcileRootCa({ namespaces, configMaps = [] }: ControlView, authority: string): Change[] {
  const having = new Map<string | undefined, ConfigMap>();
  for (const map of configMaps) if (map.metadata.name === ROOT_CA) having.set(map.metadata.namespace, map);
  return namespaces.flatMap(({ metadata }): Change[] => {
    if (metadata.deletionTimestamp) return [];
    const map = having.get(metadata.name);
    if (!map) return [{ type: 'create', object: rootCa(metadata.name, authority) }];
    if (map.data?.[CA_FILE] === authority || map.metadata.deletionTimestamp) return [];
    return [{ type: 'update', object: { ...map, data: { [CA_FILE]: authority } } as ConfigMap }];
  });
}

const rootCa = (namespace: string, authority: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: ROOT_CA,
    namespace,
    annotations: {
      'kubernetes.io/description':
        'Contains the certificate of the authority that signs the API server’s: pods verify the server by it.',
    },
  },
  data: { [CA_FILE]: authority },
});
