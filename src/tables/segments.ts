/**
 * Segments: layer-2 broadcast domains. A host has one with a router, its `cni0`; a veth-like pair is a segment of two
 * ports without one.
 */
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

export const SEGMENT_BRIDGED = 1;
export const SEGMENT_ROUTED = 2;

const COLUMNS = [
  'kind',
  'routerMacHi',
  'routerMacLo',
  'routerIp',
  'gatewayIp',
  'tunnelPort',
  'nodeIp',
] as const;

/**
 * `gatewayIp` is what pods have as default gateway: the router answers ARP for it, the host's kernel owns it. `routerIp`
 * is the router's own address, which no kernel and no pod ever carries: the source of its ICMP errors and of what it translates. `nodeIp` is the
 * host's own address on the underlay: pods speak to the outside from it; 0: they do so from their own.
 */
export type Segments = StaticTable & Columns<(typeof COLUMNS)[number]>;

export function createSegments(alloc: Alloc, capacity: number): Segments {
  const table = createStaticTable(alloc, 'segments', COLUMNS, capacity);
  return { ...table, ...table.columns };
}
