/**
 * The image: all rows of all static tables as they should be, by a key that says what each is for. `master-copy.ts` turns
 * two images into the rows that changed.
 *
 * Rows name each other by ids that live as long as the key does; {@link Ids} gives them out.
 */
import { STATIC_NAMES, type StaticName } from '../tables/tables.js';

/** Key → words of the row, in the order of the table's columns. */
export type TableImage = Map<string, Int32Array>;
export type Image = Record<StaticName, TableImage>;

export const emptyImage = (): Image =>
  Object.fromEntries(STATIC_NAMES.map((name) => [name, new Map()])) as unknown as Image;

/** Small ids for keys, one space a table. Id 0 is nobody's. */
export class Ids {
  readonly #byKey: Record<StaticName, Map<string, number>>;
  readonly #byId: Record<StaticName, string[]>;
  readonly #capacity: Record<StaticName, number>;

  constructor(capacity: Record<StaticName, number>) {
    const each = <T>(make: () => T): Record<StaticName, T> =>
      Object.fromEntries(STATIC_NAMES.map((name) => [name, make()])) as Record<StaticName, T>;
    this.#byKey = each(() => new Map<string, number>());
    this.#byId = each(() => ['']);
    this.#capacity = capacity;
  }

  /** The id of a key, given out at its first use. @throws RangeError when the table is full */
  of(table: StaticName, key: string): number {
    const known = this.#byKey[table].get(key);
    if (known !== undefined) return known;
    const ids = this.#byId[table];
    let id = ids.indexOf('', 1);
    if (id < 0) id = ids.length;
    if (id >= this.#capacity[table])
      throw new RangeError(`Cannot add "${key}": table ${table} holds ${this.#capacity[table] - 1} rows`);
    ids[id] = key;
    this.#byKey[table].set(key, id);
    return id;
  }

  /** The key behind an id, or undefined. */
  keyOf(table: StaticName, id: number): string | undefined {
    return this.#byId[table][id] || undefined;
  }

  /** Let go of a key: its id may be given out again. */
  free(table: StaticName, key: string): void {
    const id = this.#byKey[table].get(key);
    if (id === undefined) return;
    this.#byKey[table].delete(key);
    this.#byId[table][id] = '';
  }

  /** Keys that have an id. */
  keys(table: StaticName): IterableIterator<string> {
    return this.#byKey[table].keys();
  }
}
