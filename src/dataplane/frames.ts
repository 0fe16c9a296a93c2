/**
 * The frames of one batch: columns, one row a frame, and the pool their bytes lie in.
 *
 * Theory of operation. Bytes are read into the pool's *arena*, one behind the other, and stay where they are; columns say
 * where each header lies (`l2 l3 l4`, byte offsets into the pool). The first `headLen` bytes from `l2` are in one piece and
 * hold all headers; a super-frame put together from several datagrams has more payload in *pieces*. Nothing is copied to
 * forward a frame: headers are rewritten where they lie. A batch ends by {@link Frames.reset}, and all of it is forgotten.
 *
 * Addresses are four words each (`s0..s3`, `d0..d3`), IPv4 as `::ffff:a.b.c.d`, so that flows and tables know one form.
 */
import type { Bytes } from '../wire/checksum.js';
import { allocColumns, type Alloc, type Columns } from '../tables/memory.js';

/** Checksum of TCP or UDP: as it stands in the packet, neither verified nor ours to touch. */
export const CSUM_AS_IS = 0;
/** Unfinished: the field holds the folded pseudo header sum; who needs it finished sums up from `csumStart`. */
export const CSUM_PARTIAL = 1;
/** Verified: right as it stands. */
export const CSUM_GOOD = 2;

/** Kinds of super-frame: columns hold the numbers of the virtio header. */
export { GSO_NONE, GSO_TCPV4, GSO_UDP_L4 } from '../wire/virtio-net.js';

const COLUMNS = [
  // where it came from
  'inPort',
  'segment',
  // where its bytes lie
  'l2',
  'l3',
  'l4',
  'len',
  'headLen',
  'firstPiece',
  'pieces',
  'headroom',
  // offload
  'gso',
  'gsoSize',
  'csum',
  'csumStart',
  'csumOffset',
  // what it is
  'etherType',
  'proto',
  's0',
  's1',
  's2',
  's3',
  'd0',
  'd1',
  'd2',
  'd3',
  'ports',
  'packets',
  // what was decided
  'flow',
  'direction',
  'flowHash',
  'event',
  'draft',
  'service',
  'needsSnat',
  'related',
  'route',
  'outPort',
  'vtep',
  'verdict',
] as const;

export type FrameColumns = Columns<(typeof COLUMNS)[number]>;

/**
 * Columns in words:
 * `len` bytes of the whole frame · `headroom` bytes in front of `l2` that may be overwritten · `gsoSize` payload bytes of
 * each segment · `csumStart` byte offset in the pool, `csumOffset` from there · `ports` is `src << 16 | dst`, for an ICMP
 * echo its identifier · `packets` on the wire · `flow` conntrack row and `direction` in it · `event` what conntrack shall do
 * when the frame has passed · `draft` a conntrack row that is not linked yet, because a new flow is translated · `service` the
 * frontend it came to · `needsSnat` its source must become the router's · `related` the conntrack node (row × 2 + direction) of the
 * packet that an ICMP error quotes, turned round: the error goes its way.
 */
export type Frames = FrameColumns & {
  /** Rows in use: 0 .. count-1. */
  count: number;
  readonly capacity: number;
  /** The pool in all widths. */
  readonly v: DataView;
  readonly b: Bytes;
  /** Payload pieces: byte offset and length of each, and which follows it in its frame. */
  readonly pieceAt: Int32Array;
  readonly pieceLen: Int32Array;
  readonly pieceNext: Int32Array;
  pieceCount: number;
  /** First free byte of the arena. */
  free: number;
  readonly end: number;
  /** Forget all rows; their bytes in the arena stay taken. */
  forget(): void;
  /** Begin a new batch: no rows, an empty arena. */
  reset(): void;
  /** A fresh row with all columns 0, or -1 when all are taken. */
  add(): number;
  /** `bytes` of the arena whose offset is `phase` modulo 16, or -1. */
  alloc(bytes: number, phase: number): number;
};

/** Frames begin 2 bytes behind a multiple of 16, so that the IP header lies on a multiple of 16. */
export const FRAME_PHASE = 2;

/**
 * @param b         memory of the frames
 * @param arenaEnd  the arena is `[0, arenaEnd)`; what lies behind is the caller's
 */
export function createFrames(
  alloc: Alloc,
  b: Bytes,
  arenaEnd: number,
  capacity: number,
  pieces: number,
): Frames {
  const columns = allocColumns(alloc, COLUMNS, capacity);
  const list = COLUMNS.map((name) => columns[name]);
  const pieceColumns = allocColumns(alloc, ['at', 'len', 'next'], pieces);
  return {
    ...columns,
    count: 0,
    capacity,
    v: new DataView(b.u8.buffer),
    b,
    pieceAt: pieceColumns.at,
    pieceLen: pieceColumns.len,
    pieceNext: pieceColumns.next,
    pieceCount: 0,
    free: 0,
    end: arenaEnd,
    forget() {
      this.count = 0;
      this.pieceCount = 0;
    },
    reset() {
      this.forget();
      this.free = 0;
    },
    add() {
      if (this.count === capacity) return -1;
      const f = this.count++;
      for (let i = 0; i < list.length; i++) list[i]![f] = 0;
      return f;
    },
    alloc(bytes, phase) {
      const at = ((this.free + 15 - phase) & ~15) + phase;
      if (at + bytes > this.end) return -1;
      this.free = at + bytes;
      return at;
    },
  };
}
