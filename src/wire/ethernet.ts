/**
 * Ethernet II. IEEE 802.3 §3.2.6; type numbers: RFC 9542 §2.
 *
 *      0               6              12      14
 *     +---------------+---------------+-------+----------
 *     |  destination  |    source     | type  |  payload
 *     +---------------+---------------+-------+----------
 *
 * Not here: 802.1Q tags (a tagged frame has type {@link TYPE_VLAN} and is not looked into), 802.3 length fields.
 */

export const HEADER_LEN = 14;

export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_VLAN = 0x8100;
export const TYPE_IPV6 = 0x86dd;

/** Whether `len` bytes can hold the header. Everything below needs that. */
export const check = (len: number): boolean => len >= HEADER_LEN;

export const dstHi = (v: DataView, l2: number): number => v.getUint16(l2);
export const dstLo = (v: DataView, l2: number): number => v.getInt32(l2 + 2);
export const srcHi = (v: DataView, l2: number): number => v.getUint16(l2 + 6);
export const srcLo = (v: DataView, l2: number): number => v.getInt32(l2 + 8);
export const type = (v: DataView, l2: number): number => v.getUint16(l2 + 12);

/** Whether the destination is a group: multicast or broadcast (the I/G bit). */
export const isGroup = (v: DataView, l2: number): boolean => (v.getUint8(l2) & 1) !== 0;

export function setDst(v: DataView, l2: number, hi: number, lo: number): void {
  v.setUint16(l2, hi);
  v.setInt32(l2 + 2, lo);
}

export function setSrc(v: DataView, l2: number, hi: number, lo: number): void {
  v.setUint16(l2 + 6, hi);
  v.setInt32(l2 + 8, lo);
}

export function setType(v: DataView, l2: number, type: number): void {
  v.setUint16(l2 + 12, type);
}
