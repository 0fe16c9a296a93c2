/**
 * ICMP that comes back for masqueraded pods. RFC 792, RFC 1812 §4.3.
 *
 * Theory of operation. What pods send to the outside carries the host's address. Replies by TCP and UDP are steered back
 * to the router by their port (`host-items.ts`); ICMP has none, so the kernel takes it for its own. A raw socket of the
 * host gets a copy of every ICMP packet that the host receives; the kernel itself lets through echo replies and errors
 * only (ICMP_FILTER). What may be for a pod is given to the packet path as a frame that came in by pw0. Whether it
 * belongs to a flow is decided there, by the flow's entry: what belongs to none must be dropped, never handed up again.
 *
 * A packet that was reassembled is cut to the MTU again.
 *
 * The socket is npm's `raw-socket`, an optional dependency: where it could not be built, pods do not see pings answered,
 * routes traced or path MTUs told from the outside, and all else works. IPv4 only.
 */
import { closeOnExec } from '../sys/close-on-exec.js';
import { inNetns } from '../sys/netns.js';
import { cidrContains } from '../wire/address.js';
import type { Cidr, Mac } from '../wire/address.js';
import { bytesOf } from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import { MASQUERADE_PORTS } from '../compile/service-addresses.js';
import type { Logger } from './log.js';
import { loadRawSocket, NO_RAW_SOCKET } from './raw-socket.js';

export interface IcmpFeedOptions {
  netns?: string;
  /** The host's address on the underlay, which masqueraded packets carry. */
  nodeIp: number;
  /** Pods and Services: what comes from there came through the packet path. */
  inside: readonly Cidr[];
  /** From and to whom the frames are. */
  hostMac: Mac;
  routerMac: Mac;
  mtu: number;
  /** Takes an Ethernet frame that came in by pw0; the frame is the taker's. */
  inject(frame: Uint8Array): void;
  log: Logger;
}

export interface IcmpFeed {
  /** Why it does not run; undefined when it does. */
  problem(): string | undefined;
  close(): void;
}

const SOL_RAW = 255;
const ICMP_FILTER = 1;
const LARGEST = 65536;

/** linux/icmp.h: a bit for each type that is *not* wanted. */
const filter = Buffer.alloc(4);
filter.writeUInt32LE(
  ~[icmp.ECHO_REPLY, icmp.UNREACHABLE, icmp.TIME_EXCEEDED, icmp.PARAMETER_PROBLEM].reduce(
    (bits, type) => bits | (1 << type),
    0,
  ) >>> 0,
);

/**
 * Whether a packet that the host received may be for a masqueraded pod: an echo reply to the host's address, or an error
 * about a packet that may have been a pod's.
 *
 * @param v    view of an IPv4 packet from its first byte; not longer than it says
 * @param len  bytes that are there
 */
export const mayBeForPod = (
  v: DataView,
  len: number,
  { nodeIp, inside }: Pick<IcmpFeedOptions, 'nodeIp' | 'inside'>,
): boolean => {
  if (!ipv4.check(v, 0, len) || ipv4.proto(v, 0) !== ipv4.ICMP || ipv4.isFragment(v, 0)) return false;
  if (ipv4.dst(v, 0) !== nodeIp || inside.some((range) => cidrContains(range, ipv4.src(v, 0)))) return false;
  const l4 = ipv4.headerLen(v, 0);
  if (!icmp.check(len - l4)) return false;
  if (icmp.type(v, l4) === icmp.ECHO_REPLY) return ipv4.src(v, 0) !== nodeIp; // the host asked itself
  if (!icmp.isError(icmp.type(v, l4))) return false;

  // The error quotes at least the header and eight bytes of the packet that it is about.
  const quoted = l4 + icmp.HEADER_LEN;
  if (len < quoted + ipv4.MIN_HEADER_LEN || v.getUint8(quoted) >> 4 !== 4) return false;
  const quotedL4 = quoted + ipv4.headerLen(v, quoted);
  if (len < quotedL4 + 8 || ipv4.src(v, quoted) !== nodeIp) return false;
  switch (ipv4.proto(v, quoted)) {
    case ipv4.TCP:
    case ipv4.UDP: {
      const port = v.getUint16(quotedL4);
      return port >= MASQUERADE_PORTS[0] && port <= MASQUERADE_PORTS[1];
    }
    case ipv4.ICMP:
      return icmp.type(v, quotedL4) === icmp.ECHO_REQUEST;
    default:
      return false;
  }
};

/**
 * The frames that carry a packet over a link of this MTU: one, or its fragments (RFC 791 §3.2, without DF: whoever sent
 * it let it be cut already).
 */
export const framesOf = (
  packet: Uint8Array,
  { hostMac, routerMac, mtu }: Pick<IcmpFeedOptions, 'hostMac' | 'routerMac' | 'mtu'>,
): Uint8Array[] => {
  const l3 = ethernet.HEADER_LEN;
  const headerLen = (packet[0]! & 15) << 2;
  const isWhole = packet.length <= mtu;
  const room = isWhole ? packet.length - headerLen : (mtu - headerLen) & ~7;
  const frames: Uint8Array[] = [];
  for (let at = headerLen; at < packet.length; at += room) {
    const piece = packet.subarray(at, at + room);
    const buffer = new ArrayBuffer((l3 + headerLen + piece.length + 3) & ~3);
    const frame = new Uint8Array(buffer, 0, l3 + headerLen + piece.length);
    const v = new DataView(buffer);
    ethernet.setDst(v, 0, routerMac.hi, routerMac.lo);
    ethernet.setSrc(v, 0, hostMac.hi, hostMac.lo);
    ethernet.setType(v, 0, ethernet.TYPE_IPV4);
    frame.set(packet.subarray(0, headerLen), l3);
    frame.set(piece, l3 + headerLen);
    if (!isWhole) {
      const more = at + room < packet.length ? ipv4.FLAG_MF : 0;
      v.setUint16(l3 + 2, headerLen + piece.length);
      v.setUint16(l3 + 6, more | ((at - headerLen) >> 3));
      ipv4.writeChecksum(bytesOf(buffer), l3);
    }
    frames.push(frame);
  }
  return frames;
};

/**
 * Open the feed. Where it cannot run it says so once, in the log, and by {@link IcmpFeed.problem}.
 *
 * @param load  gives the module; replaced by tests
 */
export const openIcmpFeed = async (
  options: IcmpFeedOptions,
  load: typeof loadRawSocket = loadRawSocket,
): Promise<IcmpFeed> => {
  const { netns, inject, log } = options;
  let problem: string | undefined;
  const off = (why: string): void => {
    problem = why;
    log.warn(why);
  };

  const rawSocket = await load();
  if (!rawSocket) {
    off(`The ICMP feed is off: ${NO_RAW_SOCKET}`);
    return { problem: () => problem, close: () => undefined };
  }

  let isClosed = false;
  // It makes its socket at once, on this thread, and without O_CLOEXEC.
  const socket = inNetns(netns, () =>
    closeOnExec(() => rawSocket.createSocket({ protocol: rawSocket.Protocol.ICMP, bufferSize: LARGEST })),
  );
  socket.setOption(SOL_RAW, ICMP_FILTER, filter, filter.length);
  socket.on('message', (packet) => {
    const v = new DataView(packet.buffer, packet.byteOffset, packet.length);
    if (!mayBeForPod(v, packet.length, options)) return;
    for (const frame of framesOf(packet.subarray(0, ipv4.totalLen(v, 0)), options)) inject(frame);
  });
  socket.on('error', (error) => log.debug({ err: error }, 'A packet could not be read from the raw socket'));
  socket.on('close', () => {
    if (!isClosed) off('The ICMP feed ended: its raw socket was closed by an error');
  });
  return {
    problem: () => problem,
    close() {
      if (isClosed || problem !== undefined) return;
      isClosed = true;
      socket.close();
    },
  };
};
