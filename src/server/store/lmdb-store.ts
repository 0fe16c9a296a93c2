/**
 * The store on LMDB, in one folder of this machine.
 *
 * Theory of operation. Three tables:
 *
 *     keys     key      → value, createRevision, modRevision, version     the present
 *     history  revision → its writes, each with what stood there before   until compacted
 *     meta     name     → revision, compacted
 *
 * Transactions wait in a queue until the event loop's turn ends and are committed together, with one flush to disk
 * (two fdatasync, about 0.3 ms on an SSD, during which this thread waits; 200 writes at once then cost one flush).
 * Within a batch each sees what those before it wrote. When the commit fails, all of the batch have failed and nothing
 * was written: LMDB switches from one root page to the next only after the pages behind it are on disk. So neither
 * kill -9 nor a full disk leaves half a transaction. (lmdb's own asynchronous `transaction(callback)` never called back
 * on Node 20, version 3.5.6, therefore the queue.)
 *
 * After the commit, watchers hear of the batch, before its promises are fulfilled: who awaits its own write finds it
 * in every cache. A watcher that asked to be told no more, or began in the past, is behind: it has a place in the
 * history, reads on from there a little each turn of the event loop, and is current when it comes to the end. Its place
 * may be compacted while it rests; then it hears of that.
 *
 * The state at an older revision is the present with the history since then undone. History is compacted when twice
 * KEEP_REVISIONS have gathered; who watches from before that gets a CompactedError and lists again. One process owns
 * the folder.
 */
import { statfsSync } from 'node:fs';
import { open, type Database, type RootDatabase } from 'lmdb';
import { groupBy } from '../../control/group.js';
import {
  CompactedError,
  StoreError,
  type Compare,
  type KeyValue,
  type RangeOptions,
  type RangeResult,
  type Store,
  type StoreEvent,
  type TxnResult,
  type Watch,
  type WatchOptions,
  type Write,
} from './store.js';

/** Revisions of history that are kept at least. */
const KEEP_REVISIONS = 10_000;
/** Revisions that one transaction of a compaction forgets, so that none takes long. */
const COMPACT_STEP = 1_000;
/** Revisions of history that a watcher that is behind reads in one turn of the event loop. */
const CATCH_UP_STEP = 200;
/** A disk with less room than this is full. */
const FULL_BYTES = 1 << 20;

type Stored = Omit<KeyValue, 'key'>;

interface Watcher {
  readonly options: WatchOptions;
  /** The first revision it has not been told of, while it is behind. */
  next: number;
  isCurrent: boolean;
  isPaused: boolean;
  /** Whether it is to read on in a later turn. */
  isDue: boolean;
}

interface Pending {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  resolve(result: TxnResult): void;
  reject(error: Error): void;
}

export interface LmdbStoreOptions {
  /** The folder; made when it is missing. */
  path: string;
  keepRevisions?: number;
}

/** Open the store; make it when there is none. */
export function openLmdbStore(options: LmdbStoreOptions): Store {
  return new LmdbStore(options);
}

class LmdbStore implements Store {
  readonly #env: RootDatabase;
  readonly #keys: Database<Stored, string>;
  readonly #history: Database<StoreEvent[], number>;
  readonly #meta: Database<number, string>;
  readonly #path: string;
  readonly #keep: number;
  readonly #watchers = new Set<Watcher>();
  #queue: Pending[] = [];
  #turn: NodeJS.Immediate | undefined;
  #compacting: Promise<void> | undefined;
  #isClosed = false;
  #revision: number;
  #compacted: number;

  constructor({ path, keepRevisions = KEEP_REVISIONS }: LmdbStoreOptions) {
    this.#path = path;
    this.#keep = keepRevisions;
    this.#env = open({ path, noSubdir: false, maxDbs: 3, overlappingSync: false });
    this.#keys = this.#env.openDB({ name: 'keys' });
    this.#history = this.#env.openDB({ name: 'history' });
    this.#meta = this.#env.openDB({ name: 'meta' });
    // As in etcd an empty store has revision 1: 0 means "no such key" and "any version".
    this.#revision = this.#meta.get('revision') ?? 1;
    this.#compacted = this.#meta.get('compacted') ?? 0;
  }

  get revision(): number {
    return this.#revision;
  }

  get compacted(): number {
    return this.#compacted;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    return this.#read(key);
  }

  async range(prefix: string, options: RangeOptions = {}): Promise<RangeResult> {
    const { limit = Infinity, after } = options;
    const revision = options.revision ?? this.#revision;
    if (revision > this.#revision) {
      throw new RangeError(`revision ${revision} is yet to come, the newest is ${this.#revision}`);
    }
    const undone = this.#undo(prefix, revision);
    const start = after !== undefined && after >= prefix ? after : prefix;
    const items: KeyValue[] = [];
    for (const { key, value } of this.#keys.getRange({ start, end: prefix + '\uffff' })) {
      if (key === after || undone.has(key)) continue;
      items.push({ key, ...value });
      // Those that were undone may come before this one; they are merged below.
      if (items.length > limit) break;
    }
    for (const [key, value] of undone) {
      if (value && (after === undefined || key > after)) items.push(value);
    }
    if (undone.size > 0) items.sort((a, b) => (a.key < b.key ? -1 : 1));
    return { items: items.slice(0, limit), revision, more: items.length > limit };
  }

  async count(prefix: string, after?: string): Promise<number> {
    const end = prefix + '\uffff';
    if (after === undefined || after < prefix) return this.#keys.getKeysCount({ start: prefix, end });
    return this.#keys.getKeysCount({ start: after + '\0', end });
  }

  /** What has changed below a prefix since a revision: each key with what it was then. */
  #undo(prefix: string, revision: number): Map<string, KeyValue | undefined> {
    const undone = new Map<string, KeyValue | undefined>();
    if (revision === this.#revision) return undone;
    for (const event of this.#eventsFrom(revision + 1, prefix)) {
      if (!undone.has(event.key)) undone.set(event.key, event.previous);
    }
    return undone;
  }

  #eventsFrom(revision: number, prefix: string): StoreEvent[] {
    if (revision <= this.#compacted) throw new CompactedError(revision - 1, this.#compacted);
    const events: StoreEvent[] = [];
    for (const { value } of this.#history.getRange({ start: revision })) {
      for (const event of value) if (event.key.startsWith(prefix)) events.push(event);
    }
    return events;
  }

  txn(compares: readonly Compare[], writes: readonly Write[]): Promise<TxnResult> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new StoreError('the store is closed'));
      this.#queue.push({ compares, writes, resolve, reject });
      this.#turn ??= setImmediate(() => this.#commit());
    });
  }

  #commit(): void {
    const batch = this.#queue;
    this.#queue = [];
    this.#turn = undefined;
    let revision = this.#revision;
    const events: StoreEvent[] = [];
    let results: TxnResult[];
    try {
      results = this.#env.transactionSync(() =>
        batch.map((pending) => {
          const result = this.#run(pending, revision, events);
          revision = result.revision;
          return result;
        }),
      );
    } catch (cause) {
      const error = this.#explain(cause);
      for (const { reject } of batch) reject(error);
      return;
    }
    this.#revision = revision;
    this.#tell(events);
    batch.forEach(({ resolve }, i) => resolve(results[i]!));
    if (revision - Math.max(this.#compacted, 1) > 2 * this.#keep) {
      // Best effort: when there is no room to forget, the next write tries again.
      this.compact(revision - this.#keep).catch(() => {});
    }
  }

  /** One transaction, inside of LMDB's. */
  #run({ compares, writes }: Pending, revision: number, events: StoreEvent[]): TxnResult {
    const failed = compares.find(
      ({ key, modRevision }) => (this.#keys.get(key)?.modRevision ?? 0) !== modRevision,
    );
    if (failed) return { succeeded: false, revision, failed };
    const next = revision + 1;
    const written: StoreEvent[] = [];
    for (const { key, value } of writes) {
      const previous = this.#read(key);
      if (value === undefined) {
        if (!previous) continue;
        this.#keys.remove(key);
        written.push({ key, revision: next, current: undefined, previous });
        continue;
      }
      const stored: Stored = {
        value,
        createRevision: previous?.createRevision ?? next,
        modRevision: next,
        version: (previous?.version ?? 0) + 1,
      };
      this.#keys.put(key, stored);
      written.push({ key, revision: next, current: { key, ...stored }, previous });
    }
    if (written.length === 0) return { succeeded: true, revision };
    this.#history.put(next, written);
    this.#meta.put('revision', next);
    events.push(...written);
    return { succeeded: true, revision: next };
  }

  #read(key: string): KeyValue | undefined {
    const stored = this.#keys.get(key);
    return stored && { key, ...stored };
  }

  #tell(events: readonly StoreEvent[]): void {
    if (events.length === 0) return;
    const revisions = [...groupBy(events, ({ revision }) => revision).values()];
    for (const watcher of [...this.#watchers]) if (watcher.isCurrent) this.#tellOne(watcher, revisions);
  }

  /** Tell a watcher of revisions, one after the other, until it has enough. @returns false when it has */
  #tellOne(watcher: Watcher, revisions: Iterable<readonly StoreEvent[]>): boolean {
    const { prefix, from, events: told } = watcher.options;
    for (const events of revisions) {
      const { revision } = events[0]!;
      if (revision < from) continue;
      if (watcher.isPaused) {
        watcher.isCurrent = false;
        watcher.next = revision;
        return false;
      }
      const mine = events.filter(({ key }) => key.startsWith(prefix));
      if (mine.length > 0) told.call(watcher.options, mine);
      if (!this.#watchers.has(watcher)) return false;
    }
    return true;
  }

  watch(options: WatchOptions): Watch {
    const watcher: Watcher = {
      options,
      next: options.from,
      isCurrent: options.from > this.#revision,
      isPaused: false,
      isDue: !(options.from > this.#revision),
    };
    this.#watchers.add(watcher);
    // Told after this call has returned, and before anything newer, which comes in a later turn of the event loop.
    if (watcher.isDue) queueMicrotask(() => this.#catchUp(watcher));
    return {
      get isCurrent() {
        return watcher.isCurrent;
      },
      pause() {
        watcher.isPaused = true;
      },
      resume: () => {
        watcher.isPaused = false;
        if (!watcher.isCurrent) this.#catchUpLater(watcher);
      },
      close: () => void this.#watchers.delete(watcher),
    };
  }

  #catchUpLater(watcher: Watcher): void {
    if (watcher.isDue) return;
    watcher.isDue = true;
    setImmediate(() => this.#catchUp(watcher));
  }

  /** Tell a watcher that is behind some of what it has missed. */
  #catchUp(watcher: Watcher): void {
    watcher.isDue = false;
    if (watcher.isPaused || this.#isClosed || !this.#watchers.has(watcher)) return;
    if (this.#isForgotten(watcher)) return this.#fail(watcher);
    const last = Math.min(this.#revision, watcher.next + CATCH_UP_STEP - 1);
    const history = this.#history.getRange({ start: watcher.next, end: last + 1 });
    if (
      !this.#tellOne(
        watcher,
        history.map(({ value }) => value),
      )
    )
      return;
    watcher.next = last + 1;
    if (watcher.next > this.#revision) watcher.isCurrent = true;
    else this.#catchUpLater(watcher);
  }

  #isForgotten({ isCurrent, next }: Watcher): boolean {
    return !isCurrent && next <= this.#compacted;
  }

  #fail(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    watcher.options.failed(new CompactedError(watcher.next - 1, this.#compacted));
  }

  async compact(revision: number): Promise<void> {
    if (this.#compacting) await this.#compacting;
    this.#compacting = this.#compactTo(Math.min(revision, this.#revision));
    try {
      await this.#compacting;
    } finally {
      this.#compacting = undefined;
    }
  }

  async #compactTo(revision: number): Promise<void> {
    while (this.#compacted < revision && !this.#isClosed) {
      const to = Math.min(revision, Math.max(this.#compacted, 1) + COMPACT_STEP);
      try {
        this.#env.transactionSync(() => {
          for (const key of [...this.#history.getKeys({ end: to + 1 })]) this.#history.remove(key);
          this.#meta.put('compacted', to);
        });
      } catch (cause) {
        throw this.#explain(cause);
      }
      this.#compacted = to;
      for (const watcher of [...this.#watchers]) if (this.#isForgotten(watcher)) this.#fail(watcher);
      await new Promise(setImmediate);
    }
  }

  #explain(cause: unknown): StoreError {
    const why = cause instanceof Error ? cause.message.split(':')[0]! : String(cause);
    // A page of which only a part found room is an "Input/output error" to LMDB.
    const { bavail, bsize } = statfsSync(this.#path);
    const isFull =
      why === 'No space left on device' || (why === 'Input/output error' && bavail * bsize < FULL_BYTES);
    return new StoreError(isFull ? `no space left on the disk of "${this.#path}"` : why, cause);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    if (this.#turn) {
      clearImmediate(this.#turn);
      this.#commit();
    }
    this.#isClosed = true;
    this.#watchers.clear();
    await this.#compacting?.catch(() => {});
    await this.#env.close();
  }
}
