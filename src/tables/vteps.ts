/**
 * VTEPs: the other hosts' tunnel ends. A datagram from an underlay address that has no row here is no tunnel traffic.
 */
import { HashIndex } from './hash-index.js';
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

const COLUMNS = ['port', 'a0', 'a1', 'a2', 'a3', 'macHi', 'macLo'] as const;

/** `port` is the tunnel's port, `a0..a3` the underlay address, `mac` the inner destination of what is sent there. */
export type Vteps = StaticTable &
  Columns<(typeof COLUMNS)[number]> & {
    /** The row of an underlay address, or 0. */
    find(a0: number, a1: number, a2: number, a3: number): number;
  };

export function createVteps(alloc: Alloc, capacity: number, seed: number): Vteps {
  const index = new HashIndex(alloc, capacity, seed);
  const table = createStaticTable(alloc, 'vteps', COLUMNS, capacity, (c, row, isOld) => {
    const key = [c.a0[row]!, c.a1[row]!, c.a2[row]!, c.a3[row]!, 0] as const;
    if (!isOld) index.set(...key, row);
    else if (index.find(...key) === row) index.delete(...key);
  });
  return { ...table, ...table.columns, find: (a0, a1, a2, a3) => index.find(a0, a1, a2, a3, 0) };
}
