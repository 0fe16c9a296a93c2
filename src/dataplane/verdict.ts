/**
 * What a stage says about a frame, and every reason for which a frame is dropped.
 *
 * `CONTINUE` is 0: the next stage has its turn. Above 0 the frame is done: it leaves as its columns say. Below 0 it is
 * dropped: minus the reason's place in {@link REASONS}. Nothing disappears silently: each drop counts under its reason.
 */

/** The next stage has its turn. */
export const CONTINUE = 0;
/** Leaves by the port in `outPort`. */
export const FORWARD = 1;
/** Leaves by all bridged ports of its segment but the one it came in by. */
export const FLOOD = 2;

/**
 * Reasons, append only: `[name, the sentence the user reads]`. Place 0 is never used, so that minus a place is below 0.
 */
export const REASONS = [
  ['none', ''],
  ['malformed-ethernet', 'The frame is too short for an Ethernet header.'],
  ['malformed-ipv4', 'The IPv4 header has impossible lengths, or the packet is longer than its frame.'],
  ['ipv4-checksum', 'The IPv4 header checksum is wrong.'],
  ['malformed-l4', 'The TCP, UDP or ICMP header does not fit into its packet.'],
  ['malformed-arp', 'The ARP packet is not for IPv4 over Ethernet, or cut short.'],
  ['malformed-offload', 'The offload header of a TAP frame contradicts the frame.'],
  ['vlan-tagged', 'The frame has a VLAN tag, and no VLAN is configured.'],
  ['ipv6-not-routed', 'IPv6 packets are not routed yet.'],
  ['source-mac', 'A pod sent a frame from a MAC address that is not its own.'],
  ['source-ip', 'A pod sent a packet from an IP address that is not its own.'],
  ['spoofed-arp', 'A pod claimed an IP or MAC address that is not its own by ARP.'],
  ['not-for-us', 'The frame is addressed to a MAC address that is not the router’s.'],
  ['same-port', 'The frame would leave by the port it came in by.'],
  ['no-port', 'The port it should leave by does not exist any more.'],
  ['ethertype', 'The router forwards only IPv4 and answers only ARP.'],
  ['multicast', 'The router forwards no multicast and no broadcast.'],
  ['martian', 'The source address can not be a sender (multicast, broadcast or loopback).'],
  ['fragment-first-missing', 'A fragment came before, or long after, the first one of its packet.'],
  ['fragment-overlap', 'A fragment overlaps one that has passed.'],
  ['fragment-bounds', 'A fragment reaches beyond the largest packet, or is too short for its place.'],
  ['icmp-unrelated', 'An ICMP error quotes a packet of no known flow.'],
  ['icmp-unasked', 'An ICMP reply to nothing that was asked.'],
  ['ttl-exceeded', 'The TTL ran out at this router.'],
  ['no-route', 'No route leads to the destination.'],
  ['no-such-node', 'The address belongs to the pod network, but to no node of it.'],
  ['no-such-pod', 'The address belongs to this node, but to no pod of it.'],
  ['no-such-service', 'The address belongs to the Service network, but to no Service.'],
  ['back-to-host', 'The packet came from the host’s kernel and would go back there untranslated.'],
  ['too-big', 'The packet is larger than the MTU of the way out.'],
  ['icmp-rate', 'Too many ICMP errors in a short time.'],
  ['no-room', 'The batch’s memory was full.'],
  ['vxlan-short', 'The datagram is too short for a VXLAN header and a frame.'],
  ['vxlan-no-vni', 'The VXLAN header has no valid VNI: its I flag is 0.'],
  ['vxlan-foreign-vni', 'The VXLAN datagram belongs to another network (VNI).'],
  ['vxlan-not-a-vtep', 'The VXLAN datagram comes from an address that is no VTEP of the cluster.'],
  ['vxlan-not-our-mac', 'The inner frame is addressed to a MAC address that is not our VTEP’s.'],
  ['tunnel-send-failed', 'The kernel did not take the datagrams for the tunnel.'],
  ['port-send-failed', 'The kernel did not take the frame for the port.'],
  ['not-for-router', 'A packet to the router’s own address that it does not answer.'],
  ['no-endpoints', 'The Service has no endpoint that is ready: refused.'],
  ['no-local-endpoints', 'The Service keeps its traffic local, and no endpoint of it is on this host.'],
  ['source-not-allowed', 'The source is not in the Service’s loadBalancerSourceRanges.'],
  ['service-protocol', 'The Service’s port speaks a protocol that is not carried (SCTP).'],
  ['endpoint-gone', 'The endpoint of this connection is gone: reset.'],
  ['no-free-port', 'No source port is free to translate the flow to.'],
  [
    'ecn-not-capable',
    'The underlay marked congestion on a packet whose sender does not know ECN; it stands for a loss.',
  ],
  [
    'tunnel-forged',
    'Translated to this node’s address, the datagram would pass for tunnel traffic of its own.',
  ],
] as const;

export type ReasonName = (typeof REASONS)[number][0];

const placeOf = new Map<string, number>(REASONS.map(([name], i) => [name, i]));

/** The verdict that drops for a reason. For constants: looked up by name, once. */
export const drop = (name: ReasonName): number => -placeOf.get(name)!;

export const DROP_MALFORMED_ETHERNET = drop('malformed-ethernet');
export const DROP_MALFORMED_IPV4 = drop('malformed-ipv4');
export const DROP_IPV4_CHECKSUM = drop('ipv4-checksum');
export const DROP_MALFORMED_L4 = drop('malformed-l4');
export const DROP_MALFORMED_ARP = drop('malformed-arp');
export const DROP_MALFORMED_OFFLOAD = drop('malformed-offload');
export const DROP_VLAN_TAGGED = drop('vlan-tagged');
export const DROP_IPV6 = drop('ipv6-not-routed');
export const DROP_SOURCE_MAC = drop('source-mac');
export const DROP_SOURCE_IP = drop('source-ip');
export const DROP_SPOOFED_ARP = drop('spoofed-arp');
export const DROP_NOT_FOR_US = drop('not-for-us');
export const DROP_SAME_PORT = drop('same-port');
export const DROP_NO_PORT = drop('no-port');
export const DROP_ETHERTYPE = drop('ethertype');
export const DROP_MULTICAST = drop('multicast');
export const DROP_MARTIAN = drop('martian');
export const DROP_FRAGMENT_FIRST_MISSING = drop('fragment-first-missing');
export const DROP_FRAGMENT_OVERLAP = drop('fragment-overlap');
export const DROP_FRAGMENT_BOUNDS = drop('fragment-bounds');
export const DROP_ICMP_UNRELATED = drop('icmp-unrelated');
export const DROP_ICMP_UNASKED = drop('icmp-unasked');
export const DROP_TTL_EXCEEDED = drop('ttl-exceeded');
export const DROP_NO_ROUTE = drop('no-route');
export const DROP_NO_SUCH_NODE = drop('no-such-node');
export const DROP_NO_SUCH_POD = drop('no-such-pod');
export const DROP_NO_SUCH_SERVICE = drop('no-such-service');
export const DROP_BACK_TO_HOST = drop('back-to-host');
export const DROP_TOO_BIG = drop('too-big');
export const DROP_ICMP_RATE = drop('icmp-rate');
export const DROP_NO_ROOM = drop('no-room');
export const DROP_VXLAN_SHORT = drop('vxlan-short');
export const DROP_VXLAN_NO_VNI = drop('vxlan-no-vni');
export const DROP_VXLAN_FOREIGN_VNI = drop('vxlan-foreign-vni');
export const DROP_VXLAN_NOT_A_VTEP = drop('vxlan-not-a-vtep');
export const DROP_VXLAN_NOT_OUR_MAC = drop('vxlan-not-our-mac');
export const DROP_TUNNEL_SEND_FAILED = drop('tunnel-send-failed');
export const DROP_PORT_SEND_FAILED = drop('port-send-failed');
export const DROP_NOT_FOR_ROUTER = drop('not-for-router');
export const DROP_NO_ENDPOINTS = drop('no-endpoints');
export const DROP_NO_LOCAL_ENDPOINTS = drop('no-local-endpoints');
export const DROP_SOURCE_NOT_ALLOWED = drop('source-not-allowed');
export const DROP_SERVICE_PROTOCOL = drop('service-protocol');
export const DROP_ENDPOINT_GONE = drop('endpoint-gone');
export const DROP_NO_FREE_PORT = drop('no-free-port');
export const DROP_ECN_NOT_CAPABLE = drop('ecn-not-capable');
export const DROP_TUNNEL_FORGED = drop('tunnel-forged');
