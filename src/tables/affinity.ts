/**
 * Session affinity: which endpoint a client of a frontend was given (`sessionAffinity: ClientIP`).
 *
 * Theory of operation. An entry is made when a client's first flow is given an endpoint, and kept alive by each further *new*
 * flow; it ends when none came for the Service's timeout, or when its endpoint is no longer ready. It has a clock of its own, so it
 * outlives neither. When the table is full the next entry in turn gives way.
 */
import { HashIndex } from './hash-index.js';
import { allocColumns, type Alloc, type Columns } from './memory.js';

const COLUMNS = ['service', 'c0', 'c1', 'c2', 'c3', 'endpoint', 'epoch', 'seenMs'] as const;

export type Affinity = Columns<(typeof COLUMNS)[number]> & {
  readonly capacity: number;
  /** The row of a client, or 0. */
  find(service: number, c0: number, c1: number, c2: number, c3: number): number;
  /** Remember what a client was given. */
  put(
    service: number,
    c0: number,
    c1: number,
    c2: number,
    c3: number,
    endpoint: number,
    epoch: number,
    nowMs: number,
  ): void;
};

export function createAffinity(alloc: Alloc, capacity: number, seed: number): Affinity {
  const index = new HashIndex(alloc, capacity, seed);
  const columns = allocColumns(alloc, COLUMNS, capacity);
  let next = 0;
  return {
    ...columns,
    capacity,
    find: (service, c0, c1, c2, c3) => index.find(service, c0, c1, c2, c3),
    put(service, c0, c1, c2, c3, endpoint, epoch, nowMs) {
      let row = index.find(service, c0, c1, c2, c3);
      if (row === 0) {
        row = next = (next % (capacity - 1)) + 1;
        const { service: s } = columns;
        if (s[row] !== 0)
          index.delete(s[row]!, columns.c0[row]!, columns.c1[row]!, columns.c2[row]!, columns.c3[row]!);
        s[row] = service;
        columns.c0[row] = c0;
        columns.c1[row] = c1;
        columns.c2[row] = c2;
        columns.c3[row] = c3;
        index.set(service, c0, c1, c2, c3, row);
      }
      columns.endpoint[row] = endpoint;
      columns.epoch[row] = epoch;
      columns.seenMs[row] = nowMs;
    },
  };
}
