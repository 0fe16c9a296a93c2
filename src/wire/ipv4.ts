/**
 * IPv4. RFC 791 §3.1; DSCP: RFC 2474; ECN: RFC 3168; incremental checksum: RFC 1624.
 *
 *      0   1   2       4       6       8   9   10      12      16      20
 *     +---+---+-------+-------+-------+---+---+-------+-------+-------+---------
 *     |4 H|TOS| length|  id   |fl|off |TTL|pro| check |source | dest. | options
 *     +---+---+-------+-------+-------+---+---+-------+-------+-------+---------
 *
 * Not here: options are carried, never read; reassembly.
 */
import { finish, load, store, sum, update16, type Bytes } from './checksum.js';

export const MIN_HEADER_LEN = 20;
export const MAX_LEN = 65535;
/** Where these fields lie in the header. */
export const TOTAL_LEN = 2;
export const ID = 4;
export const CHECKSUM = 10;

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;

/** Values of the ECN field, the low two bits of TOS. RFC 3168 §5. */
export const NOT_ECT = 0;
export const ECT_1 = 1;
export const ECT_0 = 2;
export const CE = 3;

export const FLAG_DF = 0x4000;
export const FLAG_MF = 0x2000;
const OFFSET_MASK = 0x1fff;

/**
 * Whether `len` bytes at `l3` begin with an IPv4 header whose lengths agree. RFC 1122 §3.2.1.1.
 *
 * The header checksum is not looked at: {@link isChecksumRight}.
 */
export function check(v: DataView, l3: number, len: number): boolean {
  if (len < MIN_HEADER_LEN) return false;
  const first = v.getUint8(l3);
  const header = (first & 15) << 2;
  const total = v.getUint16(l3 + TOTAL_LEN);
  return first >>> 4 === 4 && header >= MIN_HEADER_LEN && total >= header && total <= len;
}

/** Bytes of the header with its options: 20..60. */
export const headerLen = (v: DataView, l3: number): number => (v.getUint8(l3) & 15) << 2;
export const tos = (v: DataView, l3: number): number => v.getUint8(l3 + 1);
/** {@link NOT_ECT}, {@link ECT_1}, {@link ECT_0} or {@link CE}. */
export const ecn = (v: DataView, l3: number): number => v.getUint8(l3 + 1) & 3;
/** Bytes of header and payload. */
export const totalLen = (v: DataView, l3: number): number => v.getUint16(l3 + TOTAL_LEN);
export const id = (v: DataView, l3: number): number => v.getUint16(l3 + ID);
export const hasDf = (v: DataView, l3: number): boolean => (v.getUint16(l3 + 6) & FLAG_DF) !== 0;
export const hasMf = (v: DataView, l3: number): boolean => (v.getUint16(l3 + 6) & FLAG_MF) !== 0;
/** Bytes by which a fragment's payload lies behind the packet's. */
export const fragmentOffset = (v: DataView, l3: number): number => (v.getUint16(l3 + 6) & OFFSET_MASK) << 3;
/** Whether the packet is a piece of a larger one: MF set, or an offset. */
export const isFragment = (v: DataView, l3: number): boolean =>
  (v.getUint16(l3 + 6) & (FLAG_MF | OFFSET_MASK)) !== 0;
export const ttl = (v: DataView, l3: number): number => v.getUint8(l3 + 8);
export const proto = (v: DataView, l3: number): number => v.getUint8(l3 + 9);
export const src = (v: DataView, l3: number): number => v.getInt32(l3 + 12);
export const dst = (v: DataView, l3: number): number => v.getInt32(l3 + 16);

/** Whether the header checksum is right. */
export const isChecksumRight = (b: Bytes, l3: number): boolean =>
  finish(sum(b, l3, (b.u8[l3]! & 15) << 2)) === 0;

/** Compute the header checksum afresh. */
export function writeChecksum(b: Bytes, l3: number): void {
  store(b, l3 + CHECKSUM, 0);
  store(b, l3 + CHECKSUM, finish(sum(b, l3, (b.u8[l3]! & 15) << 2)));
}

/**
 * Decrement the TTL and patch the header checksum. RFC 1812 §5.3.1, RFC 1624 eq. 3.
 *
 * @param l3  byte offset of an IPv4 header that passed {@link check}
 * @returns   false when the TTL was 0 or 1; the header is then unchanged
 */
export function decrementTtl(b: Bytes, l3: number): boolean {
  const ttl = b.u8[l3 + 8]!;
  if (ttl <= 1) return false;
  b.u8[l3 + 8] = ttl - 1;
  // TTL is the low byte of a machine-order word whose high byte, the protocol, does not change.
  store(b, l3 + CHECKSUM, update16(load(b, l3 + CHECKSUM), ttl, ttl - 1));
  return true;
}

/** Set the ECN field and patch the header checksum; a wrong one stays wrong. */
export function setEcn(b: Bytes, l3: number, ecn: number): void {
  const before = load(b, l3);
  b.u8[l3 + 1] = (b.u8[l3 + 1]! & ~3) | ecn;
  store(b, l3 + CHECKSUM, update16(load(b, l3 + CHECKSUM), before, load(b, l3)));
}

/** Set total length and identification; the header checksum is the caller's. */
export function setLengthAndId(v: DataView, l3: number, totalLen: number, id: number): void {
  v.setUint16(l3 + TOTAL_LEN, totalLen);
  v.setUint16(l3 + ID, id);
}

/** Write a header of 20 bytes with its checksum. */
export function write(
  v: DataView,
  b: Bytes,
  l3: number,
  fields: {
    totalLen: number;
    id?: number;
    flags?: number;
    ttl: number;
    proto: number;
    src: number;
    dst: number;
    tos?: number;
  },
): void {
  v.setUint8(l3, 0x45);
  v.setUint8(l3 + 1, fields.tos ?? 0);
  v.setUint16(l3 + TOTAL_LEN, fields.totalLen);
  v.setUint16(l3 + ID, fields.id ?? 0);
  v.setUint16(l3 + 6, fields.flags ?? 0);
  v.setUint8(l3 + 8, fields.ttl);
  v.setUint8(l3 + 9, fields.proto);
  v.setInt32(l3 + 12, fields.src);
  v.setInt32(l3 + 16, fields.dst);
  writeChecksum(b, l3);
}
