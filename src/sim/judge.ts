/**
 * What the TAP of an endpoint may not be given: a super-frame or an unfinished checksum that its receiver did not ask for,
 * segments or packets above its MTU, bytes marked as verified that are wrong.
 */
import { OFFLOAD_CSUM, OFFLOAD_TSO, OFFLOAD_USO } from '../tables/ports.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as virtioNet from '../wire/virtio-net.js';
import { isChecksumLeft, isChecksumRight, L2, L3, type Offload, type Packet } from './packet.js';

/** What a receiver takes. */
export interface Taker {
  /** OFFLOAD_* bits. */
  readonly offload: number;
  readonly mtu: number;
}

/** @returns why no kernel behind this TAP could have got an IPv4 packet, or undefined when it could */
export function whatIsWrong(packet: Packet, offload: Offload, taker: Taker): string | undefined {
  const { flags, gsoType, gsoSize } = offload;
  const l4 = L3 + ipv4.headerLen(packet.v, L3);
  if (gsoType !== virtioNet.GSO_NONE) {
    const isTcp = gsoType === virtioNet.GSO_TCPV4;
    if ((taker.offload & (isTcp ? OFFLOAD_TSO : OFFLOAD_USO)) === 0)
      return `a super-frame of kind ${gsoType}`;
    if ((flags & virtioNet.NEEDS_CSUM) === 0) return 'a super-frame with a finished checksum';
    if (gsoSize === 0) return 'a super-frame without a segment size';
    const headers = l4 - L3 + (isTcp ? tcp.headerLen(packet.v, l4) : 8);
    if (headers + gsoSize > taker.mtu) return `segments of ${gsoSize} bytes`;
  } else if (packet.len - ethernet.HEADER_LEN > taker.mtu)
    return `a packet of ${packet.len - ethernet.HEADER_LEN} bytes`;
  if ((flags & virtioNet.NEEDS_CSUM) !== 0) {
    if ((taker.offload & OFFLOAD_CSUM) === 0) return 'an unfinished checksum';
    if (offload.csumStart !== l4 - L2) return 'a checksum that begins elsewhere';
    return isChecksumLeft(packet, l4) ? undefined : 'an unfinished checksum of something else';
  }
  const isMarked = (flags & virtioNet.DATA_VALID) !== 0 && !ipv4.isFragment(packet.v, L3);
  return isMarked && !isChecksumRight(packet, l4) ? 'wrong bytes marked as verified' : undefined;
}
