/**
 * The store, naively: every revision's whole state in memory.
 */
import type {
  Compare,
  KeyValue,
  RangeOptions,
  RangeResult,
  StoreEvent,
  TxnResult,
  Write,
} from '../../src/server/store/store.js';

export class NaiveStore {
  revision = 1;
  compacted = 0;
  readonly events: StoreEvent[] = [];
  readonly #states = new Map<number, Map<string, KeyValue>>([
    [0, new Map()],
    [1, new Map()],
  ]);

  get(key: string): KeyValue | undefined {
    return this.#states.get(this.revision)!.get(key);
  }

  range(
    prefix: string,
    { limit = Infinity, after = '', revision = this.revision }: RangeOptions,
  ): RangeResult {
    const all = [...this.#states.get(revision)!.values()]
      .filter(({ key }) => key.startsWith(prefix) && key > after)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    return { items: all.slice(0, limit), revision, more: all.length > limit };
  }

  txn(compares: readonly Compare[], writes: readonly Write[]): TxnResult {
    const failed = compares.find(({ key, modRevision }) => (this.get(key)?.modRevision ?? 0) !== modRevision);
    if (failed) return { succeeded: false, revision: this.revision, failed };
    const state = new Map(this.#states.get(this.revision));
    const next = this.revision + 1;
    let hasWritten = false;
    for (const { key, value } of writes) {
      const previous = state.get(key);
      if (value === undefined && !previous) continue;
      const current =
        value === undefined
          ? undefined
          : {
              key,
              value,
              createRevision: previous?.createRevision ?? next,
              modRevision: next,
              version: (previous?.version ?? 0) + 1,
            };
      if (current) state.set(key, current);
      else state.delete(key);
      this.events.push({ key, revision: next, current, previous });
      hasWritten = true;
    }
    if (hasWritten) this.#states.set((this.revision = next), state);
    return { succeeded: true, revision: this.revision };
  }

  compact(revision: number): void {
    this.compacted = Math.max(this.compacted, revision);
  }
}
