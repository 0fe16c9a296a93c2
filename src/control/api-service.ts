/**
 * `default/kubernetes`, the Service by which pods reach the API: the first address of serviceCIDR, port 443. Its
 * endpoints are the gateway addresses of all nodes, where each agent listens on port 6443 and pipes to the server.
 *
 * Only a server makes it: without one there is nothing to reach.
 */
import { isReady } from '../api/node.js';
import type { ClusterView } from '../api/types.js';
import type { Change } from './change.js';
import { reconcileGatewayService } from './gateway-service.js';
import { API_OFFSET } from './service-allocation.js';
import type { ServiceLookup } from './service-index.js';

/** Where agents listen on their gateway address. */
export const API_PORT = 6443;

/** Bring `default/kubernetes`, its slice and its Endpoints to what they should be. @param view  of a server */
export const reconcileApiService = (view: ClusterView, lookup?: ServiceLookup): Change[] =>
  reconcileGatewayService(
    view,
    {
      namespace: 'default',
      name: 'kubernetes',
      labels: { component: 'apiserver', provider: 'kubernetes' },
      offset: API_OFFSET,
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: API_PORT }],
      isServedBy: isReady,
      isNear: false,
    },
    lookup,
  );
