/**
 * ARP for IPv4 over Ethernet. RFC 826; probes and announcements: RFC 5227.
 *
 *      0       2       4   5   6       8              14      18              24      28
 *     +-------+-------+---+---+-------+---------------+-------+---------------+-------+
 *     | hrd 1 | 0800  | 6 | 4 |  op   |  sender MAC   | s. IP |  target MAC   | t. IP |
 *     +-------+-------+---+---+-------+---------------+-------+---------------+-------+
 *
 * Not here: other hardware or protocol types; {@link check} refuses them.
 */

export const LEN = 28;
export const REQUEST = 1;
export const REPLY = 2;

/** Whether `len` bytes at `l3` are an ARP packet for IPv4 over Ethernet. */
export const check = (v: DataView, l3: number, len: number): boolean =>
  len >= LEN && v.getUint32(l3) === 0x00010800 && v.getUint16(l3 + 4) === 0x0604;

export const op = (v: DataView, l3: number): number => v.getUint16(l3 + 6);
export const senderMacHi = (v: DataView, l3: number): number => v.getUint16(l3 + 8);
export const senderMacLo = (v: DataView, l3: number): number => v.getInt32(l3 + 10);
export const senderIp = (v: DataView, l3: number): number => v.getInt32(l3 + 14);
export const targetIp = (v: DataView, l3: number): number => v.getInt32(l3 + 24);

/** Write a whole packet. */
export function write(
  v: DataView,
  l3: number,
  op: number,
  senderMac: { hi: number; lo: number },
  senderIp: number,
  targetMac: { hi: number; lo: number },
  targetIp: number,
): void {
  v.setUint32(l3, 0x00010800);
  v.setUint16(l3 + 4, 0x0604);
  v.setUint16(l3 + 6, op);
  v.setUint16(l3 + 8, senderMac.hi);
  v.setInt32(l3 + 10, senderMac.lo);
  v.setInt32(l3 + 14, senderIp);
  v.setUint16(l3 + 18, targetMac.hi);
  v.setInt32(l3 + 20, targetMac.lo);
  v.setInt32(l3 + 24, targetIp);
}

/**
 * Turn a request into its reply in place: "I have `targetIp`, at `hi:lo`". RFC 826, "Packet Reception".
 */
export function replyInPlace(v: DataView, l3: number, hi: number, lo: number): void {
  const askerHi = senderMacHi(v, l3);
  const askerLo = senderMacLo(v, l3);
  const askerIp = senderIp(v, l3);
  const wantedIp = targetIp(v, l3);
  v.setUint16(l3 + 6, REPLY);
  v.setUint16(l3 + 8, hi);
  v.setInt32(l3 + 10, lo);
  v.setInt32(l3 + 14, wantedIp);
  v.setUint16(l3 + 18, askerHi);
  v.setInt32(l3 + 20, askerLo);
  v.setInt32(l3 + 24, askerIp);
}
