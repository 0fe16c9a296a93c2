/**
 * `kube-system/kube-dns`, the Service by which pods reach the cluster's DNS: the tenth address of serviceCIDR. Its endpoints are
 * the gateway addresses of all nodes, where each agent answers on port 53.
 *
 * A query is answered on its own host, by hints (KEP-3015) and not by `internalTrafficPolicy: Local`: a host whose port 53
 * somebody else has says so by a condition of its Node, hints then no longer hold, and its pods are answered by other hosts.
 */
import { isReady } from '../api/node.js';
import { DNS_CONDITION, type ClusterView, type Lab, type Node } from '../api/types.js';
import type { Change } from './change.js';
import { reconcileGatewayService, serviceAddress } from './gateway-service.js';
import { DNS_OFFSET } from './service-allocation.js';
import type { ServiceLookup } from './service-index.js';

/** Where agents serve metrics on their gateway address. */
export const DNS_METRICS_PORT = 9153;

/** The address at which pods ask; undefined in a serviceCIDR that is too small for it. */
export const dnsAddress = (lab: Lab): string | undefined => serviceAddress(lab, DNS_OFFSET);

const saysItServes = ({ status }: Node): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === DNS_CONDITION && value === 'True') ?? false;

/**
 * Bring `kube-system/kube-dns`, its slice and its Endpoints to what they should be.
 *
 * @param assumesServed  take every node for one that serves: objects from files say nothing of what agents do
 */
export const reconcileDnsService = (
  view: ClusterView,
  assumesServed = false,
  lookup?: ServiceLookup,
): Change[] =>
  reconcileGatewayService(
    view,
    {
      namespace: 'kube-system',
      name: 'kube-dns',
      // What dashboards and manifests for real clusters look for.
      labels: {
        'k8s-app': 'kube-dns',
        'kubernetes.io/cluster-service': 'true',
        'kubernetes.io/name': 'CoreDNS',
      },
      offset: DNS_OFFSET,
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 53 },
        { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: 53 },
        { name: 'metrics', protocol: 'TCP', port: DNS_METRICS_PORT, targetPort: DNS_METRICS_PORT },
      ],
      isServedBy: (node) => assumesServed || (isReady(node) && saysItServes(node)),
      isNear: true,
    },
    lookup,
  );
