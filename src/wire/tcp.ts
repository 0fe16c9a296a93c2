/**
 * TCP. RFC 9293 §3.1.
 *
 *      0       2       4       8       12  13  14      16      18      20
 *     +-------+-------+-------+-------+---+---+-------+-------+-------+---------
 *     | sport | dport |  seq  |  ack  |off|flg|window | check |urgent | options
 *     +-------+-------+-------+-------+---+---+-------+-------+-------+---------
 *
 * Not here: options, which are carried and never read.
 */

export const MIN_HEADER_LEN = 20;
/** Where these fields lie in the header. */
export const SEQ = 4;
export const OFFSET_AND_FLAGS = 12;
export const CHECKSUM = 16;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/** Whether `len` bytes hold a header whose data offset is possible. */
export function check(v: DataView, l4: number, len: number): boolean {
  if (len < MIN_HEADER_LEN) return false;
  const header = headerLen(v, l4);
  return header >= MIN_HEADER_LEN && header <= len;
}

export const srcPort = (v: DataView, l4: number): number => v.getUint16(l4);
export const dstPort = (v: DataView, l4: number): number => v.getUint16(l4 + 2);
/** Sequence number, unsigned. */
export const seq = (v: DataView, l4: number): number => v.getUint32(l4 + SEQ);
export const ack = (v: DataView, l4: number): number => v.getUint32(l4 + 8);
/** Bytes of the header with its options: 20..60 in a valid header. */
export const headerLen = (v: DataView, l4: number): number => (v.getUint8(l4 + OFFSET_AND_FLAGS) >>> 4) << 2;
export const flags = (v: DataView, l4: number): number => v.getUint8(l4 + OFFSET_AND_FLAGS + 1);

export function setSeq(v: DataView, l4: number, seq: number): void {
  v.setUint32(l4 + SEQ, seq);
}

export function setFlags(v: DataView, l4: number, flags: number): void {
  v.setUint8(l4 + OFFSET_AND_FLAGS + 1, flags);
}
