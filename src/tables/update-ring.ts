/**
 * The update ring: rows that changed, on their way from the control side to the packet worker.
 *
 * Theory of operation. One writer, one reader, shared memory. A record is one row: `table << 24 | row`, then as many words
 * as the table has columns. A *transaction* is records in a row; its end is published by one store of HEAD, so the reader
 * sees all of it or nothing. The reader applies whole transactions between two batches of packets and then stores TAIL:
 * the writer knows from it what the worker has seen, and only then closes a file descriptor or gives an id away again.
 * HEAD and TAIL count words since the start and wrap at 2^32.
 */
import type { Alloc } from './memory.js';
import type { StaticTable } from './static-table.js';

const HEAD = 0;
const TAIL = 1;
const CONTROL_WORDS = 16;

/** One row to be put. */
export interface RowChange {
  /** Place of the table in `Tables.statics`. */
  readonly table: number;
  readonly row: number;
  /** All columns; all 0 empties the row. */
  readonly words: Int32Array;
}

export class UpdateRing {
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #mask: number;
  readonly #scratch = new Int32Array(64);

  /** @param memory  what {@link UpdateRing.alloc} gave, in both threads */
  constructor(memory: ArrayBufferLike) {
    this.#control = new Int32Array(memory, 0, CONTROL_WORDS);
    this.#words = new Int32Array(memory, CONTROL_WORDS * 4);
    this.#mask = this.#words.length - 1;
  }

  /** Memory for a ring of `words` words, a power of two. */
  static alloc(alloc: Alloc, words: number): ArrayBufferLike {
    return alloc((CONTROL_WORDS + words) * 4);
  }

  /**
   * Write a transaction.
   *
   * @returns the mark that {@link isSeen} takes, or undefined when the ring has no room now: try again after the reader's turn
   * @throws RangeError when the transaction could never fit
   */
  write(changes: readonly RowChange[]): number | undefined {
    const size = changes.reduce((words, change) => words + 1 + change.words.length, 0);
    if (size > this.#words.length)
      throw new RangeError(
        `Cannot send a transaction of ${size} words: the update ring holds ${this.#words.length}`,
      );
    const head = Atomics.load(this.#control, HEAD);
    const used = (head - Atomics.load(this.#control, TAIL)) | 0;
    if (used + size > this.#words.length) return undefined;
    let at = head;
    for (const change of changes) {
      this.#words[at++ & this.#mask] = (change.table << 24) | change.row;
      for (const word of change.words) this.#words[at++ & this.#mask] = word;
    }
    Atomics.store(this.#control, HEAD, at);
    return at | 0;
  }

  /** Whether the reader has applied everything up to a mark. */
  isSeen(mark: number): boolean {
    return ((Atomics.load(this.#control, TAIL) - mark) | 0) >= 0;
  }

  /** Whether the reader has something to apply. One memory read: called each turn. */
  hasNews(): boolean {
    return Atomics.load(this.#control, HEAD) !== this.#control[TAIL];
  }

  /**
   * Apply all that is there, between two batches.
   *
   * @param onRow  called before each row is put
   */
  apply(statics: readonly StaticTable[], onRow?: (table: number, row: number) => void): void {
    const head = Atomics.load(this.#control, HEAD);
    let at = this.#control[TAIL]!;
    while (at !== head) {
      const what = this.#words[at++ & this.#mask]!;
      const table = statics[what >>> 24]!;
      const row = what & 0xffffff;
      const length = table.columnNames.length;
      for (let i = 0; i < length; i++) this.#scratch[i] = this.#words[at++ & this.#mask]!;
      at |= 0;
      onRow?.(what >>> 24, row);
      table.setRow(row, this.#scratch, 0);
    }
    Atomics.store(this.#control, TAIL, head);
  }
}
