/**
 * Frames to TAPs: one `writev` each.
 */
import { writev, write } from '../../sys/io.js';
import { IOVS, type Outbox } from '../../host/outbox.js';
import { IOVEC, StructMemory } from '../../sys/struct-memory.js';

export class TapWriter {
  readonly #iovecs = new StructMemory(IOVS * IOVEC);
  readonly #pool: number;

  /** @param pool  address of the frame pool */
  constructor(pool: number) {
    this.#pool = pool;
  }

  /** Write message `m` to a TAP. @returns bytes or −errno */
  send(outbox: Outbox, m: number, fd: number): number {
    const first = m * IOVS;
    const count = outbox.iovs[m]!;
    if (count === 1) return write(fd, this.#pool + outbox.iovAt[first]!, outbox.iovLen[first]!);
    for (let i = 0; i < count; i++)
      this.#iovecs.putIovec(i * IOVEC, this.#pool + outbox.iovAt[first + i]!, outbox.iovLen[first + i]!);
    return writev(fd, this.#iovecs.address, count);
  }
}
