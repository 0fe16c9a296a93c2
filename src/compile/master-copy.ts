/**
 * The control side's copy of the static tables: from parts that changed to rows that changed.
 *
 * Theory of operation. {@link MasterCopy.plan} compares the rows of changed parts with those that are, and gives the rows that
 * differ. They are one transaction, which may be cut between parts where it is too large. Ids of keys that are gone stay taken until the worker has seen the transaction ({@link MasterCopy.seen}): an
 * id used again too early would send a stranger's packets.
 */
import type { RowChange } from '../tables/update-ring.js';
import { STATIC_NAMES, type StaticName } from '../tables/tables.js';
import { emptyImage, Ids, type Image, type PartChange } from './image.js';

export interface Plan {
  readonly changes: RowChange[];
  /** Places in `changes` before which a transaction may end. */
  readonly cuts: readonly number[];
  /** Keys whose ids may be used again once the changes are seen. */
  readonly gone: readonly (readonly [StaticName, string])[];
}

const PLACE = Object.fromEntries(STATIC_NAMES.map((name, i) => [name, i])) as Record<StaticName, number>;

export class MasterCopy {
  readonly ids: Ids;
  readonly #image: Image = emptyImage();

  constructor(capacities: Record<StaticName, number>) {
    this.ids = new Ids(capacities);
  }

  /** All rows as they are now. */
  get image(): Readonly<Image> {
    return this.#image;
  }

  /** What must change so that the tables hold the parts as they should be. The copy holds them from now on. */
  plan(parts: readonly PartChange[]): Plan {
    const changes: RowChange[] = [];
    const cuts: number[] = [];
    const left = new Set<string>();
    const after = new Set<string>();
    for (const part of parts) for (const { table, key } of part.after.rows) after.add(`${table} ${key}`);
    const gone: [StaticName, string][] = [];
    for (const part of parts) {
      for (const { table, key, words } of part.before.rows) {
        if (after.has(`${table} ${key}`) || left.has(`${table} ${key}`)) continue;
        left.add(`${table} ${key}`);
        this.#image[table].delete(key);
        gone.push([table, key]);
        changes.push({
          table: PLACE[table],
          row: this.ids.of(table, key),
          words: new Int32Array(words.length),
        });
      }
      for (const { table, key, words } of part.after.rows) {
        const old = this.#image[table].get(key);
        if (old && old.every((word, i) => word === words[i])) continue;
        this.#image[table].set(key, words);
        changes.push({ table: PLACE[table], row: this.ids.of(table, key), words });
      }
      cuts.push(changes.length);
    }
    return { changes, cuts, gone };
  }

  /** The worker has applied a plan. A key that came back in between keeps its id. */
  seen(plan: Plan): void {
    for (const [name, key] of plan.gone) if (!this.#image[name].has(key)) this.ids.free(name, key);
  }
}
