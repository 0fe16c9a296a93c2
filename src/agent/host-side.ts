/**
 * What an agent does on the host's side of pw0, for the newest objects: the kernel's state (`host-items.ts`), announcing
 * the addresses that this host answers for, the health-check node ports, and the ICMP feed.
 */
import type { NodeAddresses } from '../compile/node-addresses.js';
import type { ClusterView } from '../api/types.js';
import { parseCidr, parseIpv4 } from '../wire/address.js';
import type { Cidr } from '../wire/address.js';
import { createAnnouncer } from './announcer.js';
import { openHealthPorts } from './health-ports.js';
import { hostItems } from './host-items.js';
import { steeredHostPorts } from '../compile/host-ports.js';
import { openHostState } from './host-state.js';
import type { HostState } from './host-state.js';
import { openIcmpFeed } from './icmp-feed.js';
import type { IcmpFeed } from './icmp-feed.js';
import type { Logger } from './log.js';
import type { loadRawSocket } from './raw-socket.js';
import { NO_SERVICE_ADDRESSES, serviceAddresses } from '../compile/service-addresses.js';
import type { ServiceAddresses } from '../compile/service-addresses.js';
import type { Underlay } from './underlay.js';

export interface HostSideOptions {
  node: string;
  netns?: string;
  underlay: Underlay;
  addresses: NodeAddresses;
  podCidr: string;
  serviceCidr: string;
  /** Of pods and of pw0. */
  mtu: number;
  /** Whether the host may be given rules, routes and settings; default: yes. Without them nothing here but pw0 is made. */
  hasRules?: boolean;
  /** The journal's file. */
  journal: string;
  /** Where the ICMP feed leads; undefined: there is none. */
  inject?: (frame: Uint8Array) => void;
  log: Logger;
  /** Replaced by tests. */
  loadRawSocket?: typeof loadRawSocket;
}

/** What does not work on a host that shall be given no rules, routes and settings. */
export const WITHOUT_RULES =
  'Without host rules only pods and tunnels work: the host does not reach pods and Services, pods do not reach the host, the ' +
  'API, cluster DNS of this host, and the outside, and nothing comes in by NodePorts, LoadBalancers, and host ports';

export interface HostSideStatus {
  items: ReturnType<HostState['status']>['items'];
  repairs: number;
  icmpFeed: 'on' | 'off';
  /** Addresses of Services for which this host answers on the underlay. */
  owned: readonly string[];
  healthPorts: number[];
}

export interface HostSide {
  /** Bring the host in step with the objects. Rejects when some of its state cannot be made; the rest then is. */
  sync(view: ClusterView): Promise<void>;
  status(): HostSideStatus;
  problems(): string[];
  /** Take all of it back. */
  close(): Promise<void>;
}

/** Start. Changes nothing on the host until the first {@link HostSide.sync}. */
export const openHostSide = async (options: HostSideOptions): Promise<HostSide> => {
  const { node, netns, underlay, addresses, podCidr, serviceCidr, mtu, log, hasRules = true } = options;
  const inside = [podCidr, serviceCidr];
  const hostState = openHostState({ netns, journal: options.journal, log });
  const healthPorts = openHealthPorts(node, netns, log);
  const announcer = createAnnouncer(underlay.nic, netns, log);
  let services: ServiceAddresses = NO_SERVICE_ADDRESSES;
  let feed: IcmpFeed | undefined;
  let applied: string | undefined;
  /** The view that the host was last in step with. */
  let done: ClusterView | undefined;
  let isClosed = false;
  if (options.inject && hasRules)
    feed = await openIcmpFeed(
      {
        netns,
        nodeIp: parseIpv4(underlay.address)!,
        inside: inside.map(parseCidr).filter((range): range is Cidr => range !== undefined),
        hostMac: addresses.gatewayMac,
        routerMac: addresses.routerMac,
        mtu,
        inject: options.inject,
        log,
      },
      options.loadRawSocket,
    );

  return {
    async sync(view) {
      if (isClosed) return;
      if (hasRules) healthPorts.sync(view);
      // Most news are of endpoints, which the kernel knows nothing of.
      if (view.services === done?.services && view.nodes === done.nodes && view.pods === done.pods) return;
      if (hasRules) services = serviceAddresses(view, node, inside);
      const items = hostItems({
        addresses,
        podCidr,
        serviceCidr,
        nic: underlay.nic,
        nodeIp: underlay.address,
        mtu,
        services,
        hostPorts: steeredHostPorts(view, node, underlay.address),
        hasRules,
      });
      const list = items.map(({ id }) => id).join('\n');
      // Most news are none here; what could not be made is tried again every few seconds anyway.
      if (list !== applied) await hostState.apply(items);
      applied = list;
      if (!isClosed) announcer.own(services.owned);
      done = view;
    },
    status: () => ({
      ...hostState.status(),
      icmpFeed: feed && feed.problem() === undefined ? 'on' : 'off',
      owned: services.owned,
      healthPorts: healthPorts.ports(),
    }),
    problems: () => [
      ...hostState.status().items.flatMap((item) => item.problem ?? []),
      ...healthPorts.problems(),
      ...[feed?.problem() ?? []].flat(),
    ],
    async close() {
      isClosed = true;
      feed?.close();
      announcer.close();
      healthPorts.close();
      await hostState.close();
    },
  };
};
