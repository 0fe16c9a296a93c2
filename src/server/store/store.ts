/**
 * The store as the API sees it: etcd's model, so that etcd itself can stand here one day.
 *
 * There is one revision for all keys. Every transaction that writes raises it by one; all its writes carry it. A key
 * knows the revision that created it and the one that wrote it last. History is kept until it is compacted, and can be
 * watched from any revision that is still there.
 *
 * Source: https://etcd.io/docs/v3.5/learning/data_model/, https://etcd.io/docs/v3.5/learning/api/
 */

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Writes since the key was created, from 1. */
  readonly version: number;
}

/** What a transaction requires: the revision that last wrote a key; 0 when there shall be no such key. */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

/** A write; without a value the key is deleted. A key stands in at most one write of a transaction. */
export interface Write {
  readonly key: string;
  readonly value: string | undefined;
}

export type TxnResult =
  | { readonly succeeded: true; readonly revision: number }
  /** `failed` is the first comparison that does not hold. Nothing was written. */
  | { readonly succeeded: false; readonly revision: number; readonly failed: Compare };

export interface StoreEvent {
  readonly key: string;
  readonly revision: number;
  /** Absent when the key was deleted. */
  readonly current: KeyValue | undefined;
  /** Absent when the key was created. */
  readonly previous: KeyValue | undefined;
}

export interface RangeOptions {
  /** At most so many keys. */
  limit?: number;
  /** Only keys behind this one. */
  after?: string;
  /** As it was at this revision; default: now. */
  revision?: number;
}

export interface RangeResult {
  readonly items: readonly KeyValue[];
  /** The revision of which this is the state. */
  readonly revision: number;
  /** Whether the limit cut something off. */
  readonly more: boolean;
}

export interface WatchOptions {
  readonly prefix: string;
  /** The first revision to be told of. */
  readonly from: number;
  /** All events of a revision below the prefix, in order, never empty. */
  events(events: readonly StoreEvent[]): void;
  /** The watch has ended, for instance by {@link CompactedError}; no more events come. */
  failed(error: Error): void;
}

/** A watch that is open. */
export interface Watch {
  /** Whether it has been told of everything so far. */
  readonly isCurrent: boolean;
  /** Be told nothing for now. Costs no memory, whatever is written meanwhile; history goes on being compacted. */
  pause(): void;
  /** Be told of what was missed, bit by bit, and then of what comes. */
  resume(): void;
  close(): void;
}

export interface Store {
  /** The newest revision. */
  readonly revision: number;
  /** History up to and including this revision is gone; 0: none is. */
  readonly compacted: number;
  get(key: string): Promise<KeyValue | undefined>;
  /** Keys that begin with `prefix`, in order. @throws CompactedError, RangeError when the revision is yet to come */
  range(prefix: string, options?: RangeOptions): Promise<RangeResult>;
  /** How many keys begin with `prefix` and stand behind `after`. */
  count(prefix: string, after?: string): Promise<number>;
  /**
   * Write all or nothing. When the promise is fulfilled the writes are on disk.
   *
   * @throws StoreError when they could not be written; nothing was
   */
  txn(compares: readonly Compare[], writes: readonly Write[]): Promise<TxnResult>;
  watch(options: WatchOptions): Watch;
  /** Forget the history up to and including a revision. */
  compact(revision: number): Promise<void>;
  close(): Promise<void>;
}

/** The revision asked for is no longer stored. */
export class CompactedError extends Error {
  readonly compacted: number;

  constructor(revision: number, compacted: number) {
    super(`too old resource version: ${revision} (${compacted})`);
    this.name = 'CompactedError';
    this.compacted = compacted;
  }
}

/** A write failed; the disk is full, for instance. The store stays as it was and can be used on. */
export class StoreError extends Error {
  constructor(why: string, cause?: unknown) {
    super(`Cannot write to the store: ${why}`, { cause });
    this.name = 'StoreError';
  }
}
