/**
 * Services as packets see them: frontends, the endpoints behind them, and who may come.
 *
 * Theory of operation. A *frontend* is an address, a protocol and a port that a Service is reached at (its cluster IP, a node
 * port, an external address): one row of `services`, found in one probe. It names runs of rows of `backends`, each of which
 * names a row of `endpoints`: a Service whose endpoints change rewrites its own run and nobody else's. A flow remembers its
 * endpoint with the epoch that it had; a row that was emptied or given to another endpoint no longer has that epoch.
 *
 * | endpoint state | new flows | UDP flows | TCP flows |
 * |---|---|---|---|
 * | ready | yes | go on | go on |
 * | draining: no longer ready, its pod still there | no | end: decided again | go on |
 * | gone | no | end: decided again | end by a reset |
 */
import { HashIndex } from './hash-index.js';
import type { Alloc, Columns } from './memory.js';
import { createStaticTable, type StaticTable } from './static-table.js';

/** Kinds of frontend. */
export const FRONTEND_CLUSTER_IP = 1;
export const FRONTEND_NODE_PORT = 2;
export const FRONTEND_EXTERNAL_IP = 3;
export const FRONTEND_LOAD_BALANCER = 4;
export const FRONTEND_HOST_PORT = 5;

export const FRONTEND_KINDS = [
  'none',
  'cluster-ip',
  'node-port',
  'external-ip',
  'load-balancer',
  'host-port',
] as const;

/** Schedulers: who gets a new flow. */
export const SCHEDULER_RANDOM = 0;
export const SCHEDULER_ROUND_ROBIN = 1;
export const SCHEDULER_SOURCE_HASH = 2;
export const SCHEDULER_USERSPACE = 3;
export const SCHEDULERS = ['random', 'rr', 'sh', 'userspace'] as const;

/** Bits of the column `flags`. */
/** Traffic from outside stays on this host and keeps its source (externalTrafficPolicy: Local). */
export const FRONTEND_LOCAL = 1;
/** The frontend takes no SCTP: its packets are dropped by name. */
export const FRONTEND_UNSUPPORTED = 2;

const SERVICE_COLUMNS = [
  'kind',
  'segment',
  'a0',
  'a1',
  'a2',
  'a3',
  'portProto',
  'flags',
  'scheduler',
  'affinityMs',
  'first',
  'count',
  'localFirst',
  'localCount',
  'all',
  'firstRange',
  'ranges',
] as const;

/**
 * `portProto` is `port << 8 | protocol` · `first`, `count` the run of backends for traffic from inside (and, unless the
 * frontend is local, from outside) · `localFirst`, `localCount` the run for traffic from outside of a local frontend · `all` how
 * many endpoints there are anywhere · `firstRange`, `ranges` the sources that may come; none: all.
 */
export type Services = StaticTable &
  Columns<(typeof SERVICE_COLUMNS)[number]> & {
    /** The frontend at an address, or 0. */
    find(segment: number, a0: number, a1: number, a2: number, a3: number, portProto: number): number;
  };

export function createServices(alloc: Alloc, capacity: number, seed: number): Services {
  const index = new HashIndex(alloc, capacity, seed);
  // Ports and protocols take 24 bits, segments the rest.
  const tag = (segment: number, portProto: number): number => (segment << 24) | portProto;
  const table = createStaticTable(alloc, 'services', SERVICE_COLUMNS, capacity, (c, row, isOld) => {
    const last = tag(c.segment[row]!, c.portProto[row]!);
    const key = [c.a0[row]!, c.a1[row]!, c.a2[row]!, c.a3[row]!, last] as const;
    if (!isOld) index.set(...key, row);
    else if (index.find(...key) === row) index.delete(...key);
  });
  return {
    ...table,
    ...table.columns,
    find: (segment, a0, a1, a2, a3, portProto) => index.find(a0, a1, a2, a3, tag(segment, portProto)),
  };
}

/** States of an endpoint. */
export const ENDPOINT_READY = 1;
export const ENDPOINT_DRAINING = 2;

const ENDPOINT_COLUMNS = ['state', 'a0', 'a1', 'a2', 'a3', 'port', 'epoch'] as const;
/** One row an endpoint of a Service port. `epoch` differs from that of every earlier endpoint with this row. */
export type Endpoints = StaticTable & Columns<(typeof ENDPOINT_COLUMNS)[number]>;

export function createEndpoints(alloc: Alloc, capacity: number): Endpoints {
  const table = createStaticTable(alloc, 'endpoints', ENDPOINT_COLUMNS, capacity);
  return { ...table, ...table.columns };
}

/** Runs of rows that name endpoints. */
export type Backends = StaticTable & Columns<'endpoint'>;

export function createBackends(alloc: Alloc, capacity: number): Backends {
  const table = createStaticTable(alloc, 'backends', ['endpoint'], capacity);
  return { ...table, ...table.columns };
}

const RANGE_COLUMNS = ['inUse', 'base', 'bits'] as const;
/** Runs of IPv4 prefixes that may come to a load balancer's address. */
export type SourceRanges = StaticTable & Columns<(typeof RANGE_COLUMNS)[number]>;

export function createSourceRanges(alloc: Alloc, capacity: number): SourceRanges {
  const table = createStaticTable(alloc, 'ranges', RANGE_COLUMNS, capacity);
  return { ...table, ...table.columns };
}
