/**
 * `default/kubernetes`, the Service by which pods reach the API: the first address of serviceCIDR, port 443. Its
 * endpoints are the gateway addresses of all nodes, where each agent listens on port 6443 and pipes to the server.
 *
 * Only a server makes it: without one there is nothing to reach.
 */
import { labSpec } from '../api/defaults.js';
import { equal } from '../api/json.js';
import { isExternalNode, isReady } from '../api/node.js';
import {
  keyOf,
  SERVICE_NAME,
  type ApiObject,
  type ClusterView,
  type Endpoint,
  type Endpoints,
  type EndpointSlice,
  type Service,
} from '../api/types.js';
import { formatIpv4, parseCidr } from '../wire/address.js';
import type { Change } from './change.js';
import { SKIP_MIRROR } from './endpoints.js';
import { compareNatural } from './order.js';
import { API_OFFSET } from './service-allocation.js';

const NAME = 'kubernetes';
const NAMESPACE = 'default';
/** Where agents listen on their gateway address. */
export const API_PORT = 6443;

/** Bring `default/kubernetes`, its slice and its Endpoints to what they should be. @param view  of a server */
export function reconcileApiService(view: ClusterView): Change[] {
  const range = parseCidr(labSpec(view.lab).serviceCIDR);
  const isThere = view.namespaces.some(
    ({ metadata }) => metadata.name === NAMESPACE && !metadata.deletionTimestamp,
  );
  if (!range || !isThere) return [];
  const clusterIP = formatIpv4((range.base + API_OFFSET) | 0);
  const key = `${NAMESPACE}/${NAME}`;
  const service = view.services.find((object) => keyOf(object) === key);
  // It was made before the Lab came, with another serviceCIDR.
  if (service && service.spec.clusterIP !== clusterIP) return [{ type: 'remove', object: service }];
  const changes: Change[] = service ? [] : [{ type: 'create', object: apiService(clusterIP) }];
  const endpoints = gateways(view);
  const slice = view.endpointSlices.find((object) => keyOf(object) === key);
  const old = view.endpoints.find((object) => keyOf(object) === key);
  for (const [have, wanted] of [
    [slice, apiSlice(endpoints)],
    [old, apiEndpoints(endpoints)],
  ] as const) {
    if (!have) changes.push({ type: 'create', object: wanted });
    else if (!isSame(have, wanted))
      changes.push({
        type: 'update',
        object: { ...wanted, metadata: { ...have.metadata, labels: wanted.metadata.labels } } as ApiObject,
      });
  }
  return changes;
}

const isSame = (have: ApiObject, wanted: ApiObject): boolean =>
  equal(
    { ...have, metadata: { labels: have.metadata.labels } },
    { ...wanted, metadata: { labels: wanted.metadata.labels } },
  );

function gateways({ nodes }: ClusterView): Endpoint[] {
  return nodes
    .flatMap((node) => {
      const cidr = parseCidr(node.spec?.podCIDR ?? '');
      if (!cidr || isExternalNode(node) || node.metadata.deletionTimestamp) return [];
      const address = formatIpv4((cidr.base + 1) | 0);
      return [{ addresses: [address], conditions: { ready: isReady(node) }, nodeName: node.metadata.name }];
    })
    .sort((a, b) => compareNatural(a.nodeName, b.nodeName));
}

const apiService = (clusterIP: string): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name: NAME,
    namespace: NAMESPACE,
    labels: { component: 'apiserver', provider: 'kubernetes' },
  },
  spec: {
    type: 'ClusterIP',
    clusterIP,
    clusterIPs: [clusterIP],
    ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: API_PORT }],
  },
});

const apiSlice = (endpoints: Endpoint[]): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: NAME, namespace: NAMESPACE, labels: { [SERVICE_NAME]: NAME } },
  addressType: 'IPv4',
  endpoints,
  ports: [{ name: 'https', port: API_PORT, protocol: 'TCP' }],
});

function apiEndpoints(endpoints: readonly Endpoint[]): Endpoints {
  const addresses = endpoints.flatMap(({ addresses: [ip], conditions }) =>
    conditions?.ready ? [{ ip: ip! }] : [],
  );
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: NAME, namespace: NAMESPACE, labels: { ...SKIP_MIRROR } },
    ...(addresses.length > 0 && {
      subsets: [{ addresses, ports: [{ name: 'https', port: API_PORT, protocol: 'TCP' as const }] }],
    }),
  };
}
