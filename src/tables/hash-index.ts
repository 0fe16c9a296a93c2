/**
 * From five words to the row that has them: open addressing in flat memory.
 *
 * Theory of operation. A slot holds the five words of a key and a row id; id 0 marks an empty slot, so rows are numbered
 * from 1. A key lies at its hash or in the next free slot behind (linear probing); removal shifts later keys back, so that
 * a look-up may stop at the first empty slot. Twice as many slots as rows: a look-up touches 1.5 slots on average. The
 * index never fills up: its table refuses rows first.
 *
 * The hash is seeded, since keys hold addresses that strangers choose.
 */
import { powerOfTwo, type Alloc } from './memory.js';

const SLOT = 6;

export class HashIndex {
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #seed: number;

  /** @param rows  most keys it will ever hold */
  constructor(alloc: Alloc, rows: number, seed: number) {
    const slots = powerOfTwo(rows * 2);
    this.#slots = new Int32Array(alloc(slots * SLOT * 4));
    this.#mask = slots - 1;
    this.#seed = seed | 0;
  }

  /** The row of a key, or 0. */
  find(k0: number, k1: number, k2: number, k3: number, k4: number): number {
    const slots = this.#slots;
    for (let i = hash5(this.#seed, k0, k1, k2, k3, k4) & this.#mask; ; i = (i + 1) & this.#mask) {
      const at = i * SLOT;
      const row = slots[at + 5]!;
      if (row === 0) return 0;
      if (
        slots[at + 3] === k3 &&
        slots[at + 2] === k2 &&
        slots[at + 1] === k1 &&
        slots[at] === k0 &&
        slots[at + 4] === k4
      )
        return row;
    }
  }

  /** Bind a key to a row (> 0); a key that is there already is bound anew. */
  set(k0: number, k1: number, k2: number, k3: number, k4: number, row: number): void {
    const slots = this.#slots;
    let i = hash5(this.#seed, k0, k1, k2, k3, k4) & this.#mask;
    while (slots[i * SLOT + 5] !== 0 && !this.#isAt(i, k0, k1, k2, k3, k4)) i = (i + 1) & this.#mask;
    const at = i * SLOT;
    slots[at] = k0;
    slots[at + 1] = k1;
    slots[at + 2] = k2;
    slots[at + 3] = k3;
    slots[at + 4] = k4;
    slots[at + 5] = row;
  }

  /** Forget a key; one that is not there changes nothing. */
  delete(k0: number, k1: number, k2: number, k3: number, k4: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = hash5(this.#seed, k0, k1, k2, k3, k4) & mask;
    while (!this.#isAt(hole, k0, k1, k2, k3, k4)) {
      if (slots[hole * SLOT + 5] === 0) return;
      hole = (hole + 1) & mask;
    }
    for (let i = (hole + 1) & mask; slots[i * SLOT + 5] !== 0; i = (i + 1) & mask) {
      const at = i * SLOT;
      const home =
        hash5(this.#seed, slots[at]!, slots[at + 1]!, slots[at + 2]!, slots[at + 3]!, slots[at + 4]!) & mask;
      // Move back whoever lies at least as far from home as from the hole.
      if (((i - home) & mask) >= ((i - hole) & mask)) {
        slots.copyWithin(hole * SLOT, at, at + SLOT);
        hole = i;
      }
    }
    slots[hole * SLOT + 5] = 0;
  }

  #isAt(i: number, k0: number, k1: number, k2: number, k3: number, k4: number): boolean {
    const slots = this.#slots;
    const at = i * SLOT;
    return (
      slots[at + 5] !== 0 &&
      slots[at] === k0 &&
      slots[at + 1] === k1 &&
      slots[at + 2] === k2 &&
      slots[at + 3] === k3 &&
      slots[at + 4] === k4
    );
  }
}

/** One step of a murmur3-like mix of a word into a hash. */
export const mix = (hash: number, word: number): number => {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
};

/** The end of a murmur3-like hash: spread all bits into the low ones. */
export const avalanche = (hash: number): number => {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
};

const hash5 = (seed: number, k0: number, k1: number, k2: number, k3: number, k4: number): number =>
  avalanche(mix(mix(mix(mix(mix(seed, k0), k1), k2), k3), k4));
