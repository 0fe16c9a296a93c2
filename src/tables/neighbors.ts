/**
 * Neighbors: which port and MAC address an IP address of a segment has. Written from the objects, so the router never
 * asks by ARP.
 */
import { HashIndex } from './hash-index.js';
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

const COLUMNS = ['segment', 'a0', 'a1', 'a2', 'a3', 'port', 'macHi', 'macLo'] as const;

export type Neighbors = StaticTable &
  Columns<(typeof COLUMNS)[number]> & {
    /** The row of an address in a segment, or 0. */
    find(segment: number, a0: number, a1: number, a2: number, a3: number): number;
  };

export function createNeighbors(alloc: Alloc, capacity: number, seed: number): Neighbors {
  const index = new HashIndex(alloc, capacity, seed);
  const table = createStaticTable(alloc, 'neighbors', COLUMNS, capacity, (c, row, isOld) => {
    const key = [c.segment[row]!, c.a0[row]!, c.a1[row]!, c.a2[row]!, c.a3[row]!] as const;
    if (!isOld) index.set(...key, row);
    else if (index.find(...key) === row) index.delete(...key);
  });
  return {
    ...table,
    ...table.columns,
    find: (segment, a0, a1, a2, a3) => index.find(segment, a0, a1, a2, a3),
  };
}
