/**
 * VXLAN. RFC 7348 §5.
 *
 *      0   1           4           7   8
 *     +---+-----------+-----------+---+--------------------
 *     |flg| reserved  |    VNI    | r | inner Ethernet frame
 *     +---+-----------+-----------+---+--------------------
 *
 * Flags: only I (0x08) has a meaning; it must be set, the others are ignored on receipt and 0 when sent.
 * Not here: GPE, GBP.
 */

export const HEADER_LEN = 8;
/** Outer IPv4, UDP and VXLAN headers and the inner Ethernet header: what an underlay's MTU loses. */
export const OVERHEAD = 20 + 8 + 8 + 14;
/** The I flag. */
export const FLAG_I = 0x08;
export const MAX_VNI = 0xffffff;
/** flannel's and the Linux kernel's port; IANA's is 4789. */
export const DEFAULT_PORT = 8472;

/** Whether `len` bytes can hold the header. */
export const check = (len: number): boolean => len >= HEADER_LEN;

export const hasVni = (v: DataView, at: number): boolean => (v.getUint8(at) & FLAG_I) !== 0;
export const vni = (v: DataView, at: number): number => v.getUint32(at + 4) >>> 8;

/** Write a header: I set, all that is reserved 0. */
export function write(v: DataView, at: number, vni: number): void {
  v.setUint32(at, FLAG_I << 24);
  v.setUint32(at + 4, vni << 8);
}
