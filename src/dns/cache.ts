/**
 * Answers of upstreams, kept for a while. RFC 1035 §7.4, RFC 2181 §8, RFC 2308 §5.
 *
 * Theory of operation. An answer is kept under its question, small letters, together with what of EDNS and the header changes
 * an answer (DO, CD). It holds as long as its shortest TTL says, a denial as long as its SOA says, neither longer than
 * {@link MAX_TTL}: what changes upstream is seen soon, as in a cluster with CoreDNS' usual settings. What is given out has its
 * TTLs reduced by its age. The cache is bounded in bytes; the answer that was longest not asked for goes first.
 */
import { i32, setU32 } from '../wire/dns.js';
import type { Question } from './resolver.js';
import type { Response } from './response.js';

/** Seconds. */
export const MAX_TTL = 30;
const MAX_BYTES = 8 << 20;
const ENTRY_BYTES = 300;

interface Entry {
  readonly message: Uint8Array;
  readonly ttlOffsets: readonly number[];
  readonly isDenial: boolean;
  readonly storedMs: number;
  readonly endMs: number;
}

export interface Cached {
  readonly message: Uint8Array;
  readonly isDenial: boolean;
}

export class AnswerCache {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;
  readonly #maxBytes: number;
  #bytes = 0;
  #denials = 0;

  /** @param now  milliseconds that only go forward */
  constructor(now: () => number, maxBytes = MAX_BYTES) {
    this.#now = now;
    this.#maxBytes = maxBytes;
  }

  /** How many answers and denials are kept. */
  get sizes(): { success: number; denial: number } {
    return { success: this.#entries.size - this.#denials, denial: this.#denials };
  }

  get(key: string): Cached | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const now = this.#now();
    if (now >= entry.endMs) {
      this.#remove(key, entry);
      return undefined;
    }
    // Last in the order of use.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const message = Uint8Array.from(entry.message);
    const age = Math.floor((now - entry.storedMs) / 1000);
    for (const at of entry.ttlOffsets)
      setU32(message, at, Math.max(0, Math.min(MAX_TTL, Math.max(0, i32(message, at))) - age));
    return { message, isDenial: entry.isDenial };
  }

  /** Keep a response, if it is one that may be kept. */
  put(key: string, message: Uint8Array, response: Response): void {
    const { ttl, ttlOffsets, isDenial } = response;
    const cost = message.length + ENTRY_BYTES;
    if (ttl === 0 || cost > this.#maxBytes / 8) return;
    const before = this.#entries.get(key);
    if (before) this.#remove(key, before);
    const storedMs = this.#now();
    const endMs = storedMs + Math.min(ttl, MAX_TTL) * 1000;
    this.#entries.set(key, { message: Uint8Array.from(message), ttlOffsets, isDenial, storedMs, endMs });
    this.#bytes += cost;
    if (isDenial) this.#denials++;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(oldest, entry);
    }
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.message.length + ENTRY_BYTES;
    if (entry.isDenial) this.#denials--;
  }
}

/** Under what an answer is kept. */
export function cacheKey({ bytes, dnssecOk, checkingDisabled }: Question): string {
  const small = Uint8Array.from(bytes);
  // Type and class are the last four bytes.
  for (let i = 0; i < small.length - 4; i++) if (small[i]! >= 0x41 && small[i]! <= 0x5a) small[i]! |= 0x20;
  return `${dnssecOk ? 'd' : ''}${checkingDisabled ? 'c' : ''}:${Buffer.from(small).toString('latin1')}`;
}
