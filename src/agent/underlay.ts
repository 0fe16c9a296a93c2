/**
 * Which NIC carries the tunnels: named, or the one on the way to a given address, or the one with the address that
 * the node's object has, or the one on the way to the server, or the one of the default route. The answer says why, since a wrong one (Vagrant's NAT
 * interface, the same address in every VM) is the most common reason for a network that does not work.
 */
import { ipJsonAsync } from '../sys/iproute2.js';
import { nodeAddress } from '../api/node.js';
import { NODE_STARTING, type Node } from '../api/types.js';
import type { LinkJson, RouteJson } from './host-snapshot.js';
import { HOST_PORT } from './host-items.js';

export interface Underlay {
  readonly nic: string;
  /** The VTEP's address. */
  readonly address: string;
  readonly mtu: number;
  /** Why this one, as a clause: `it has the default route`. */
  readonly why: string;
}

export interface UnderlayWish {
  /** The NIC's name. */
  iface?: string;
  /** An address that must be reached through it. */
  canReach?: string;
  /** The address that peers know of this node. */
  address?: string;
  /** Where the server is, an address: the NIC on the way to it is better than the one of the default route. */
  server?: string;
}

/** The IPv4 addresses of a NIC by which others reach it. */
export const addressesOf = (link: LinkJson): string[] =>
  link.addr_info
    .filter((info) => info.family === 'inet' && info.scope === 'global')
    .map((info) => info.local);

/** The NICs that could be meant, for an error's last words. */
const choices = (links: readonly LinkJson[]): string => {
  const list = links.flatMap((link) => addressesOf(link).map((address) => `${link.ifname} (${address})`));
  return list.length === 0 ? 'there is none with an IPv4 address' : `there are ${list.join(', ')}`;
};

/**
 * Choose the NIC.
 *
 * @throws an Error that says what is wrong with the wish and which NICs there are
 */
export const findUnderlay = async (wish: UnderlayWish, netns?: string): Promise<Underlay> => {
  const all = await ipJsonAsync<LinkJson[]>(['address', 'show'], { netns });
  const links = all.filter((link) => link.ifname !== HOST_PORT && !link.flags.includes('LOOPBACK'));

  const take = (name: string | undefined, source: string | undefined, why: string): Underlay => {
    const link = links.find((found) => found.ifname === name);
    if (!link)
      throw new Error(`Cannot use NIC "${name}" as underlay: there is no such NIC; ${choices(links)}`);
    const own = addressesOf(link);
    const address = [wish.address, source].find((one) => one !== undefined && own.includes(one)) ?? own[0];
    if (address === undefined)
      throw new Error(`Cannot use NIC "${name}" as underlay: it has no IPv4 address; ${choices(links)}`);
    if (wish.address !== undefined && wish.address !== address)
      throw new Error(
        `Cannot use NIC "${name}" as underlay: peers know this node by ${wish.address}, which is not its address; ${choices(links)}`,
      );
    return { nic: link.ifname, address, mtu: link.mtu, why };
  };

  if (wish.iface !== undefined) return take(wish.iface, undefined, 'it was named by --iface');

  /** The NIC on a way, and our address there. What is on this host itself is reached by `lo`: meant is who has the address. */
  const endOf = (
    way: RouteJson | undefined,
    target: string,
  ): { nic: string | undefined; source?: string } => {
    const own = links.find((link) => way?.dev === 'lo' && addressesOf(link).includes(target));
    return own ? { nic: own.ifname, source: target } : { nic: way?.dev, source: way?.prefsrc };
  };

  if (wish.canReach !== undefined) {
    const [way] = await ipJsonAsync<RouteJson[]>(['route', 'get', wish.canReach], { netns }).catch(
      (error: Error) => {
        throw new Error(
          `Cannot find the NIC that reaches ${wish.canReach}: ${error.message}; ${choices(links)}`,
        );
      },
    );
    const { nic, source } = endOf(way, wish.canReach);
    return take(nic, source, `it reaches ${wish.canReach}`);
  }

  const { address } = wish;
  if (address !== undefined) {
    const link = links.find((found) => addressesOf(found).includes(address));
    if (!link)
      throw new Error(
        `Cannot find the NIC with the node's address ${address}: no NIC has it; ${choices(links)}`,
      );
    return take(link.ifname, address, `it has the node's address ${address}`);
  }

  if (wish.server !== undefined) {
    const [way] = await ipJsonAsync<RouteJson[]>(['route', 'get', wish.server], { netns }).catch(() => []);
    const { nic, source } = endOf(way, wish.server);
    if (links.some((link) => link.ifname === nic && addressesOf(link).length > 0))
      return take(nic, source, `it is on the way to the server at ${wish.server}`);
  }

  const defaults = await ipJsonAsync<RouteJson[]>(['-4', 'route', 'show', 'default'], { netns });
  const [best] = defaults.sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
  if (!best?.dev)
    throw new Error(
      `Cannot choose a NIC as underlay: there is no default route; name one with --iface, ${choices(links)}`,
    );
  return take(best.dev, best.prefsrc, 'it has the default route');
};

/**
 * Whether a node counts as alive: all do but those whose Ready condition says otherwise. Of two that start together the one
 * whose name comes first does.
 */
const isAlive = (node: Node, ours: string): boolean => {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  return (
    ready === undefined ||
    ready.status === 'True' ||
    (ready.reason === NODE_STARTING && node.metadata.name < ours)
  );
};

/**
 * Refuse an address that another live node has: each would get the other's packets.
 */
export const refuseTakenAddress = (name: string, underlay: Underlay, nodes: readonly Node[]): void => {
  const other = nodes.find(
    (node) => node.metadata.name !== name && isAlive(node, name) && nodeAddress(node) === underlay.address,
  );
  if (other)
    throw new Error(
      `Cannot join as node "${name}" with the address ${underlay.address} of ${underlay.nic} (chosen because ${underlay.why}): ` +
        `live node "${other.metadata.name}" has the same; choose another NIC with --iface or --iface-can-reach`,
    );
};
