/**
 * A one-way link: how long packets take, and what happens to them.
 *
 * Order is kept unless `reorder` says otherwise: jitter delays those behind too, as a queue does.
 */
import type { Events } from './events.js';
import type { Random } from './random.js';

export interface LinkOptions {
  latencyMs: number;
  /** Up to so much more, differently for each packet. */
  jitterMs: number;
  /** Probabilities, for each packet. */
  loss: number;
  duplicate: number;
  /** Overtaken by those that are sent within `reorderMs` behind it. */
  reorder: number;
  reorderMs: number;
  /** One bit of it flips, behind the first `corruptFrom` bytes. */
  corrupt: number;
  corruptFrom: number;
  /** Largest packet in bytes; a longer one is lost. */
  mtu: number;
}

export const LINK: Readonly<LinkOptions> = {
  latencyMs: 0.1,
  jitterMs: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderMs: 2,
  corrupt: 0,
  corruptFrom: 0,
  mtu: Infinity,
};

/** What a link did. */
export interface LinkCounts {
  sent: number;
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  tooBig: number;
}

export class Link {
  options: LinkOptions;
  readonly counts: LinkCounts = { sent: 0, lost: 0, duplicated: 0, reordered: 0, corrupted: 0, tooBig: 0 };
  readonly #events: Events;
  readonly #random: Random;
  #lastArrival = 0;

  constructor(events: Events, random: Random, options: Partial<LinkOptions> = {}) {
    this.#events = events;
    this.#random = random;
    this.options = { ...LINK, ...options };
  }

  /**
   * Send a packet, whose bytes nobody changes any more.
   *
   * @param overhead  bytes that it has on the wire besides `bytes`
   * @param arrive    called for each copy that arrives
   */
  send(bytes: Uint8Array, overhead: number, arrive: (bytes: Uint8Array) => void): void {
    const { options, counts } = this;
    const random = this.#random;
    counts.sent++;
    if (bytes.length + overhead > options.mtu) {
      counts.tooBig++;
      return;
    }
    if (random.happens(options.loss)) {
      counts.lost++;
      return;
    }
    let arriving = bytes;
    if (bytes.length > options.corruptFrom && random.happens(options.corrupt)) {
      counts.corrupted++;
      arriving = bytes.slice();
      const at = options.corruptFrom + random.int(bytes.length - options.corruptFrom);
      arriving[at] = arriving[at]! ^ (1 << random.int(8));
    }
    const copies = random.happens(options.duplicate) ? 2 : 1;
    counts.duplicated += copies - 1;
    for (let i = 0; i < copies; i++) {
      let at = this.#events.now + options.latencyMs + random.next() * options.jitterMs;
      if (random.happens(options.reorder)) {
        counts.reordered++;
        at += random.next() * options.reorderMs;
      } else {
        at = Math.max(at, this.#lastArrival);
        this.#lastArrival = at;
      }
      this.#events.after(at - this.#events.now, () => arrive(arriving));
    }
  }
}
