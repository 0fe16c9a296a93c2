/**
 * What has changed between two lists of objects. An object that has changed is another one: it is known by identity.
 *
 * Theory of operation. Lists of a view keep their order: what has changed is replaced in its place, what is new stands at
 * the end, what is gone leaves a gap. So the parts that two lists share at their ends are passed over by comparing
 * references (about 1 ns each), and only what lies between is looked at. A list that was synced must never change.
 */
import { keyOf, type ApiObject } from './types.js';

/** Told of an object that is there now (1), or no more (-1); of one that was replaced first -1, then 1. */
export type Change<T> = (object: T, by: 1 | -1) => void;

export class TrackedObjects<T extends ApiObject> {
  #known: readonly T[] = [];

  /** @returns how many objects have come, gone, or changed */
  sync(objects: readonly T[], change: Change<T>): number {
    const known = this.#known;
    if (objects === known) return 0;
    const shorter = Math.min(known.length, objects.length);
    let start = 0;
    while (start < shorter && known[start] === objects[start]) start++;
    let [to, until] = [objects.length, known.length];
    while (Math.min(to, until) > start && known[until - 1] === objects[to - 1]) {
      to--;
      until--;
    }
    const gone = new Map<string, T>();
    for (let i = start; i < until; i++) gone.set(keyOf(known[i]!), known[i]!);
    let changes = 0;
    for (let i = start; i < to; i++) {
      const object = objects[i]!;
      const key = keyOf(object);
      const before = gone.get(key);
      gone.delete(key);
      if (before === object) continue;
      if (before) change(before, -1);
      change(object, 1);
      changes++;
    }
    for (const object of gone.values()) change(object, -1);
    this.#known = objects;
    return changes + gone.size;
  }
}
