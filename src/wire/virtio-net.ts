/**
 * The virtio network header in front of every frame of a TAP with IFF_VNET_HDR. Virtio 1.2 §5.1.6.1; linux/virtio_net.h.
 *
 *      0   1   2       4       6       8       10
 *     +---+---+-------+-------+-------+-------+
 *     |flg|gso|hdr len|gso sz |cs strt|cs off |      machine byte order: little-endian
 *     +---+---+-------+-------+-------+-------+
 *
 * With {@link NEEDS_CSUM} the 16-bit field at `csumStart + csumOffset` holds the folded pseudo header sum, not
 * complemented, and whoever needs it finished sums from `csumStart` to the end of the frame.
 */

/** Without `num_buffers`, as Linux TAPs have it by default. */
export const HEADER_LEN = 10;

/** Flags. */
export const NEEDS_CSUM = 1;
export const DATA_VALID = 2;

/** Kinds of super-frame. */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
/** UDP fragmentation offload: long gone from Linux, refused. */
export const GSO_UDP = 3;
export const GSO_TCPV6 = 4;
/** One UDP flow's datagrams, each but the last of `gsoSize` payload bytes. */
export const GSO_UDP_L4 = 5;
/** Set beside TCP kinds when the first segment has CWR. */
export const GSO_ECN = 0x80;

export const flags = (v: DataView, at: number): number => v.getUint8(at);
/** Kind of super-frame, with {@link GSO_ECN} still in it. */
export const gsoType = (v: DataView, at: number): number => v.getUint8(at + 1);
/** Bytes of all headers, a hint of the kernel that may be wrong. */
export const hdrLen = (v: DataView, at: number): number => v.getUint16(at + 2, true);
/** Payload bytes of each segment. */
export const gsoSize = (v: DataView, at: number): number => v.getUint16(at + 4, true);
export const csumStart = (v: DataView, at: number): number => v.getUint16(at + 6, true);
export const csumOffset = (v: DataView, at: number): number => v.getUint16(at + 8, true);

/** Write the whole header. */
export function write(
  v: DataView,
  at: number,
  flags: number,
  gsoType: number,
  hdrLen: number,
  gsoSize: number,
  csumStart: number,
  csumOffset: number,
): void {
  v.setUint8(at, flags);
  v.setUint8(at + 1, gsoType);
  v.setUint16(at + 2, hdrLen, true);
  v.setUint16(at + 4, gsoSize, true);
  v.setUint16(at + 6, csumStart, true);
  v.setUint16(at + 8, csumOffset, true);
}
