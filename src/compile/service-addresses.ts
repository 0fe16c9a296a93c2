/**
 * Which addresses of Services concern a host's kernel: those outside of the cluster's own ranges. LoadBalancer addresses
 * and externalIPs come in by the underlay, where one host answers for each (the owner, chosen by `control/` and written
 * on the Service); a host's own address as externalIP is that host's alone. IPv4 only.
 */
import { nodeAddress } from '../api/node.js';
import { keyOf, OWNER_ANNOTATION } from '../api/types.js';
import type { ClusterView, Service } from '../api/types.js';
import { cidrContains, parseCidr, parseIpv4 } from '../wire/address.js';
import type { Cidr } from '../wire/address.js';

/** Ports of the host at which Services answer. */
export const NODE_PORTS = [30000, 32767] as const;
/** Ports of the host from which the router sends what pods send to the outside: above the kernel's own range. */
export const MASQUERADE_PORTS = [61000, 64999] as const;

export interface ServiceAddresses {
  /** Addresses that every host leads to its own router, in order. */
  readonly routed: readonly string[];
  /** Those of them for which this host answers on the underlay. */
  readonly owned: readonly string[];
  /** Ports of the host's own address that a Service has there. */
  readonly steered: readonly { readonly protocol: 'tcp' | 'udp'; readonly port: number }[];
}

export const NO_SERVICE_ADDRESSES: ServiceAddresses = { routed: [], owned: [], steered: [] };

const isReachedFromOutside = (service: Service): boolean =>
  service.spec.type !== 'ExternalName' &&
  service.spec.clusterIP !== 'None' &&
  outsideAddresses(service).length > 0;

/** LoadBalancer and external addresses of a Service. With ipMode Proxy, packets are meant to pass by the load balancer. */
const outsideAddresses = ({ spec, status }: Service): string[] => [
  ...(spec.externalIPs ?? []),
  ...(spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : []).flatMap((one) =>
    one.ip !== undefined && one.ipMode !== 'Proxy' ? [one.ip] : [],
  ),
];

const portsOf = (service: Service): { protocol: 'tcp' | 'udp'; port: number }[] =>
  (service.spec.ports ?? []).flatMap(({ protocol, port }) => {
    const name = (protocol ?? 'TCP').toLowerCase();
    return name === 'tcp' || name === 'udp' ? [{ protocol: name, port }] : [];
  });

/**
 * The addresses that a host has to deal with.
 *
 * @param inside  ranges that are led to the router anyway: of pods and of Services
 */
export const serviceAddresses = (
  { services, nodes }: Pick<ClusterView, 'services' | 'nodes'>,
  node: string,
  inside: readonly string[],
): ServiceAddresses => {
  const ranges = inside.map(parseCidr).filter((range): range is Cidr => range !== undefined);
  const hosts = new Map(nodes.map((one) => [nodeAddress(one), one.metadata.name]));
  const owners = new Map<string, string | undefined>();
  const steered = new Map<string, { protocol: 'tcp' | 'udp'; port: number }>();
  // Services may share an address; all hosts must then agree on one owner.
  const inOrder = services.filter(isReachedFromOutside).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  for (const service of inOrder)
    for (const address of outsideAddresses(service)) {
      const word = parseIpv4(address);
      if (word === undefined || ranges.some((range) => cidrContains(range, word))) continue;
      const host = hosts.get(address);
      if (host === node)
        for (const port of portsOf(service)) steered.set(`${port.protocol} ${port.port}`, port);
      if (host !== undefined) continue; // its own host deals with it
      owners.set(address, owners.get(address) ?? service.metadata.annotations?.[OWNER_ANNOTATION]);
    }
  const routed = [...owners.keys()].sort();
  return {
    routed,
    owned: routed.filter((address) => owners.get(address) === node),
    steered: [...steered.values()].filter(({ port }) => !isSteeredAnyway(port)),
  };
};

/** NodePorts and ports of masqueraded pods are led to the router as whole ranges. */
export const isSteeredAnyway = (port: number): boolean =>
  [NODE_PORTS, MASQUERADE_PORTS].some(([first, last]) => port >= first && port <= last);
