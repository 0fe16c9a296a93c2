/**
 * ICMP. RFC 792; next-hop MTU: RFC 1191 §4; what an error quotes: RFC 1812 §4.3.2.3.
 *
 *      0   1   2       4               8
 *     +---+---+-------+---------------+------------------------------
 *     |typ|cod| check | rest of header| data, or the quoted datagram
 *     +---+---+-------+---------------+------------------------------
 */

export const HEADER_LEN = 8;
/** Where the checksum lies in the header. */
export const CHECKSUM = 2;

export const ECHO_REPLY = 0;
export const UNREACHABLE = 3;
export const REDIRECT = 5;
export const ECHO_REQUEST = 8;
export const TIME_EXCEEDED = 11;
export const PARAMETER_PROBLEM = 12;

/** Codes of {@link UNREACHABLE}. */
export const NET_UNREACHABLE = 0;
export const HOST_UNREACHABLE = 1;
export const PORT_UNREACHABLE = 3;
export const FRAGMENTATION_NEEDED = 4;
export const ADMINISTRATIVELY_PROHIBITED = 13;
/** Code of {@link TIME_EXCEEDED}. */
export const TTL_EXCEEDED = 0;

/** Whether `len` bytes can hold the header. */
export const check = (len: number): boolean => len >= HEADER_LEN;

export const type = (v: DataView, l4: number): number => v.getUint8(l4);
export const code = (v: DataView, l4: number): number => v.getUint8(l4 + 1);
/** Identifier of an echo. */
export const id = (v: DataView, l4: number): number => v.getUint16(l4 + 4);
export const seq = (v: DataView, l4: number): number => v.getUint16(l4 + 6);
/** Next-hop MTU of a {@link FRAGMENTATION_NEEDED}. */
export const mtu = (v: DataView, l4: number): number => v.getUint16(l4 + 6);

/** Whether a message of `type` reports an error about a datagram that it quotes. RFC 1122 §3.2.2. */
export const isError = (type: number): boolean =>
  type === UNREACHABLE ||
  type === TIME_EXCEEDED ||
  type === PARAMETER_PROBLEM ||
  type === REDIRECT ||
  type === 4;
