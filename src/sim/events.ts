/**
 * Virtual time: a queue of what shall happen when. A binary heap by time; what falls on one moment happens in the order in
 * which it was asked for, so that a run can be repeated.
 */
interface Event {
  readonly at: number;
  readonly number: number;
  readonly act: () => void;
}

export class Events {
  /** Milliseconds since the start. */
  now = 0;
  readonly #heap: Event[] = [];
  #count = 0;

  /** Let something happen `ms` from now. */
  after(ms: number, act: () => void): void {
    const event = { at: this.now + Math.max(0, ms), number: this.#count++, act };
    const heap = this.#heap;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  /** Let the next thing happen, if it is due at `until` or before. @returns false when there is none */
  step(until: number): boolean {
    const event = this.#heap[0];
    if (!event || event.at > until) return false;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) this.#sink(last);
    this.now = event.at;
    event.act();
    return true;
  }

  #sink(event: Event): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(event, heap[child]!)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = event;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.number < b.number);
