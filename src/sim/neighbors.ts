/**
 * The neighbors of a synthetic endpoint: which address is the next hop to another, and whose MAC it has. RFC 826.
 *
 * Theory of operation. UNKNOWN → ASKED, when something is to be sent there; what is sent meanwhile waits → KNOWN, when the
 * neighbor says who it is: what waits goes out; or UNKNOWN again after three questions without an answer, and what waited is lost.
 */
import { cidrContains, type Cidr, type Mac } from '../wire/address.js';

const RETRY_MS = 1000;
const TRIES = 3;

/** How next hops are found. */
export interface NextHops {
  /** Who is reached without a gateway. Default: everybody. */
  readonly onLink?: Cidr;
  readonly gateway?: number;
  /** A permanent neighbor for everybody: this endpoint never asks by ARP. */
  readonly router?: Mac;
}

export class Neighbors {
  readonly #hops: NextHops;
  readonly #after: (ms: number, act: () => void) => void;
  readonly #ask: (ip: number) => void;
  readonly #known = new Map<number, Mac>();
  readonly #waiting = new Map<number, ((mac: Mac) => void)[]>();

  /**
   * @param after  calls back in virtual time
   * @param ask    sends a question: who has this address?
   */
  constructor(hops: NextHops, after: (ms: number, act: () => void) => void, ask: (ip: number) => void) {
    this.#hops = hops;
    this.#after = after;
    this.#ask = ask;
  }

  /** Tell the MAC of the next hop to an address: now, or when it is known; never, if nobody answers. */
  find(to: number, found: (mac: Mac) => void): void {
    const { onLink, gateway, router } = this.#hops;
    const isNear = !onLink || cidrContains(onLink, to);
    const hop = isNear || gateway === undefined ? to : gateway;
    const mac = router ?? this.#known.get(hop);
    if (mac) return found(mac);
    const waiting = this.#waiting.get(hop);
    if (waiting) waiting.push(found);
    else {
      this.#waiting.set(hop, [found]);
      this.#askFor(hop, TRIES);
    }
  }

  /** Somebody has said who he is. */
  learn(ip: number, mac: Mac): void {
    this.#known.set(ip, mac);
    const waiting = this.#waiting.get(ip) ?? [];
    this.#waiting.delete(ip);
    for (const found of waiting) found(mac);
  }

  #askFor(hop: number, tries: number): void {
    if (!this.#waiting.has(hop)) return;
    if (tries === 0) {
      this.#waiting.delete(hop);
      return;
    }
    this.#ask(hop);
    this.#after(RETRY_MS, () => this.#askFor(hop, tries - 1));
  }
}
