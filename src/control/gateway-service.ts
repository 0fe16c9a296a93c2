/**
 * Services that the hosts themselves serve: their endpoints are the gateway addresses of all nodes. A fixed address of
 * serviceCIDR, an EndpointSlice, and Endpoints, each made again when somebody removes or changes it.
 */
import { labSpec } from '../api/defaults.js';
import { equal } from '../api/json.js';
import { isExternalNode } from '../api/node.js';
import {
  keyOf,
  SERVICE_NAME,
  type ApiObject,
  type ClusterView,
  type Endpoint,
  type Endpoints,
  type EndpointSlice,
  type Lab,
  type Node,
  type Protocol,
  type Service,
} from '../api/types.js';
import { cidrLast, formatIpv4, parseCidr } from '../wire/address.js';
import type { Change } from './change.js';
import { SKIP_MIRROR } from './endpoints.js';
import { compareNatural } from './order.js';
import type { ServiceLookup } from './service-index.js';

export interface GatewayPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Where the hosts listen. */
  readonly targetPort: number;
}

export interface GatewayService {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Which address of serviceCIDR it has. */
  readonly offset: number;
  readonly ports: readonly GatewayPort[];
  /** Whether a node serves it now. */
  isServedBy(node: Node): boolean;
  /** Whether a client is led to its own host as long as every host serves it. */
  readonly isNear: boolean;
}

/** The address of serviceCIDR at an offset; undefined when the range is too small. */
export function serviceAddress(lab: Lab, offset: number): string | undefined {
  const range = parseCidr(labSpec(lab).serviceCIDR);
  return range && offset < cidrLast(range) - range.base ? formatIpv4((range.base + offset) | 0) : undefined;
}

/**
 * Bring the Service, its slice and its Endpoints to what they should be.
 *
 * @param lookup  of the same view
 */
export function reconcileGatewayService(
  view: ClusterView,
  wanted: GatewayService,
  lookup: ServiceLookup = lookupIn(view),
): Change[] {
  const { namespace, name } = wanted;
  const clusterIP = serviceAddress(view.lab, wanted.offset);
  const isThere = view.namespaces.some(
    ({ metadata }) => metadata.name === namespace && !metadata.deletionTimestamp,
  );
  if (clusterIP === undefined || !isThere) return [];
  const key = `${namespace}/${name}`;
  const service = lookup.service(key);
  // It was made before the Lab came, with another serviceCIDR.
  if (service && service.spec.clusterIP !== clusterIP) return [{ type: 'remove', object: service }];
  const changes: Change[] = service ? [] : [{ type: 'create', object: serviceOf(wanted, clusterIP) }];
  const endpoints = gateways(view, wanted);
  for (const [have, next] of [
    [lookup.slice(key), sliceOf(wanted, endpoints)],
    [lookup.endpoints(key), endpointsOf(wanted, endpoints)],
  ] as const) {
    if (!have) changes.push({ type: 'create', object: next });
    else if (!isSame(have, next))
      changes.push({
        type: 'update',
        object: { ...next, metadata: { ...have.metadata, labels: next.metadata.labels } } as ApiObject,
      });
  }
  return changes;
}

function lookupIn({ services, endpointSlices, endpoints }: ClusterView): ServiceLookup {
  const findIn =
    <T extends ApiObject>(list: readonly T[]) =>
    (key: string): T | undefined =>
      list.find((object) => keyOf(object) === key);
  return { service: findIn(services), slice: findIn(endpointSlices), endpoints: findIn(endpoints) };
}

const isSame = (have: ApiObject, wanted: ApiObject): boolean =>
  equal(
    { ...have, metadata: { labels: have.metadata.labels } },
    { ...wanted, metadata: { labels: wanted.metadata.labels } },
  );

function gateways({ nodes }: ClusterView, { isServedBy, isNear }: GatewayService): Endpoint[] {
  return nodes
    .flatMap((node) => {
      const cidr = parseCidr(node.spec?.podCIDR ?? '');
      if (!cidr || isExternalNode(node) || node.metadata.deletionTimestamp) return [];
      const address = formatIpv4((cidr.base + 1) | 0);
      const { name } = node.metadata;
      return [
        {
          addresses: [address],
          conditions: { ready: isServedBy(node) },
          nodeName: name,
          ...(isNear && { hints: { forNodes: [{ name }] } }),
        },
      ];
    })
    .sort((a, b) => compareNatural(a.nodeName, b.nodeName));
}

const serviceOf = ({ namespace, name, labels, ports }: GatewayService, clusterIP: string): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace, labels: { ...labels } },
  spec: {
    type: 'ClusterIP',
    clusterIP,
    clusterIPs: [clusterIP],
    ports: ports.map((port) => ({ ...port })),
  },
});

const sliceOf = ({ namespace, name, ports }: GatewayService, endpoints: Endpoint[]): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace, labels: { [SERVICE_NAME]: name } },
  addressType: 'IPv4',
  endpoints,
  ports: ports.map(({ name: port, targetPort, protocol }) => ({ name: port, port: targetPort, protocol })),
});

function endpointsOf({ namespace, name, ports }: GatewayService, endpoints: readonly Endpoint[]): Endpoints {
  const addresses = endpoints.flatMap(({ addresses: [ip], conditions }) =>
    conditions?.ready ? [{ ip: ip! }] : [],
  );
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name, namespace, labels: { ...SKIP_MIRROR } },
    ...(addresses.length > 0 && {
      subsets: [
        {
          addresses,
          ports: ports.map(({ name: port, targetPort, protocol }) => ({
            name: port,
            port: targetPort,
            protocol,
          })),
        },
      ],
    }),
  };
}
