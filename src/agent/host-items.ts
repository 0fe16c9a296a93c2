/**
 * What a host's kernel must hold so that its own programs reach pods and Services, so that what the router hands up is
 * delivered, and so that what belongs to the router although it is addressed to the host comes to it: the desired list
 * of host state. One row of the design's table is one function here; to add a row, write it and name it in
 * {@link hostItems}.
 *
 * What the kernel cannot steer: fragments, which have no port. Those to a NodePort or to a masqueraded pod end at the host.
 *
 * Who makes it, compares it and takes it back: `host-state.ts`.
 */
import type { SteeredPort } from '../compile/host-ports.js';
import type { NodeAddresses } from '../compile/node-addresses.js';
import { MASQUERADE_PORTS, NODE_PORTS } from '../compile/service-addresses.js';
import type { ServiceAddresses } from '../compile/service-addresses.js';
import { formatIpv4, formatMac } from '../wire/address.js';
import type { Mac } from '../wire/address.js';
import {
  address,
  link,
  moveLocalTable,
  neighbor,
  portList,
  proxyNeighbor,
  route,
  rule,
  sysctl,
} from './host-item-kinds.js';
import { OUR_TABLE } from './host-snapshot.js';
import type { HostItem } from './host-state.js';

/** The name of the host's own TAP. */
export const HOST_PORT = 'pw0';
/** The router as next hop: an address that exists nowhere but in one neighbour entry (RFC 3927 §2.1, no ARP). */
export const ROUTER_HOP = '169.254.1.1';

/** The order of our rules: what comes from the router, what goes to it, then what is the host's own. */
const FROM_ROUTER_PREF = 5;
const TO_ROUTER_PREF = 10;
const LOCAL_PREF = 100;

/** What the list depends on. */
export interface HostPlan {
  /** Gateway and router of this host's part of the pod CIDR. */
  addresses: NodeAddresses;
  /** All pods of the cluster, and all Services. */
  podCidr: string;
  serviceCidr: string;
  /** The underlay's NIC, and the host's address on it. */
  nic: string;
  nodeIp: string;
  /** MTU of pods and of pw0. */
  mtu: number;
  services: ServiceAddresses;
  /** Ports of the host that lead to its pods. */
  hostPorts: readonly SteeredPort[];
  /** Whether anything but pw0 itself may be touched; default: yes. */
  hasRules?: boolean;
}

const macText = (mac: Mac): string => formatMac(mac.hi, mac.lo);
const conf = (dev: string, name: string): string => `net/ipv4/conf/${dev}/${name}`;
const PROTOCOLS = ['tcp', 'udp'] as const;

/** pw0 itself, without an address: what the router hands up then ends there. */
const hostLink = ({ addresses, mtu }: HostPlan): HostItem =>
  link(HOST_PORT, macText(addresses.gatewayMac), mtu);

/** pw0 with the gateway's address, and what the router hands up: delivered, whatever other rules steer. */
const hostPort = (plan: HostPlan): HostItem[] => [
  hostLink(plan),
  address(HOST_PORT, formatIpv4(plan.addresses.gateway)),
  rule({ pref: FROM_ROUTER_PREF, iif: HOST_PORT, table: 'local' }),
];

/**
 * pw0 and the NIC forward; the global switch stays as it is. rp_filter would drop what pw0 delivers with a pod's source
 * or the host's own (the larger of `all` and the device counts); accept_local lets the latter in.
 */
const forwarding = ({ nic }: HostPlan): HostItem[] => [
  ...[HOST_PORT, nic].map((dev) => sysctl(conf(dev, 'forwarding'), '1')),
  ...['all', HOST_PORT, nic].map((dev) => sysctl(conf(dev, 'rp_filter'), '0')),
  sysctl(conf(HOST_PORT, 'accept_local'), '1'),
];

/** The host's own programs reach pods and Services. */
const podRoutes = ({ addresses, podCidr, serviceCidr }: HostPlan): HostItem[] => [
  neighbor(ROUTER_HOP, macText(addresses.routerMac), HOST_PORT),
  ...[podCidr, serviceCidr].map((dst) =>
    route({ dst, hop: ROUTER_HOP, dev: HOST_PORT, source: formatIpv4(addresses.gateway) }),
  ),
];

/**
 * Ports of the host's own address that are the router's: NodePorts, also at 127.0.0.1; replies to masqueraded pods; ports
 * of Services for which the host's address is an external one; pods' host ports. Steered by rules, which must come before the table
 * of the host's own addresses.
 */
const steering = ({ nodeIp, services, hostPorts }: HostPlan): HostItem[] => {
  const steer = (to: string, ports: readonly [number, number]): HostItem[] =>
    PROTOCOLS.map((protocol) => rule({ pref: TO_ROUTER_PREF, to, protocol, ports, table: OUR_TABLE }));
  return [
    // No program of the host shall be given one of these ports unasked.
    portList('net/ipv4/ip_local_reserved_ports', [NODE_PORTS, MASQUERADE_PORTS]),
    sysctl(conf(HOST_PORT, 'route_localnet'), '1'),
    // The kernel looks for a socket before it looks at its rules, and drops what it would have to forward then: a
    // program of the host that listens in our ranges would never be told of a handshake's end.
    ...PROTOCOLS.map((protocol) => sysctl(`net/ipv4/${protocol}_early_demux`, '0')),
    route({ dst: 'default', hop: ROUTER_HOP, dev: HOST_PORT, table: OUR_TABLE }),
    ...steer(nodeIp, NODE_PORTS),
    ...steer('127.0.0.0/8', NODE_PORTS),
    ...steer(nodeIp, MASQUERADE_PORTS),
    ...[
      ...services.steered.map((one) => ({ ...one, to: nodeIp })),
      ...hostPorts.filter(
        (one) => one.to !== nodeIp || !services.steered.some((two) => isSamePort(one, two)),
      ),
    ].map(({ to, protocol, port }) =>
      rule({ pref: TO_ROUTER_PREF, to, protocol, ports: [port, port], table: OUR_TABLE }),
    ),
    ...moveLocalTable(LOCAL_PREF),
  ];
};

const isSamePort = (a: Omit<SteeredPort, 'to'>, b: Omit<SteeredPort, 'to'>): boolean =>
  a.protocol === b.protocol && a.port === b.port;

/**
 * LoadBalancer and external addresses: every host leads them to its own router, and one host's NIC answers for each
 * without owning it, at once (`proxy_delay`).
 */
const serviceAddresses = ({ addresses, nic, services }: HostPlan): HostItem[] => [
  ...services.routed.map((ip) =>
    route({ dst: ip, hop: ROUTER_HOP, dev: HOST_PORT, source: formatIpv4(addresses.gateway) }),
  ),
  ...(services.owned.length > 0 ? [sysctl(`net/ipv4/neigh/${nic}/proxy_delay`, '0')] : []),
  ...services.owned.map((ip) => proxyNeighbor(ip, nic)),
];

/** All host state of a node, in the order in which it is made. */
export const hostItems = (plan: HostPlan): HostItem[] =>
  plan.hasRules === false
    ? [hostLink(plan)]
    : [
        ...hostPort(plan),
        ...forwarding(plan),
        ...podRoutes(plan),
        ...steering(plan),
        ...serviceAddresses(plan),
      ];
