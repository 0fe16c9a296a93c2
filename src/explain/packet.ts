/**
 * Made-up packets: the first one of a connection, written into a host's pool. A TCP SYN, an empty UDP datagram, an ICMP echo
 * request, or the bare beginning of an SCTP packet.
 */
import { finish, pseudoIpv4, store, sum, type Bytes } from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import type { Mac } from '../wire/address.js';

export interface Packet {
  readonly proto: number;
  readonly src: number;
  readonly dst: number;
  /** Of an ICMP echo: its identifier. */
  readonly srcPort: number;
  readonly dstPort: number;
}

const TTL = 64;
const SCTP_HEADER_LEN = 12;
const WINDOW = 64240;

/** Bytes behind the IP header. */
const l4LenOf = (proto: number): number => {
  if (proto === ipv4.TCP) return tcp.MIN_HEADER_LEN;
  return proto === ipv4.SCTP ? SCTP_HEADER_LEN : udp.HEADER_LEN;
};

/**
 * Write the frame of a packet.
 *
 * @param l2  byte offset in the pool, even
 * @returns   its length
 */
export function writeFrame(v: DataView, b: Bytes, l2: number, packet: Packet, from: Mac, to: Mac): number {
  const l3 = l2 + ethernet.HEADER_LEN;
  const l4 = l3 + ipv4.MIN_HEADER_LEN;
  const l4Len = l4LenOf(packet.proto);
  const { proto, src, dst } = packet;
  ethernet.setDst(v, l2, to.hi, to.lo);
  ethernet.setSrc(v, l2, from.hi, from.lo);
  ethernet.setType(v, l2, ethernet.TYPE_IPV4);
  const totalLen = ipv4.MIN_HEADER_LEN + l4Len;
  ipv4.write(v, b, l3, { totalLen, ttl: TTL, proto, src, dst, flags: ipv4.FLAG_DF });
  b.u8.fill(0, l4, l4 + l4Len);
  if (proto === ipv4.ICMP) {
    v.setUint8(l4, icmp.ECHO_REQUEST);
    v.setUint16(l4 + 4, packet.srcPort);
    store(b, l4 + icmp.CHECKSUM, finish(sum(b, l4, l4Len)));
  } else {
    v.setUint16(l4, packet.srcPort);
    v.setUint16(l4 + 2, packet.dstPort);
    if (proto === ipv4.TCP) {
      v.setUint16(l4 + 12, (tcp.MIN_HEADER_LEN << 10) | tcp.SYN);
      v.setUint16(l4 + 14, WINDOW);
    } else if (proto === ipv4.UDP) udp.setLength(v, l4, l4Len);
    const at = proto === ipv4.TCP ? tcp.CHECKSUM : udp.CHECKSUM;
    if (proto !== ipv4.SCTP) {
      const checksum = finish(pseudoIpv4(b, l3, proto, l4Len) + sum(b, l4, l4Len));
      store(b, l4 + at, checksum === 0 && proto === ipv4.UDP ? 0xffff : checksum);
    }
  }
  return ethernet.HEADER_LEN + totalLen;
}
