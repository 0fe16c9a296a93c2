/**
 * Routes: what the router of a segment does with a destination, by longest prefix.
 *
 * Theory of operation. A look-up tries each prefix length that is in use, longest first, in one hash index: as many probes
 * as there are lengths (three to five in a cluster), however many nodes. `epoch` counts changes: a flow that remembers a
 * route's row remembers the epoch with it, and looks again when it has moved.
 */
import { HashIndex } from './hash-index.js';
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

/** Pods of this host: the neighbor has port and MAC. `target` is unused. */
export const ROUTE_LOCAL = 1;
/** Pods of another host: `target` is the row of its VTEP. */
export const ROUTE_VTEP = 2;
/** To the host's kernel: `target` is its port. */
export const ROUTE_HOST = 3;
/** A pod address that belongs to no node: ICMP host unreachable. */
export const ROUTE_UNREACHABLE = 4;
/** A Service address that no Service has: ICMP port unreachable. */
export const ROUTE_REFUSE = 5;
/** The router's own address: `target` is unused. */
export const ROUTE_SELF = 6;

export const ROUTE_KINDS = ['none', 'local', 'vtep', 'host', 'unreachable', 'refuse', 'self'] as const;

const COLUMNS = ['kind', 'segment', 'a0', 'a1', 'a2', 'a3', 'bits', 'target'] as const;

export type Routes = StaticTable &
  Columns<(typeof COLUMNS)[number]> & {
    /** The row with the longest prefix that contains an address, or 0. */
    lookup(segment: number, a0: number, a1: number, a2: number, a3: number): number;
    /** One word: how often the table changed. */
    readonly epoch: Int32Array;
  };

/** Word `i` (0..3) of the mask of a prefix of `bits` (0..128). */
const maskWord = (bits: number, i: number): number => {
  const inWord = Math.min(Math.max(bits - 32 * i, 0), 32);
  return inWord === 0 ? 0 : -1 << (32 - inWord);
};

export function createRoutes(alloc: Alloc, capacity: number, seed: number): Routes {
  const index = new HashIndex(alloc, capacity, seed);
  const epoch = new Int32Array(alloc(4));
  /** Rows per prefix length, and the lengths in use with their masks, longest first. */
  const rowsOfLength = new Int32Array(129);
  const lengths = new Int32Array(129);
  const masks = new Int32Array(129 * 4);
  let lengthCount = 0;

  const table = createStaticTable(alloc, 'routes', COLUMNS, capacity, (c, row, isOld) => {
    const bits = c.bits[row]!;
    const key = [c.a0[row]!, c.a1[row]!, c.a2[row]!, c.a3[row]!, (c.segment[row]! << 8) | bits] as const;
    if (!isOld) index.set(...key, row);
    else if (index.find(...key) === row) index.delete(...key);
    rowsOfLength[bits]! += isOld ? -1 : 1;
    epoch[0]!++;
    lengthCount = 0;
    for (let length = 128; length >= 0; length--) {
      if (rowsOfLength[length] === 0) continue;
      for (let i = 0; i < 4; i++) masks[lengthCount * 4 + i] = maskWord(length, i);
      lengths[lengthCount++] = length;
    }
  });

  return {
    ...table,
    ...table.columns,
    epoch,
    lookup(segment, a0, a1, a2, a3) {
      for (let i = 0; i < lengthCount; i++) {
        const m = i * 4;
        const row = index.find(
          a0 & masks[m]!,
          a1 & masks[m + 1]!,
          a2 & masks[m + 2]!,
          a3 & masks[m + 3]!,
          (segment << 8) | lengths[i]!,
        );
        if (row !== 0) return row;
      }
      return 0;
    },
  };
}
