/**
 * Overlays: what the tunnel of a segment says of itself. One row a VXLAN network.
 */
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

const COLUMNS = ['port', 'segment', 'vni', 'macHi', 'macLo'] as const;

/** `port` is the tunnel's port, `mac` our VTEP's: the inner destination of what is meant for us. The row id is the port id. */
export type Overlays = StaticTable & Columns<(typeof COLUMNS)[number]>;

export function createOverlays(alloc: Alloc, capacity: number): Overlays {
  const table = createStaticTable(alloc, 'overlays', COLUMNS, capacity);
  return { ...table, ...table.columns };
}
