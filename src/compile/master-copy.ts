/**
 * The control side's copy of the static tables: from the image that is to the image that should be.
 *
 * Theory of operation. {@link MasterCopy.plan} compares a new image with the last one and gives the rows that differ, as one
 * transaction. Ids of keys that are gone stay taken until the worker has seen the transaction ({@link MasterCopy.seen}): an
 * id used again too early would send a stranger's packets.
 */
import type { RowChange } from '../tables/update-ring.js';
import { STATIC_NAMES, type StaticName } from '../tables/tables.js';
import { emptyImage, Ids, type Image } from './image.js';

export interface Plan {
  readonly changes: RowChange[];
  /** Keys whose ids may be used again once the changes are seen. */
  readonly gone: readonly (readonly [StaticName, string])[];
}

export class MasterCopy {
  readonly ids: Ids;
  #image: Image = emptyImage();

  constructor(capacities: Record<StaticName, number>) {
    this.ids = new Ids(capacities);
  }

  /** What must change so that the tables are as `image` says. The copy is so from now on. */
  plan(image: Image): Plan {
    const changes: RowChange[] = [];
    const gone: [StaticName, string][] = [];
    for (const [table, name] of STATIC_NAMES.entries()) {
      const before = this.#image[name];
      const after = image[name];
      for (const [key, words] of before) {
        if (after.has(key)) continue;
        changes.push({ table, row: this.ids.of(name, key), words: new Int32Array(words.length) });
        gone.push([name, key]);
      }
      for (const [key, words] of after) {
        const old = before.get(key);
        if (old && old.every((word, i) => word === words[i])) continue;
        changes.push({ table, row: this.ids.of(name, key), words });
      }
    }
    this.#image = image;
    return { changes, gone };
  }

  /** The worker has applied a plan. A key that came back in between keeps its id. */
  seen(plan: Plan): void {
    for (const [name, key] of plan.gone) if (!this.#image[name].has(key)) this.ids.free(name, key);
  }
}
