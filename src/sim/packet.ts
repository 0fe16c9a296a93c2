/**
 * Frames as synthetic endpoints write and read them: each in memory of its own, put together with `wire/`.
 */
import type { Mac } from '../wire/address.js';
import * as arp from '../wire/arp.js';
import { bytesOf, finish, fold, pseudoIpv4, store, sum, type Bytes } from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';

/** Frames begin here in their memory, so that the IP header lies on a multiple of four. */
export const L2 = 2;
export const L3 = L2 + ethernet.HEADER_LEN;

/** A frame and the memory it lies in. */
export interface Packet {
  readonly v: DataView;
  readonly b: Bytes;
  /** Bytes of the frame, from {@link L2}. */
  len: number;
}

/** The virtio network header, decoded. */
export interface Offload {
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

export const NO_OFFLOAD: Offload = { flags: 0, gsoType: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 };

export function emptyPacket(len: number): Packet {
  const buffer = new ArrayBuffer((L2 + len + 3) & ~3);
  return { v: new DataView(buffer), b: bytesOf(buffer), len };
}

/** A copy of a frame, to be read. */
export function packetOf(frame: Uint8Array): Packet {
  const packet = emptyPacket(frame.length);
  packet.b.u8.set(frame, L2);
  return packet;
}

/** The bytes of a frame. */
export const bytesOfPacket = (packet: Packet): Uint8Array => packet.b.u8.subarray(L2, L2 + packet.len);

/** Bytes at `at` of a frame's memory, copied. */
export const bytesAt = (packet: Packet, at: number, len: number): Uint8Array =>
  packet.b.u8.slice(at, at + len);

export function arpPacket(
  op: number,
  to: Mac,
  from: Mac,
  senderIp: number,
  target: Mac,
  targetIp: number,
): Packet {
  const packet = emptyPacket(ethernet.HEADER_LEN + arp.LEN);
  ethernet.setDst(packet.v, L2, to.hi, to.lo);
  ethernet.setSrc(packet.v, L2, from.hi, from.lo);
  ethernet.setType(packet.v, L2, ethernet.TYPE_ARP);
  arp.write(packet.v, L3, op, from, senderIp, target, targetIp);
  return packet;
}

/** Fields of an IPv4 header that an endpoint chooses. */
export interface IpFields {
  readonly src: number;
  readonly dst: number;
  readonly id?: number;
  readonly ttl?: number;
  readonly hasDf?: boolean;
}

const L4 = L3 + ipv4.MIN_HEADER_LEN;

/** Ethernet addresses stay 0: who sends it knows them. */
function ipPacket(fields: IpFields, proto: number, l4Len: number): Packet {
  const packet = emptyPacket(L4 - L2 + l4Len);
  ethernet.setType(packet.v, L2, ethernet.TYPE_IPV4);
  ipv4.write(packet.v, packet.b, L3, {
    totalLen: ipv4.MIN_HEADER_LEN + l4Len,
    id: fields.id,
    flags: fields.hasDf ? ipv4.FLAG_DF : 0,
    ttl: fields.ttl ?? 64,
    proto,
    src: fields.src,
    dst: fields.dst,
  });
  return packet;
}

/** The checksum of TCP or UDP, finished or left to who comes behind. */
function writeChecksum(packet: Packet, proto: number, at: number, isLeft: boolean): void {
  const len = packet.len - (L4 - L2);
  const pseudo = pseudoIpv4(packet.b, L3, proto, len);
  store(packet.b, L4 + at, 0);
  const checksum = isLeft ? fold(pseudo) : finish(pseudo + sum(packet.b, L4, len));
  store(packet.b, L4 + at, checksum === 0 && proto === ipv4.UDP ? 0xffff : checksum);
}

export interface TcpFields {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
}

export function tcpPacket(ip: IpFields, fields: TcpFields, payload: Uint8Array, isLeft: boolean): Packet {
  const packet = ipPacket(ip, ipv4.TCP, tcp.MIN_HEADER_LEN + payload.length);
  const { v } = packet;
  v.setUint16(L4, fields.srcPort);
  v.setUint16(L4 + 2, fields.dstPort);
  v.setUint32(L4 + 4, fields.seq);
  v.setUint32(L4 + 8, fields.ack);
  v.setUint8(L4 + 12, (tcp.MIN_HEADER_LEN / 4) << 4);
  v.setUint8(L4 + 13, fields.flags);
  v.setUint16(L4 + 14, 0xffff);
  packet.b.u8.set(payload, L4 + tcp.MIN_HEADER_LEN);
  writeChecksum(packet, ipv4.TCP, tcp.CHECKSUM, isLeft);
  return packet;
}

export function udpPacket(
  ip: IpFields,
  srcPort: number,
  dstPort: number,
  payload: Uint8Array,
  isLeft: boolean,
): Packet {
  const packet = ipPacket(ip, ipv4.UDP, udp.HEADER_LEN + payload.length);
  const { v } = packet;
  v.setUint16(L4, srcPort);
  v.setUint16(L4 + 2, dstPort);
  udp.setLength(v, L4, udp.HEADER_LEN + payload.length);
  packet.b.u8.set(payload, L4 + udp.HEADER_LEN);
  writeChecksum(packet, ipv4.UDP, udp.CHECKSUM, isLeft);
  return packet;
}

export function icmpPacket(ip: IpFields, type: number, code: number, rest: number, data: Uint8Array): Packet {
  const packet = ipPacket(ip, ipv4.ICMP, icmp.HEADER_LEN + data.length);
  packet.v.setUint8(L4, type);
  packet.v.setUint8(L4 + 1, code);
  packet.v.setInt32(L4 + 4, rest);
  packet.b.u8.set(data, L4 + icmp.HEADER_LEN);
  store(packet.b, L4 + icmp.CHECKSUM, finish(sum(packet.b, L4, icmp.HEADER_LEN + data.length)));
  return packet;
}

/** The virtio header of a packet whose checksum was left. */
export const left = (proto: number, gsoType = 0, gsoSize = 0): Offload => ({
  flags: 1,
  gsoType,
  gsoSize,
  csumStart: L4 - L2,
  csumOffset: proto === ipv4.TCP ? tcp.CHECKSUM : udp.CHECKSUM,
});

/** Whether the checksum of TCP, UDP or ICMP in a whole packet is right. */
export function isChecksumRight(packet: Packet, l4: number): boolean {
  const { v, b } = packet;
  const proto = ipv4.proto(v, L3);
  const len = packet.len - (l4 - L2);
  if (proto === ipv4.ICMP) return finish(sum(b, l4, len)) === 0;
  if (proto === ipv4.UDP && v.getUint16(l4 + udp.CHECKSUM) === 0) return true;
  return finish(pseudoIpv4(b, L3, proto, len) + sum(b, l4, len)) === 0;
}

/** Whether the checksum field of TCP or UDP holds the folded sum of the pseudo header. */
export function isChecksumLeft(packet: Packet, l4: number): boolean {
  const { v, b } = packet;
  const proto = ipv4.proto(v, L3);
  const at = l4 + (proto === ipv4.TCP ? tcp.CHECKSUM : udp.CHECKSUM);
  const partial = fold(pseudoIpv4(b, L3, proto, packet.len - (l4 - L2)));
  return b.u16[at >> 1] === partial;
}
