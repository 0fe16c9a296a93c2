/**
 * The underlay of a lab on one machine: a namespace with a bridge, a namespace for each host whose NIC `eth0` is a port
 * of it, and, if wanted, one veth `pw-LAB` that lets the machine itself in.
 *
 * The underlay is *wire-true*: the bridge-side ends of all veths finish checksums and cut super-frames, so every frame
 * on the bridge is one that a real NIC would carry. Without that a veth hands 64 kB frames with unfinished checksums
 * from host to host, and the lab would hide the very faults one looks for.
 *
 * Nothing of the machine's network is touched but that veth: no forwarding, no address elsewhere, no rule.
 */

import { ethtoolAsync, ip, ipAsync, sysctl } from '../sys/iproute2.js';
import type { LabPlan, PlannedNode } from './plan.js';

const BRIDGE = 'underlay';
const ACCESS_PORT = 'access';

/** ethtool's words for an end that behaves like a wire. */
const WIRE_TRUE = [
  'tx',
  'tso',
  'gso',
  'tx-udp-segmentation',
  'tx-udp_tnl-segmentation',
  'tx-udp_tnl-csum-segmentation',
].flatMap((feature) => [feature, 'off']);

/** The parts of a plan that the underlay is made from. */
export type UnderlayPlan = Pick<LabPlan, 'underlay' | 'nodes'>;

/**
 * What {@link makeUnderlay} will put on the machine, as the `ip` lines that take it away again, in the order of making.
 */
export function underlayUndo({ underlay, nodes }: UnderlayPlan): { id: string; undo: { ip: string } }[] {
  return [
    ...[underlay.netns, ...nodes.map((node) => node.netns)].map((netns) => ({
      id: `netns ${netns}`,
      undo: { ip: `netns del ${netns}` },
    })),
    ...(underlay.access
      ? [{ id: `link ${underlay.access.link}`, undo: { ip: `link del ${underlay.access.link}` } }]
      : []),
  ];
}

/** The bridge port of a host: its node's name where a link may be called that, so that tcpdump reads well. */
export function portName(nodes: readonly PlannedNode[], index: number): string {
  const { name } = nodes[index]!;
  return name.length > 15 || [BRIDGE, ACCESS_PORT, 'lo'].includes(name) ? `port-${index + 1}` : name;
}

/**
 * Make it. Whoever calls has journalled {@link underlayUndo} before.
 *
 * @throws when the machine refuses; what was made until then is left to the journal
 */
export async function makeUnderlay({ underlay, nodes }: UnderlayPlan): Promise<void> {
  const { netns, mtu, bits, access } = underlay;
  const ports = nodes.map((_, i) => portName(nodes, i));
  ip([netns, ...nodes.map((node) => node.netns)].map((name) => `netns add ${name}`));
  for (const family of ['iptables', 'ip6tables', 'arptables']) bridgeFilterOff(family, netns);
  await ipAsync(
    [
      `link add ${BRIDGE} mtu ${mtu} type bridge mcast_snooping 0`,
      `link set lo up`,
      ...quietly(BRIDGE),
      ...nodes.flatMap((node, i) => [
        `link add ${ports[i]} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${node.netns}`,
        `link set ${ports[i]} master ${BRIDGE}`,
        ...quietly(ports[i]!),
      ]),
    ],
    { netns },
  );
  if (access) {
    ip([
      `link add ${access.link} mtu ${mtu} type veth peer name ${ACCESS_PORT} mtu ${mtu} netns ${netns}`,
      `addr add ${access.address}/${bits} dev ${access.link}`,
      ...quietly(access.link),
    ]);
    await ipAsync([`link set ${ACCESS_PORT} master ${BRIDGE}`, ...quietly(ACCESS_PORT)], { netns });
    ports.push(ACCESS_PORT);
  }
  await Promise.all([
    ...ports.map((port) => ethtoolAsync(['-K', port, ...WIRE_TRUE], { netns })),
    ...nodes.map((node) => makeHost(node, bits, access?.address)),
  ]);
}

/** Up, but without an IPv6 address of its own: a wire does not send neighbour discovery. */
const quietly = (link: string): string[] => [`link set ${link} addrgenmode none`, `link set ${link} up`];

async function makeHost(node: PlannedNode, bits: number, gateway: string | undefined): Promise<void> {
  const { netns } = node;
  await ipAsync(
    [
      'link set lo up',
      `addr add ${node.address}/${bits} dev eth0`,
      'link set eth0 up',
      ...(gateway ? [`route add default via ${gateway} dev eth0`] : []),
    ],
    { netns },
  );
  await ethtoolAsync(['-K', 'eth0', 'gro', 'on'], { netns });
}

/** Where br_netfilter is loaded, bridged frames would visit iptables; a wire has none. */
function bridgeFilterOff(family: string, netns: string): void {
  try {
    sysctl(`net.bridge.bridge-nf-call-${family}`, '0', netns);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
  }
}
