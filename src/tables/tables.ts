/**
 * All tables of one host, and the ids by which the update ring names those that the control side writes.
 *
 * Theory of operation. The packet worker owns the tables and is their only writer. The control side keeps a master copy of
 * the static ones and sends rows that changed; `conntrack`, `fdb`, `fragments` and `counters` are the worker's own.
 */
import { createAffinity, type Affinity } from './affinity.js';
import { Conntrack } from './conntrack.js';
import { createCounters, type Counters } from './counters.js';
import { createFdb, type Fdb } from './fdb.js';
import { createFragments, type Fragments } from './fragments.js';
import type { Alloc } from './memory.js';
import { createNeighbors, type Neighbors } from './neighbors.js';
import { createPorts, type Ports } from './ports.js';
import { createRoutes, type Routes } from './routes.js';
import { createSegments, type Segments } from './segments.js';
import {
  createBackends,
  createEndpoints,
  createServices,
  createSourceRanges,
  type Backends,
  type Endpoints,
  type Services,
  type SourceRanges,
} from './services.js';
import type { StaticTable } from './static-table.js';
import { createVteps, type Vteps } from './vteps.js';

/** Rows of each table, the unused row 0 included. */
export interface Capacities {
  ports: number;
  segments: number;
  neighbors: number;
  routes: number;
  vteps: number;
  services: number;
  endpoints: number;
  backends: number;
  ranges: number;
  affinity: number;
  fdb: number;
  conntrack: number;
  fragments: number;
}

/** Enough for a host with 250 pods in a cluster of a thousand nodes and a hundred thousand Services; memory is taken when used. */
export const CAPACITIES: Capacities = {
  ports: 512,
  segments: 64,
  neighbors: 1024,
  routes: 2048,
  vteps: 1024,
  services: 1 << 18,
  endpoints: 1 << 18,
  backends: 1 << 19,
  ranges: 4096,
  affinity: 16384,
  fdb: 4096,
  conntrack: 65536,
  fragments: 256,
};

export interface Tables {
  readonly ports: Ports;
  readonly segments: Segments;
  readonly neighbors: Neighbors;
  readonly routes: Routes;
  readonly vteps: Vteps;
  readonly services: Services;
  readonly endpoints: Endpoints;
  readonly backends: Backends;
  readonly ranges: SourceRanges;
  readonly affinity: Affinity;
  readonly fdb: Fdb;
  readonly conntrack: Conntrack;
  readonly fragments: Fragments;
  readonly counters: Counters;
  /** The tables that the control side writes; a table's place is its id in the update ring. */
  readonly statics: readonly StaticTable[];
}

/** Names of the static tables in the order of {@link Tables.statics}. */
export const STATIC_NAMES = [
  'ports',
  'segments',
  'neighbors',
  'routes',
  'vteps',
  'services',
  'endpoints',
  'backends',
  'ranges',
] as const;
export type StaticName = (typeof STATIC_NAMES)[number];

/**
 * @param seed     of all hashes: different on each host, so that nobody can choose colliding keys
 * @param reasons  number of drop reasons
 */
export function createTables(
  alloc: Alloc,
  seed: number,
  reasons: number,
  capacities: Capacities = CAPACITIES,
): Tables {
  const ports = createPorts(alloc, capacities.ports);
  const segments = createSegments(alloc, capacities.segments);
  const neighbors = createNeighbors(alloc, capacities.neighbors, seed);
  const routes = createRoutes(alloc, capacities.routes, seed + 1);
  const vteps = createVteps(alloc, capacities.vteps, seed + 2);
  const services = createServices(alloc, capacities.services, seed + 6);
  const endpoints = createEndpoints(alloc, capacities.endpoints);
  const backends = createBackends(alloc, capacities.backends);
  const ranges = createSourceRanges(alloc, capacities.ranges);
  return {
    ports,
    segments,
    neighbors,
    routes,
    vteps,
    services,
    endpoints,
    backends,
    ranges,
    affinity: createAffinity(alloc, capacities.affinity, seed + 7),
    fdb: createFdb(alloc, capacities.fdb, seed + 3),
    conntrack: new Conntrack(alloc, capacities.conntrack, seed + 4),
    fragments: createFragments(alloc, capacities.fragments, seed + 5),
    counters: createCounters(alloc, capacities.ports, reasons),
    statics: [ports, segments, neighbors, routes, vteps, services, endpoints, backends, ranges],
  };
}
