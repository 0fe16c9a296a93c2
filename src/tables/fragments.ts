/**
 * Fragments on their way: what the first fragment of a packet said of its ports, for those that follow.
 *
 * Theory of operation. A row is made by a first fragment and found by the others through (segment, source, destination,
 * identification, protocol), RFC 791 §3.2. It lives {@link FRAGMENT_MS}. A bit for each 8 bytes of a packet tells which have
 * passed: a fragment that overlaps an earlier one is refused, since two readers may put it together differently
 * (RFC 1858, RFC 5722). When all rows are taken the oldest gives way. A fragment that comes before its first one is not
 * kept; the sender repeats the packet.
 */
import { HashIndex } from './hash-index.js';
import { allocColumns, type Alloc, type Columns } from './memory.js';

/** How long a packet may stay in pieces: the kernel's net.ipv4.ipfrag_time. */
export const FRAGMENT_MS = 30_000;

const COLUMNS = ['segment', 'src', 'dst', 'idProto', 'ports', 'sinceMs'] as const;
/** Words of 32 bits, one bit for each 8 bytes of a packet of 64 KiB. */
const MAP = 65536 / 8 / 32;

export type Fragments = Columns<(typeof COLUMNS)[number]> & {
  readonly capacity: number;
  /** The row of a packet, or 0. */
  find(segment: number, src: number, dst: number, idProto: number, nowMs: number): number;
  /** A first fragment: its row. One that is there already stays as it is: the first to come says whose the packet is. */
  begin(segment: number, src: number, dst: number, idProto: number, ports: number, nowMs: number): number;
  /** Mark the bytes `[from, to)` of a packet as passed. @returns false, and marks nothing, when some have passed before */
  pass(row: number, from: number, to: number): boolean;
};

export function createFragments(alloc: Alloc, capacity: number, seed: number): Fragments {
  const index = new HashIndex(alloc, capacity, seed);
  const columns = allocColumns(alloc, COLUMNS, capacity);
  const { segment, src, dst, idProto, ports, sinceMs } = columns;
  const map = new Int32Array(alloc(capacity * MAP * 4));
  let next = 0;

  const isAlive = (row: number, nowMs: number): boolean =>
    row !== 0 && ((nowMs - sinceMs[row]!) | 0) < FRAGMENT_MS;

  return {
    ...columns,
    capacity,
    find(inSegment, from, to, id, nowMs) {
      const row = index.find(inSegment, from, to, id, 0);
      return isAlive(row, nowMs) ? row : 0;
    },
    begin(inSegment, from, to, id, portsWord, nowMs) {
      let row = index.find(inSegment, from, to, id, 0);
      if (row === 0) {
        row = next = (next % (capacity - 1)) + 1;
        if (segment[row] !== 0) index.delete(segment[row]!, src[row]!, dst[row]!, idProto[row]!, 0);
        segment[row] = inSegment;
        src[row] = from;
        dst[row] = to;
        idProto[row] = id;
        index.set(inSegment, from, to, id, 0, row);
        map.fill(0, row * MAP, (row + 1) * MAP);
      } else if (isAlive(row, nowMs)) return row;
      else map.fill(0, row * MAP, (row + 1) * MAP);
      ports[row] = portsWord;
      sinceMs[row] = nowMs;
      return row;
    },
    pass(row, from, to) {
      const first = row * MAP * 32 + (from >> 3);
      const end = row * MAP * 32 + ((to + 7) >> 3);
      for (let bit = first; bit < end; bit++) if ((map[bit >> 5]! & (1 << (bit & 31))) !== 0) return false;
      for (let bit = first; bit < end; bit++) map[bit >> 5]! |= 1 << (bit & 31);
      return true;
    },
  };
}
