/**
 * The forwarding database: behind which port of a segment a MAC address was last seen. IEEE 802.1Q §8.8.
 *
 * Theory of operation. An entry is *learned* from a frame's source, *refreshed* by each further frame, *moved* when the
 * address shows up at another port, and *aged out* {@link AGEING_MS} after its last frame: a look-up ignores an old entry,
 * and a hand that passes over a few rows each batch takes it away. When the table is full the hand's next entry gives way,
 * old or not: forwarding to a forgotten address floods, which is slower and never wrong.
 */
import { HashIndex } from './hash-index.js';
import { allocColumns, type Alloc, type Columns } from './memory.js';

/** As long as the kernel's bridge keeps an entry by default. */
export const AGEING_MS = 300_000;

const COLUMNS = ['segment', 'macHi', 'macLo', 'port', 'seenMs'] as const;

export type Fdb = Columns<(typeof COLUMNS)[number]> & {
  readonly capacity: number;
  /** The port behind which an address was seen, or 0. */
  find(segment: number, macHi: number, macLo: number, nowMs: number): number;
  /** A frame from an address came in by `port`. */
  learn(segment: number, macHi: number, macLo: number, port: number, nowMs: number): void;
  /** Forget all of a port that is gone. */
  forgetPort(port: number): void;
  /** Take away what is too old, among the next `rows` rows. */
  age(rows: number, nowMs: number): void;
};

export function createFdb(alloc: Alloc, capacity: number, seed: number): Fdb {
  const index = new HashIndex(alloc, capacity, seed);
  const columns = allocColumns(alloc, COLUMNS, capacity);
  const { segment, macHi, macLo, port, seenMs } = columns;
  /** Rows never used yet begin here; rows given back are chained through `seenMs`. */
  let fresh = 1;
  let free = 0;
  let hand = 0;

  const remove = (row: number): void => {
    index.delete(segment[row]!, macHi[row]!, macLo[row]!, 0, 0);
    segment[row] = 0;
    seenMs[row] = free;
    free = row;
  };
  const takeRow = (): number => {
    if (free === 0 && fresh === capacity) {
      do hand = (hand % (capacity - 1)) + 1;
      while (segment[hand] === 0);
      remove(hand);
    }
    if (free === 0) return fresh++;
    const row = free;
    free = seenMs[row]!;
    return row;
  };

  return {
    ...columns,
    capacity,
    find(inSegment, hi, lo, nowMs) {
      const row = index.find(inSegment, hi, lo, 0, 0);
      return row !== 0 && ((nowMs - seenMs[row]!) | 0) < AGEING_MS ? port[row]! : 0;
    },
    learn(inSegment, hi, lo, behind, nowMs) {
      let row = index.find(inSegment, hi, lo, 0, 0);
      if (row === 0) {
        row = takeRow();
        segment[row] = inSegment;
        macHi[row] = hi;
        macLo[row] = lo;
        index.set(inSegment, hi, lo, 0, 0, row);
      }
      port[row] = behind;
      seenMs[row] = nowMs;
    },
    forgetPort(gone) {
      for (let row = 1; row < fresh; row++) if (segment[row] !== 0 && port[row] === gone) remove(row);
    },
    age(rows, nowMs) {
      for (let i = Math.min(rows, fresh - 1); i > 0; i--) {
        hand = hand + 1 < fresh ? hand + 1 : 1;
        if (segment[hand] !== 0 && ((nowMs - seenMs[hand]!) | 0) >= AGEING_MS) remove(hand);
      }
    },
  };
}
