/**
 * The outbox: what a batch sends, as messages of gathered bytes, ready for one system call each or all together.
 *
 * Theory of operation. A message is a run of pieces of the pool (`iovAt`, `iovLen`) for one port. To a TAP it is one frame
 * with its virtio header in front: one `writev`. To the tunnel it is up to 64 datagrams to one peer from one socket, all of
 * `segmentSize` bytes but the last: one entry of a `sendmmsg` with UDP_SEGMENT. Each message has its own run of
 * {@link IOVS} places, so that one can grow while others begin. Headers that are written afresh (a segment's, a virtio
 * header) lie in the *scratch*, a part of the pool behind the arena.
 *
 * Order: a flow's bytes are only ever added to the latest message of its port (TAP) or socket (tunnel), and messages are
 * sent in the order in which they were begun.
 */
import { allocColumns, type Alloc, type Columns } from '../tables/memory.js';

/** Places for pieces that each message has. */
export const IOVS = 136;
/** UDP_MAX_SEGMENTS of linux/udp.h as it was before 6.9, and the most bytes of a UDP datagram over IPv4. */
export const MAX_SEGMENTS = 64;
export const MAX_DATAGRAM = 65507;

const COLUMNS = [
  'port',
  'vtep',
  'socket',
  'iovs',
  'bytes',
  'segmentSize',
  'segments',
  'isClosed',
  'packets',
  'frame',
] as const;

export type Outbox = Columns<(typeof COLUMNS)[number]> & {
  count: number;
  readonly capacity: number;
  readonly iovAt: Int32Array;
  readonly iovLen: Int32Array;
  /** First free byte of the scratch. */
  scratch: number;
  readonly scratchEnd: number;
  reset(): void;
  /** Whether `messages` more messages and `bytes` more of scratch fit. */
  hasRoom(messages: number, bytes: number): boolean;
  /** Begin a message to a port. The caller has asked {@link hasRoom}. */
  begin(port: number): number;
  /** Add a piece to a message. */
  add(message: number, at: number, len: number): void;
  /** `bytes` of scratch whose offset is `phase` modulo 4. */
  take(bytes: number, phase: number): number;
};

export function createOutbox(
  alloc: Alloc,
  capacity: number,
  scratchStart: number,
  scratchEnd: number,
): Outbox {
  const columns = allocColumns(alloc, COLUMNS, capacity);
  const list = COLUMNS.map((name) => columns[name]);
  const iovs = allocColumns(alloc, ['at', 'len'], capacity * IOVS);
  return {
    ...columns,
    count: 0,
    capacity,
    iovAt: iovs.at,
    iovLen: iovs.len,
    scratch: scratchStart,
    scratchEnd,
    reset() {
      this.count = 0;
      this.scratch = scratchStart;
    },
    hasRoom(messages, bytes) {
      return this.count + messages <= capacity && this.scratch + bytes <= scratchEnd;
    },
    begin(port) {
      const m = this.count++;
      for (let i = 0; i < list.length; i++) list[i]![m] = 0;
      this.port[m] = port;
      return m;
    },
    add(m, at, len) {
      const i = m * IOVS + this.iovs[m]!;
      this.iovAt[i] = at;
      this.iovLen[i] = len;
      this.iovs[m] = this.iovs[m]! + 1;
      this.bytes[m] = this.bytes[m]! + len;
    },
    take(bytes, phase) {
      const at = ((this.scratch + 3 - phase) & ~3) + phase;
      this.scratch = at + bytes;
      return at;
    },
  };
}
