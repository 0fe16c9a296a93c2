/**
 * The image: all rows of all static tables as they should be, by a key that says what each is for. It comes in *parts*, rows
 * of one origin (a Service, this host), which `compiler.ts` makes anew when their objects have changed; `master-copy.ts`
 * turns changed parts into the rows that changed.
 *
 * Rows name each other by ids that live as long as the key does; {@link Ids} gives them out.
 */
import { STATIC_NAMES, type StaticName } from '../tables/tables.js';
import { FreeIds } from './free-ids.js';

/** Key → words of the row, in the order of the table's columns. */
export type TableImage = Map<string, Int32Array>;
export type Image = Record<StaticName, TableImage>;

export const emptyImage = (): Image =>
  Object.fromEntries(STATIC_NAMES.map((name) => [name, new Map()])) as unknown as Image;

/** One row of one table. A key belongs to one part. */
export interface Row {
  readonly table: StaticName;
  readonly key: string;
  readonly words: Int32Array;
}

/** Rows of one origin. */
export class Part {
  readonly rows: Row[] = [];

  set(table: StaticName, key: string, words: Int32Array): void {
    this.rows.push({ table, key, words });
  }
}

export const NO_ROWS = new Part();

/** A part as it was, and as it should be. */
export interface PartChange {
  readonly before: Part;
  readonly after: Part;
}

/**
 * Small ids for keys, one space a table. Id 0 is nobody's; the lowest that is free is given out first.
 *
 * A *run* is ids in a row, for tables in which others name a first row and a count. Its keys hold its length: a run that grows or
 * shrinks is another run, and the old one goes when nobody can read it any more.
 */
export class Ids {
  readonly #tables: Record<StaticName, IdSpace>;

  constructor(capacity: Record<StaticName, number>) {
    this.#tables = Object.fromEntries(
      STATIC_NAMES.map((name) => [name, new IdSpace(name, capacity[name])]),
    ) as Record<StaticName, IdSpace>;
  }

  /** The id of a key, given out at its first use. @throws RangeError when the table is full */
  of(table: StaticName, key: string): number {
    return this.#tables[table].of(key);
  }

  /** A number that no other key of the table had before this one was given its id. */
  serialOf(table: StaticName, key: string): number {
    return this.#tables[table].serialOf(key);
  }

  /** The first id of a run of `length` rows, given out at its first use; 0 for an empty one. @throws RangeError when the table is full */
  run(table: StaticName, key: string, length: number): number {
    if (length === 0) return 0;
    const keys = Array.from({ length }, (_, i) => this.keyInRun(key, length, i));
    return this.#tables[table].run(keys);
  }

  /** The key of row `i` of a run. */
  keyInRun(key: string, length: number, i: number): string {
    return `${key} ${i + 1}/${length}`;
  }

  /** The key behind an id, or undefined. */
  keyOf(table: StaticName, id: number): string | undefined {
    return this.#tables[table].keyOf(id);
  }

  /** Let go of a key: its id may be given out again. */
  free(table: StaticName, key: string): void {
    this.#tables[table].free(key);
  }

  /** Keys that have an id. */
  keys(table: StaticName): IterableIterator<string> {
    return this.#tables[table].keys();
  }
}

/** The ids of one table. */
class IdSpace {
  readonly #name: StaticName;
  readonly #capacity: number;
  readonly #byKey = new Map<string, { id: number; serial: number }>();
  readonly #byId: string[] = [''];
  readonly #free: FreeIds;
  #serial = 0;

  constructor(name: StaticName, capacity: number) {
    this.#name = name;
    this.#capacity = capacity;
    this.#free = new FreeIds(capacity);
    this.#free.take(0);
  }

  of(key: string): number {
    return this.#byKey.get(key)?.id ?? this.#take([key]);
  }

  serialOf(key: string): number {
    return this.#byKey.get(key)?.serial ?? 0;
  }

  run(keys: readonly string[]): number {
    return this.#byKey.get(keys[0]!)?.id ?? this.#take(keys);
  }

  keyOf(id: number): string | undefined {
    return this.#byId[id] || undefined;
  }

  free(key: string): void {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return;
    this.#byKey.delete(key);
    this.#byId[entry.id] = '';
    this.#free.free(entry.id);
  }

  keys(): IterableIterator<string> {
    return this.#byKey.keys();
  }

  /** The lowest ids in a row that are free. */
  #take(keys: readonly string[]): number {
    let first = this.#free.next(1);
    for (let n = 1; n < keys.length && first + keys.length <= this.#capacity;) {
      if (this.#free.isFree(first + n)) n++;
      else {
        first = this.#free.next(first + n + 1);
        n = 1;
      }
    }
    if (first + keys.length > this.#capacity)
      throw new RangeError(`Cannot add "${keys[0]}": table ${this.#name} holds ${this.#capacity - 1} rows`);
    for (const [i, key] of keys.entries()) {
      this.#free.take(first + i);
      this.#byId[first + i] = key;
      this.#byKey.set(key, { id: first + i, serial: ++this.#serial });
    }
    return first;
  }
}
