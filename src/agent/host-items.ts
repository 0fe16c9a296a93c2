/**
 * What a host's kernel must hold so that its own programs reach pods and Services, and so that what the router
 * hands up is delivered: the desired list of host state. One row of the design's table is one function here; to
 * add a row, write it and name it in {@link hostItems}.
 *
 * Who makes it, compares it and takes it back: `host-state.ts`.
 */
import type { NodeAddresses } from '../compile/node-addresses.js';
import { formatIpv4, formatMac } from '../wire/address.js';
import type { Mac } from '../wire/address.js';
import type { HostItem, HostSnapshot } from './host-state.js';

/** The name of the host's own TAP. */
export const HOST_PORT = 'pw0';
/** The router as next hop: an address that exists nowhere but in one neighbour entry (RFC 3927 §2.1, no ARP). */
export const ROUTER_HOP = '169.254.1.1';

/** What the list depends on. */
export interface HostPlan {
  /** Gateway and router of this host's part of the pod CIDR. */
  addresses: NodeAddresses;
  /** All pods of the cluster, and all Services. */
  podCidr: string;
  serviceCidr: string;
  /** The underlay's NIC. */
  nic: string;
  /** MTU of pods and of pw0. */
  mtu: number;
}

const macText = (mac: Mac): string => formatMac(mac.hi, mac.lo);

/** A link's attributes. The link itself belongs to whoever made it, so there is nothing to take back. */
const link = (dev: string, mac: string, mtu: number): HostItem => ({
  id: `link ${dev} address ${mac} mtu ${mtu} up`,
  make: { ip: `link set dev ${dev} address ${mac} mtu ${mtu} up` },
  undo: () => null,
  isThere: ({ links }) => {
    const found = links.get(dev);
    return found?.address === mac && found.mtu === mtu && found.flags.includes('UP');
  },
});

const address = (dev: string, ip: string): HostItem => ({
  id: `address ${ip}/32 dev ${dev}`,
  make: { ip: `address replace ${ip}/32 dev ${dev}` },
  undo: () => ({ ip: `address del ${ip}/32 dev ${dev}` }),
  isThere: ({ links }) =>
    links.get(dev)?.addr_info.some((info) => info.local === ip && info.prefixlen === 32) ?? false,
});

/** What the router hands up is delivered to the host, whatever the rules after this one say. */
const localRule = (dev: string): HostItem => {
  const words = `pref 5 iif ${dev} lookup local`;
  return {
    id: `rule ${words}`,
    make: { ip: `rule add ${words}` },
    undo: () => ({ ip: `rule del ${words}` }),
    isThere: ({ rules }) =>
      rules.some(
        (rule) =>
          rule.priority === 5 &&
          rule.iif === dev &&
          String(rule.table) === 'local' &&
          rule.src === 'all' &&
          !rule.dst,
      ),
  };
};

const route = (dst: string, hop: string, dev: string, source: string): HostItem => {
  const words = `${dst} via ${hop} dev ${dev} onlink src ${source}`;
  return {
    id: `route ${words}`,
    make: { ip: `route replace ${words}` },
    undo: () => ({ ip: `route del ${words}` }),
    isThere: ({ routes }) =>
      routes.some(
        (found) =>
          found.dst === dst &&
          found.gateway === hop &&
          found.dev === dev &&
          found.prefsrc === source &&
          !found.metric,
      ),
  };
};

const neighbor = (ip: string, mac: string, dev: string): HostItem => {
  const words = `${ip} lladdr ${mac} dev ${dev}`;
  return {
    id: `neigh ${words}`,
    make: { ip: `neigh replace ${words} nud permanent` },
    undo: () => ({ ip: `neigh del ${ip} dev ${dev}` }),
    isThere: ({ neighbors }) =>
      neighbors.some((found) => found.dst === ip && found.lladdr === mac && found.dev === dev),
  };
};

/** A kernel setting, by its path under /proc/sys (a NIC's name may hold dots). */
const sysctl = (path: string, value: string): HostItem => ({
  id: `sysctl ${path}=${value}`,
  sysctl: path,
  make: { sysctl: path, value },
  undo: ({ sysctls }: HostSnapshot) => {
    const old = sysctls.get(path);
    return old === undefined ? null : { sysctl: path, value: old };
  },
  isThere: ({ sysctls }) => sysctls.get(path) === value,
});

const conf = (dev: string, name: string): string => `net/ipv4/conf/${dev}/${name}`;

/**
 * All host state of a node, in the order in which it is made.
 */
export const hostItems = (plan: HostPlan): HostItem[] => {
  const gateway = formatIpv4(plan.addresses.gateway);
  return [
    link(HOST_PORT, macText(plan.addresses.gatewayMac), plan.mtu),
    address(HOST_PORT, gateway),
    localRule(HOST_PORT),
    // pw0 and the NIC forward; the global switch stays as it is. rp_filter would drop what pw0 delivers with a
    // pod's source or the host's own (the larger of `all` and the device counts); accept_local lets the latter in.
    ...[HOST_PORT, plan.nic].map((dev) => sysctl(conf(dev, 'forwarding'), '1')),
    ...['all', HOST_PORT, plan.nic].map((dev) => sysctl(conf(dev, 'rp_filter'), '0')),
    sysctl(conf(HOST_PORT, 'accept_local'), '1'),
    neighbor(ROUTER_HOP, macText(plan.addresses.routerMac), HOST_PORT),
    route(plan.podCidr, ROUTER_HOP, HOST_PORT, gateway),
    route(plan.serviceCidr, ROUTER_HOP, HOST_PORT, gateway),
  ];
};
