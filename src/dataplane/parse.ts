/**
 * First stage: from bytes to columns. Everything later stages read of a frame has been checked here.
 *
 * Checks are those of RFC 1122 §3.2.1 and RFC 791; a packet that its frame is too long for is trimmed (Ethernet pads short
 * frames), one that its frame is too short for is dropped. TCP, UDP and ICMP headers are checked in first fragments and
 * whole packets; ports of later fragments come from `conntrack/fragments.ts`.
 *
 * Not here: IPv6 (its frames are bridged unseen), what an ICMP error quotes.
 */
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import { V4_MAPPED } from '../wire/address.js';
import type { Dataplane } from './dataplane.js';
import { CSUM_PARTIAL, GSO_NONE, GSO_TCPV4, GSO_UDP_L4, type Frames } from './frames.js';
import {
  CONTINUE,
  DROP_IPV4_CHECKSUM,
  DROP_MALFORMED_ETHERNET,
  DROP_MALFORMED_IPV4,
  DROP_MALFORMED_L4,
  DROP_MALFORMED_OFFLOAD,
  DROP_FRAGMENT_BOUNDS,
} from './verdict.js';

export function parse(dp: Pick<Dataplane, 'frames'>, f: number): number {
  const { frames } = dp;
  const { v } = frames;
  const l2 = frames.l2[f]!;
  if (!ethernet.check(frames.headLen[f]!)) return DROP_MALFORMED_ETHERNET;
  const etherType = ethernet.type(v, l2);
  frames.etherType[f] = etherType;
  frames.l3[f] = l2 + ethernet.HEADER_LEN;
  frames.packets[f] = 1;
  if (etherType !== ethernet.TYPE_IPV4)
    return frames.gso[f] === GSO_NONE && isChecksumBehind(frames, f, frames.l3[f]!)
      ? CONTINUE
      : DROP_MALFORMED_OFFLOAD;
  return parseIpv4(dp, f);
}

/** Headers of an IPv4 packet at `l3`; also called for packets the router makes. */
export function parseIpv4(dp: Pick<Dataplane, 'frames'>, f: number): number {
  const { frames } = dp;
  const { v, b } = frames;
  const l3 = frames.l3[f]!;
  const l2Len = l3 - frames.l2[f]!;
  const room = frames.len[f]! - l2Len;
  // Headers must lie in the first piece; only the payload may be elsewhere.
  if (frames.headLen[f]! - l2Len < ipv4.MIN_HEADER_LEN || !ipv4.check(v, l3, room))
    return DROP_MALFORMED_IPV4;
  const headerLen = ipv4.headerLen(v, l3);
  const totalLen = ipv4.totalLen(v, l3);
  if (headerLen > frames.headLen[f]! - l2Len) return DROP_MALFORMED_IPV4;
  if (!ipv4.isChecksumRight(b, l3)) return DROP_IPV4_CHECKSUM;
  if (totalLen < room) {
    // Trim what Ethernet padded. A super-frame is never padded.
    if (frames.pieces[f] !== 0 || frames.gso[f] !== GSO_NONE) return DROP_MALFORMED_IPV4;
    frames.len[f] = frames.headLen[f] = l2Len + totalLen;
  }
  frames.s2[f] = V4_MAPPED;
  frames.d2[f] = V4_MAPPED;
  frames.s3[f] = ipv4.src(v, l3);
  frames.d3[f] = ipv4.dst(v, l3);
  const proto = ipv4.proto(v, l3);
  frames.proto[f] = proto;
  const l4 = l3 + headerLen;
  frames.l4[f] = l4;
  const l4Len = totalLen - headerLen;
  const headLeft = frames.headLen[f]! - (l4 - frames.l2[f]!);

  if (ipv4.isFragment(v, l3)) {
    const offset = ipv4.fragmentOffset(v, l3);
    if (offset + l4Len > ipv4.MAX_LEN - headerLen || l4Len === 0) return DROP_FRAGMENT_BOUNDS;
    // A piece that is not the last one is a multiple of 8 bytes. RFC 791 §3.2.
    if (ipv4.hasMf(v, l3) && (l4Len & 7) !== 0) return DROP_FRAGMENT_BOUNDS;
    // A second piece at offset 8 could rewrite TCP's flags. RFC 1858 §4.2.
    if (offset === 8 && proto === ipv4.TCP) return DROP_FRAGMENT_BOUNDS;
    if (frames.gso[f] !== GSO_NONE || frames.csum[f] === CSUM_PARTIAL) return DROP_MALFORMED_OFFLOAD;
    if (offset !== 0) return CONTINUE;
    if (proto === ipv4.TCP && l4Len < tcp.MIN_HEADER_LEN) return DROP_FRAGMENT_BOUNDS;
  }

  if (!isChecksumPlaced(frames, f, proto, l4)) return DROP_MALFORMED_OFFLOAD;
  if (proto === ipv4.TCP) {
    if (headLeft < tcp.MIN_HEADER_LEN || !tcp.check(v, l4, l4Len) || tcp.headerLen(v, l4) > headLeft)
      return DROP_MALFORMED_L4;
    frames.ports[f] = v.getInt32(l4);
    if (frames.gso[f] !== GSO_NONE)
      return checkGso(dp, f, GSO_TCPV4, tcp.headerLen(v, l4), l4Len, tcp.CHECKSUM);
  } else if (proto === ipv4.UDP) {
    if (headLeft < udp.HEADER_LEN || (!udp.check(v, l4, l4Len) && !ipv4.isFragment(v, l3)))
      return DROP_MALFORMED_L4;
    frames.ports[f] = v.getInt32(l4);
    if (frames.gso[f] !== GSO_NONE) return checkGso(dp, f, GSO_UDP_L4, udp.HEADER_LEN, l4Len, udp.CHECKSUM);
  } else {
    if (frames.gso[f] !== GSO_NONE) return DROP_MALFORMED_OFFLOAD;
    if (proto === ipv4.ICMP) {
      if (headLeft < icmp.HEADER_LEN || !icmp.check(l4Len)) return DROP_MALFORMED_L4;
      if (!icmp.isError(icmp.type(v, l4))) frames.ports[f] = (icmp.id(v, l4) << 16) | icmp.id(v, l4);
    }
  }
  return CONTINUE;
}

/**
 * An unfinished checksum is that of the TCP or UDP header, or lies deeper inside (a pod's own tunnel). Anywhere else,
 * finishing it would write into headers that earlier stages have judged, such as the source address.
 */
function isChecksumPlaced(frames: Frames, f: number, proto: number, l4: number): boolean {
  if (frames.csum[f] !== CSUM_PARTIAL) return true;
  const offset = frames.csumOffset[f]!;
  if (frames.csumStart[f] === l4 && (proto === ipv4.TCP || proto === ipv4.UDP))
    return offset === (proto === ipv4.TCP ? tcp.CHECKSUM : udp.CHECKSUM) && isChecksumBehind(frames, f, l4);
  if (proto === ipv4.TCP) return false;
  const headerLen = proto === ipv4.UDP || proto === ipv4.ICMP ? udp.HEADER_LEN : 0;
  return isChecksumBehind(frames, f, l4 + headerLen);
}

/** Whether an unfinished checksum begins at `from` or later and its field lies within the frame. */
const isChecksumBehind = (frames: Frames, f: number, from: number): boolean =>
  frames.csum[f] !== CSUM_PARTIAL ||
  (frames.csumStart[f]! >= from &&
    frames.csumStart[f]! + frames.csumOffset[f]! + 2 <= frames.l2[f]! + frames.len[f]!);

/** A super-frame is what it says: right protocol, sane segment size, unfinished checksum where it belongs. */
function checkGso(
  { frames }: Pick<Dataplane, 'frames'>,
  f: number,
  kind: number,
  headerLen: number,
  l4Len: number,
  csumOffset: number,
): number {
  const payload = l4Len - headerLen;
  const size = frames.gsoSize[f]!;
  if (
    frames.gso[f] !== kind ||
    size === 0 ||
    frames.csum[f] !== CSUM_PARTIAL ||
    frames.csumStart[f] !== frames.l4[f] ||
    frames.csumOffset[f] !== csumOffset ||
    // Segments of a few bytes would turn one frame into tens of thousands.
    Math.ceil(payload / size) > MAX_SEGMENTS
  )
    return DROP_MALFORMED_OFFLOAD;
  frames.packets[f] = Math.max(1, Math.ceil(payload / size));
  return CONTINUE;
}

/** The most segments one super-frame may have: 64 KiB in pieces of the smallest MSS that hosts must take is 122. */
export const MAX_SEGMENTS = 1024;
