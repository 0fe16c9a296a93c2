/**
 * What has changed between two lists of objects. An object that has changed is another one: it is known by identity.
 */
import { keyOf, type ApiObject } from '../api/types.js';

/** Told of an object that is there now (1), or no more (-1); of one that was replaced first -1, then 1. */
export type Change<T> = (object: T, by: 1 | -1) => void;

export class TrackedObjects<T extends ApiObject> {
  #known = new Map<string, T>();

  /** @returns how many objects have come, gone, or changed */
  sync(objects: readonly T[], change: Change<T>): number {
    let changes = 0;
    for (const object of objects) {
      const key = keyOf(object);
      const before = this.#known.get(key);
      if (before === object) continue;
      if (before) change(before, -1);
      this.#known.set(key, object);
      change(object, 1);
      changes++;
    }
    if (this.#known.size === objects.length) return changes;
    const there = new Set(objects.map(keyOf));
    for (const [key, object] of this.#known) {
      if (there.has(key)) continue;
      this.#known.delete(key);
      change(object, -1);
      changes++;
    }
    return changes;
  }
}
