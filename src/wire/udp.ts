/**
 * UDP. RFC 768.
 *
 *      0       2       4       6       8
 *     +-------+-------+-------+-------+---------
 *     | sport | dport | length| check | payload
 *     +-------+-------+-------+-------+---------
 */

export const HEADER_LEN = 8;
/** Where these fields lie in the header. */
export const LENGTH = 4;
export const CHECKSUM = 6;

/** Whether `len` bytes hold the header and as many bytes as it says. */
export function check(v: DataView, l4: number, len: number): boolean {
  if (len < HEADER_LEN) return false;
  const said = v.getUint16(l4 + LENGTH);
  return said >= HEADER_LEN && said <= len;
}

export const srcPort = (v: DataView, l4: number): number => v.getUint16(l4);
export const dstPort = (v: DataView, l4: number): number => v.getUint16(l4 + 2);
/** Bytes of header and payload. */
export const length = (v: DataView, l4: number): number => v.getUint16(l4 + LENGTH);

export function setLength(v: DataView, l4: number, length: number): void {
  v.setUint16(l4 + LENGTH, length);
}
