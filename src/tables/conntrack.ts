/**
 * Conntrack: the flows a host knows.
 *
 * Theory of operation. A flow has two sides: `ini`, who began it, and `tgt`, who was meant. Its row holds one tuple for
 * each direction: the packets that `ini` sends, and those that come back to it. Each tuple is a node in a hash chain;
 * node number = row × 2 + direction, so a look-up tells both. A row is *made* when a flow's first packet has passed the
 * whole path, *refreshed* by each packet, and *ends* `timeoutMs` after its last one: a look-up ignores it from then on, and
 * a hand that passes over a few rows each batch takes it away.
 *
 * When no row is free, the hand looks at the next {@link EVICTION_SCAN} rows and ends the first that fits best: one that has
 * timed out, else one that never saw a reply, else the one that was silent longest. Evictions are counted.
 *
 * What a flow's packets rely on is remembered with the epoch it had (`ROUTE`, `ROUTE_EPOCH`, one pair a direction); who uses
 * it compares. Rows lie in one piece of 192 bytes, three cache lines.
 */
import { avalanche, mix } from './hash-index.js';
import { powerOfTwo, type Alloc } from './memory.js';

/** Words of a row. A tuple: source, destination (four words each), ports (`src << 16 | dst`), zone (`segment << 8 | protocol`). */
export const TUPLE_WORDS = 10;
const HASH = 20;
const NEXT = 22;
/** Protocol state; 0 marks a free row. */
export const STATE = 24;
export const SEEN_MS = 25;
export const TIMEOUT_MS = 26;
export const FLAGS = 27;
/** One word a direction. */
export const ROUTE = 28;
export const ROUTE_EPOCH = 30;
const DOUBLES = 32;
/** The endpoint that the flow was given, and the epoch it had; 0: none. */
export const ENDPOINT = 40;
export const ENDPOINT_EPOCH = 41;
/** The frontend that it came to; 0: none. */
export const SERVICE = 42;
export const ROW_WORDS = 48;

/** Bits of {@link FLAGS}. */
export const FLAG_REPLIED = 1;
/** A FIN was seen from `ini`, from `tgt`. */
export const FLAG_FIN_INI = 2;
export const FLAG_FIN_TGT = 4;

/** Values of {@link STATE}; how they follow each other: dataplane/conntrack/states.ts. */
export const SYN_SENT = 1;
export const SYN_RECEIVED = 2;
export const ESTABLISHED = 3;
export const CLOSING = 4;
export const TIME_WAIT = 5;
export const CLOSED = 6;
export const UNREPLIED = 7;
export const REPLIED = 8;

export const STATE_NAMES = [
  'free',
  'syn-sent',
  'syn-received',
  'established',
  'closing',
  'time-wait',
  'closed',
  'unreplied',
  'replied',
] as const;

/** Directions. */
export const FROM_INI = 0;
export const FROM_TGT = 1;

const EVICTION_SCAN = 64;

export class Conntrack {
  readonly capacity: number;
  /** All rows; word `w` of a row lies at `row * ROW_WORDS + w`. */
  readonly words: Int32Array;
  /** Packets and bytes of each direction; see {@link packetsAt}. */
  readonly doubles: Float64Array;
  readonly #heads: Int32Array;
  readonly #mask: number;
  readonly #seed: number;
  #fresh = 1;
  #free = 0;
  #hand = 0;
  /** Rows in use. */
  size = 0;
  /** How often a live flow had to give way. */
  evicted = 0;

  constructor(alloc: Alloc, capacity: number, seed: number) {
    const buffer = alloc(capacity * ROW_WORDS * 4);
    this.capacity = capacity;
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
    const heads = powerOfTwo(capacity * 2);
    this.#heads = new Int32Array(alloc(heads * 4));
    this.#mask = heads - 1;
    this.#seed = seed | 0;
  }

  /** The seeded hash of a tuple. */
  hash(
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    zone: number,
  ): number {
    let h = mix(mix(mix(mix(this.#seed, s3), d3), ports), zone);
    // An IPv4 flow has the same upper words as every other.
    if ((s0 | s1 | d0 | d1) !== 0) h = mix(mix(mix(mix(mix(mix(h, s0), s1), s2), d0), d1), d2);
    return avalanche(h);
  }

  /**
   * The node of a tuple whose hash is `hash`: `row * 2 + direction`, or 0 when there is no such flow or it has timed out.
   */
  find(
    hash: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    zone: number,
    nowMs: number,
  ): number {
    const words = this.words;
    let node = this.#heads[hash & this.#mask]!;
    while (node !== 0) {
      const at = (node >> 1) * ROW_WORDS;
      const direction = node & 1;
      const tuple = at + direction * TUPLE_WORDS;
      if (
        words[at + HASH + direction] === hash &&
        words[tuple + 3] === s3 &&
        words[tuple + 7] === d3 &&
        words[tuple + 8] === ports &&
        words[tuple + 9] === zone &&
        words[tuple] === s0 &&
        words[tuple + 1] === s1 &&
        words[tuple + 2] === s2 &&
        words[tuple + 4] === d0 &&
        words[tuple + 5] === d1 &&
        words[tuple + 6] === d2
      )
        return this.isAlive(node >> 1, nowMs) ? node : 0;
      node = words[at + NEXT + direction]!;
    }
    return 0;
  }

  /** Whether a row in use has not timed out. */
  isAlive(row: number, nowMs: number): boolean {
    const at = row * ROW_WORDS;
    return ((nowMs - this.words[at + SEEN_MS]!) | 0) < this.words[at + TIMEOUT_MS]!;
  }

  /**
   * Take a row for a new flow; the caller then writes both tuples with {@link setTuple} and links it with {@link link}.
   *
   * @returns a row whose words are all 0 but the tuples; give it back with {@link discard} if it is not linked
   */
  take(nowMs: number): number {
    if (this.#free === 0 && this.#fresh === this.capacity) this.#evict(nowMs);
    let row = this.#free;
    if (row !== 0) this.#free = this.words[row * ROW_WORDS + NEXT]!;
    else row = this.#fresh++;
    this.words.fill(0, row * ROW_WORDS + HASH, (row + 1) * ROW_WORDS);
    this.size++;
    return row;
  }

  /** Write the tuple of one direction of a row that is not linked. */
  setTuple(
    row: number,
    direction: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    zone: number,
  ): void {
    const words = this.words;
    const tuple = row * ROW_WORDS + direction * TUPLE_WORDS;
    words[tuple] = s0;
    words[tuple + 1] = s1;
    words[tuple + 2] = s2;
    words[tuple + 3] = s3;
    words[tuple + 4] = d0;
    words[tuple + 5] = d1;
    words[tuple + 6] = d2;
    words[tuple + 7] = d3;
    words[tuple + 8] = ports;
    words[tuple + 9] = zone;
    words[row * ROW_WORDS + HASH + direction] = this.hash(s0, s1, s2, s3, d0, d1, d2, d3, ports, zone);
  }

  /** The hash of one direction's tuple, as {@link setTuple} computed it. */
  hashOf(row: number, direction: number): number {
    return this.words[row * ROW_WORDS + HASH + direction]!;
  }

  /** Put both directions of a row into their chains. */
  link(row: number): void {
    for (let direction = 0; direction < 2; direction++) {
      const at = row * ROW_WORDS;
      const head = this.words[at + HASH + direction]! & this.#mask;
      this.words[at + NEXT + direction] = this.#heads[head]!;
      this.#heads[head] = row * 2 + direction;
    }
  }

  /** Give back a row that was taken and not linked. */
  discard(row: number): void {
    this.words[row * ROW_WORDS + STATE] = 0;
    this.words[row * ROW_WORDS + NEXT] = this.#free;
    this.#free = row;
    this.size--;
  }

  /** End a flow. */
  remove(row: number): void {
    const words = this.words;
    for (let direction = 0; direction < 2; direction++) {
      const node = row * 2 + direction;
      const head = words[row * ROW_WORDS + HASH + direction]! & this.#mask;
      const after = words[row * ROW_WORDS + NEXT + direction]!;
      let at = this.#heads[head]!;
      if (at === node) this.#heads[head] = after;
      else
        for (let next = 0; at !== 0; at = next) {
          const link = (at >> 1) * ROW_WORDS + NEXT + (at & 1);
          next = words[link]!;
          if (next === node) {
            words[link] = after;
            break;
          }
        }
    }
    this.discard(row);
  }

  /** Take away what has timed out, among the next `rows` rows. */
  age(rows: number, nowMs: number): void {
    for (let i = Math.min(rows, this.#fresh - 1); i > 0; i--) {
      this.#hand = this.#hand + 1 < this.#fresh ? this.#hand + 1 : 1;
      if (this.words[this.#hand * ROW_WORDS + STATE] !== 0 && !this.isAlive(this.#hand, nowMs))
        this.remove(this.#hand);
    }
  }

  #evict(nowMs: number): void {
    const words = this.words;
    let best = 0;
    let bestScore = -1;
    for (let i = 0; i < EVICTION_SCAN && i < this.capacity - 1; i++) {
      this.#hand = (this.#hand % (this.capacity - 1)) + 1;
      const at = this.#hand * ROW_WORDS;
      if (!this.isAlive(this.#hand, nowMs)) {
        this.remove(this.#hand);
        return;
      }
      const silentMs = (nowMs - words[at + SEEN_MS]!) | 0;
      const score =
        (words[at + FLAGS]! & FLAG_REPLIED) === 0 ? 0x40000000 + (silentMs >>> 2) : silentMs >>> 2;
      if (score > bestScore) {
        bestScore = score;
        best = this.#hand;
      }
    }
    this.evicted++;
    this.remove(best);
  }
}

/** Index into {@link Conntrack.doubles} of the packets of a direction; the bytes follow. */
export const packetsAt = (row: number, direction: number): number =>
  (row * ROW_WORDS + DOUBLES) / 2 + direction * 2;
