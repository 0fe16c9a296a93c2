/**
 * Which ids from 0 to a capacity are taken, and the lowest that is free, at a cost that does not grow with how many are taken.
 *
 * Theory of operation. Level 0 has a bit an id, set while it is taken. Each level above has a bit for every word of the one below, set
 * while that word is full; the last level is one word. A look-up goes up until there is a word with room behind it, and down again: for
 * half a million ids it reads eight words at most.
 */
const WORD_BITS = 32;
const FULL = -1;

/** The lowest bit of a word that has one. */
const lowestBit = (word: number): number => WORD_BITS - 1 - Math.clz32(word & -word);

export class FreeIds {
  readonly #capacity: number;
  readonly #levels: Int32Array[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
    let length = capacity;
    do {
      length = Math.ceil(length / WORD_BITS);
      this.#levels.push(new Int32Array(length));
    } while (length > 1);
  }

  /** From now on this id is taken. */
  take(id: number): void {
    let at = id;
    for (const words of this.#levels) {
      const word = (words[at >> 5]! |= 1 << (at & 31));
      if (word !== FULL) return;
      at >>= 5;
    }
  }

  /** From now on this id is free. */
  free(id: number): void {
    let at = id;
    for (const words of this.#levels) {
      words[at >> 5]! &= ~(1 << (at & 31));
      at >>= 5;
    }
  }

  isFree(id: number): boolean {
    return id < this.#capacity && (this.#levels[0]![id >> 5]! & (1 << (id & 31))) === 0;
  }

  /** The lowest free id that is not below `from`; the capacity when there is none. */
  next(from: number): number {
    return Math.min(this.#next(0, from), this.#capacity);
  }

  #next(level: number, from: number): number {
    const words = this.#levels[level];
    const place = from >> 5;
    if (words === undefined || place >= words.length) return Infinity;
    const here = ~words[place]! & (FULL << (from & 31));
    if (here !== 0) return place * WORD_BITS + lowestBit(here);
    const above = this.#next(level + 1, place + 1);
    // Bits behind the last word of a level are those of no word.
    return above < words.length ? above * WORD_BITS + lowestBit(~words[above]!) : Infinity;
  }
}
