/**
 * Which addresses of a node's prefix are a pod's. Never the first (the network), the second (the gateway, which the
 * host's own TAP carries), the last (broadcast) nor the last but one (the router).
 */
import { cidrContains, cidrLast, type Cidr } from '../wire/address.js';

/** Whether a pod of a node with this prefix may have this address. */
export const isPodAddress = (cidr: Cidr, word: number): boolean => {
  const offset = (word - cidr.base) >>> 0;
  return cidrContains(cidr, word) && offset >= 2 && offset <= lastOffset(cidr);
};

const lastOffset = (cidr: Cidr): number => ((cidrLast(cidr) - cidr.base) >>> 0) - 2;

/** The addresses of one node's pods: what is taken, and the lowest that is free. */
export class AddressPool {
  readonly cidr: Cidr;
  readonly #taken = new Set<number>();
  /** No offset below this one is free. */
  #low = 2;

  constructor(cidr: Cidr) {
    this.cidr = cidr;
  }

  get isFull(): boolean {
    return this.#lowest() === undefined;
  }

  /** @returns false when the address is taken, or none that a pod may have */
  claim(word: number): boolean {
    if (!isPodAddress(this.cidr, word) || this.#taken.has(word)) return false;
    this.#taken.add(word);
    return true;
  }

  /** Take the lowest free address. @returns undefined when there is none */
  allocate(): number | undefined {
    const word = this.#lowest();
    if (word !== undefined) this.#taken.add(word);
    return word;
  }

  #lowest(): number | undefined {
    const last = lastOffset(this.cidr);
    while (this.#low <= last && this.#taken.has((this.cidr.base + this.#low) | 0)) this.#low++;
    return this.#low <= last ? (this.cidr.base + this.#low) | 0 : undefined;
  }
}
