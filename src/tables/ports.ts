/**
 * Ports: where frames come in and go out. One row a port; the row id is the port id.
 *
 * A port of kind {@link PORT_POD} is a member of its segment's bridge. {@link PORT_HOST} and {@link PORT_TUNNEL} lead
 * straight to the router of their segment: the host's kernel and remote hosts are no members of the pods' layer 2.
 */
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

/** A member of a bridged segment: a pod's TAP, or an end of a two-port segment. */
export const PORT_POD = 1;
/** The TAP towards the host's own kernel, `pw0`. */
export const PORT_HOST = 2;
/** The VXLAN tunnel to all other hosts. */
export const PORT_TUNNEL = 3;

export const PORT_KINDS = ['none', 'pod', 'host', 'tunnel'] as const;

/** Bits of the column `offload`: what the receiver behind the port takes off our hands. */
export const OFFLOAD_CSUM = 1;
export const OFFLOAD_TSO = 2;
export const OFFLOAD_USO = 4;

/** Bits of the column `flags`. */
/** Only frames from `mac` and `ip` may come in (source guard). */
export const PORT_GUARDED = 1;
/** A capture is open: one datagram at a time, no UDP merged. */
export const PORT_CAPTURED = 2;

const COLUMNS = [
  'kind',
  'segment',
  'handle',
  'macHi',
  'macLo',
  'ip',
  'mtu',
  'offload',
  'flags',
  'vni',
  'udpPort',
] as const;

/**
 * `handle` is what the driver knows the port by (a file descriptor). `mac` and `ip` belong to who lives behind it; the
 * tunnel's `mac` is our own VTEP's, the inner destination of what is meant for us. `mtu` counts bytes of an IP packet, `vni`
 * is the tunnel's network, `udpPort` where the VTEPs of all hosts listen.
 */
export type Ports = StaticTable & Columns<(typeof COLUMNS)[number]>;

export function createPorts(alloc: Alloc, capacity: number): Ports {
  const table = createStaticTable(alloc, 'ports', COLUMNS, capacity);
  return { ...table, ...table.columns };
}
