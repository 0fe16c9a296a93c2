/**
 * Datagrams of a UDP socket by the dozen: one `recvmmsg` for what waits, one `sendmmsg` for the answers.
 *
 * Theory of operation. Node reads one datagram at a time, into 64 KiB of new memory each. When it has given us one, others mostly
 * wait behind it: {@link UdpBatch.answer} takes those itself from the same socket, asks for an answer to each, and sends what
 * was said at once, in the order of the questions. Memory is fixed: slots for datagrams, slots for answers, and the senders' addresses, which are never looked into: an
 * answer goes back to the bytes that its question came with. An answer that comes later, that does not fit, or that the kernel
 * does not take now is the caller's, with a copy of the address.
 */
import { EAGAIN, EINTR } from '../sys/errno.js';
import { recvmmsg, sendmmsg } from '../sys/io.js';
import {
  IOVEC_LENGTH,
  MMSG_LENGTH,
  MMSGHDR_SIZE,
  MSG_FLAGS,
  MSG_IOV,
  MSG_IOV_COUNT,
  MSG_NAME,
  MSG_NAME_LENGTH,
  SIN_ADDRESS,
  SIN_FAMILY,
  SIN_PORT,
  SOCKADDR_IN_SIZE,
} from '../sys/layout.js';
import { IOVEC, StructMemory } from '../sys/struct-memory.js';
import { AF_INET } from '../sys/udp.js';
import { parseIpv4 } from '../wire/address.js';

/** Datagrams of one call. */
export const BATCH = 64;
/** The place of the address of one that came by Node. */
const FIRST = BATCH;
/** Calls in a row, after which others of the event loop have their turn. */
const MAX_BATCHES = 8;
/** Any datagram over IPv4. Of a slot only the pages that were ever used cost memory. */
const SLOT = 65536;
/** Answers are shorter; see MAX_UDP_SIZE in message.ts. */
const ANSWER_SLOT = 1536;

/** Somebody who asked. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** Answer a datagram, or drop it: `send` is called once at most, at once or later. */
export type Answerer = (message: Uint8Array, send: (answer: Uint8Array) => void) => void;

export class UdpBatch {
  readonly #fd: number;
  readonly #respond: Answerer;
  readonly #later: (peer: Peer, answer: Uint8Array) => void;
  readonly #in = new StructMemory(BATCH * MMSGHDR_SIZE);
  readonly #out = new StructMemory((BATCH + 1) * MMSGHDR_SIZE);
  readonly #names = new StructMemory((BATCH + 1) * SOCKADDR_IN_SIZE);
  readonly #nameBytes = new Uint8Array(this.#names.words.buffer);
  readonly #iovecs = new StructMemory((2 * BATCH + 1) * IOVEC);
  readonly #slots = new StructMemory(BATCH * SLOT);
  readonly #slotBytes = Buffer.from(this.#slots.words.buffer);
  readonly #answers = new StructMemory((BATCH + 1) * ANSWER_SLOT);
  readonly #answerBytes = new Uint8Array(this.#answers.words.buffer);
  /** Answers of this batch, and whose each is. */
  #count = 0;
  readonly #from = new Int32Array(BATCH + 1);

  /**
   * @param fd      a non-blocking IPv4 socket; whoever opened it closes it
   * @param answer  answers a datagram
   * @param later   sends an answer that did not go with the others
   */
  constructor(fd: number, answer: Answerer, later: (peer: Peer, answer: Uint8Array) => void) {
    this.#fd = fd;
    this.#respond = answer;
    this.#later = later;
    for (let i = 0; i < BATCH; i++) {
      const header = i * MMSGHDR_SIZE;
      this.#iovecs.putIovec(i * IOVEC, this.#slots.address + i * SLOT, SLOT);
      this.#in.put64(header + MSG_NAME, this.#names.address + i * SOCKADDR_IN_SIZE);
      this.#in.put64(header + MSG_IOV, this.#iovecs.address + i * IOVEC);
      this.#in.put64(header + MSG_IOV_COUNT, 1);
    }
    for (let i = 0; i <= BATCH; i++) {
      const header = i * MMSGHDR_SIZE;
      this.#out.put64(header + MSG_IOV, this.#iovecs.address + (BATCH + i) * IOVEC);
      this.#out.put64(header + MSG_IOV_COUNT, 1);
      this.#out.words[(header + MSG_NAME_LENGTH) >> 2] = SOCKADDR_IN_SIZE;
      this.#out.words[(header + MSG_FLAGS) >> 2] = 0;
    }
  }

  /**
   * Answer a datagram that came by Node, and those that wait behind it: {@link MAX_BATCHES} times {@link BATCH} at most.
   *
   * @returns datagrams taken from the socket
   */
  answer(message: Uint8Array, peer: Peer): number {
    this.#setName(FIRST, peer);
    this.#answerOne(FIRST, message);
    return this.drain();
  }

  /** As {@link answer}, of those that wait alone. */
  drain(): number {
    let taken = 0;
    for (let round = 0; round < MAX_BATCHES; round++) {
      const count = this.#receive();
      taken += Math.max(count, 0);
      if (count < BATCH) break;
    }
    return taken;
  }

  #receive(): number {
    const headers = this.#in.words;
    for (let i = 0; i < BATCH; i++) headers[(i * MMSGHDR_SIZE + MSG_NAME_LENGTH) >> 2] = SOCKADDR_IN_SIZE;
    const count = recvmmsg(this.#fd, this.#in.address, BATCH, 0);
    for (let i = 0; i < count; i++) {
      const len = headers[(i * MMSGHDR_SIZE + MMSG_LENGTH) >> 2]!;
      this.#answerOne(i, this.#slotBytes.subarray(i * SLOT, i * SLOT + len));
    }
    this.#send();
    return count;
  }

  #answerOne(i: number, message: Uint8Array): void {
    const name = i * SOCKADDR_IN_SIZE;
    // From port 0 there is nobody to answer.
    if (this.#nameBytes[name + SIN_PORT] === 0 && this.#nameBytes[name + SIN_PORT + 1] === 0) return;
    let isNow = true;
    let isSaid = false;
    let peer: Peer | undefined;
    this.#respond(message, (answer) => {
      isSaid = true;
      if (isNow && this.#add(i, answer)) return;
      this.#later(peer ?? this.#peer(i), answer);
    });
    isNow = false;
    // Its place will be somebody else's.
    if (!isSaid) peer = this.#peer(i);
  }

  #setName(i: number, { address, port }: Peer): void {
    const at = i * SOCKADDR_IN_SIZE;
    this.#nameBytes.fill(0, at, at + SOCKADDR_IN_SIZE);
    this.#nameBytes[at + SIN_FAMILY] = AF_INET;
    this.#nameBytes[at + SIN_PORT] = port >> 8;
    this.#nameBytes[at + SIN_PORT + 1] = port;
    const ip = parseIpv4(address) ?? 0;
    for (let k = 0; k < 4; k++) this.#nameBytes[at + SIN_ADDRESS + k] = ip >>> (24 - 8 * k);
  }

  #peer(i: number): Peer {
    const at = i * SOCKADDR_IN_SIZE;
    const bytes = this.#nameBytes;
    return {
      address: bytes.subarray(at + SIN_ADDRESS, at + SIN_ADDRESS + 4).join('.'),
      port: (bytes[at + SIN_PORT]! << 8) | bytes[at + SIN_PORT + 1]!,
    };
  }

  /** Put an answer to datagram `i` with the others. @returns false when it does not fit */
  #add(i: number, answer: Uint8Array): boolean {
    const len = answer.length;
    if (len > ANSWER_SLOT) return false;
    const entry = this.#count++;
    const at = entry * ANSWER_SLOT;
    const to = this.#answerBytes;
    // Some hundred bytes: a loop is faster than a call into the runtime.
    if (len > 256) to.set(answer, at);
    else for (let k = 0; k < len; k++) to[at + k] = answer[k]!;
    this.#from[entry] = i;
    this.#iovecs.putIovec((BATCH + entry) * IOVEC, this.#answers.address + at, len);
    this.#out.put64(entry * MMSGHDR_SIZE + MSG_NAME, this.#names.address + i * SOCKADDR_IN_SIZE);
    return true;
  }

  #send(): void {
    const count = this.#count;
    this.#count = 0;
    for (let sent = 0; sent < count;) {
      const result = sendmmsg(this.#fd, this.#out.address + sent * MMSGHDR_SIZE, count - sent, 0);
      if (result > 0) sent += result;
      else if (result === -EAGAIN) return this.#leave(sent, count);
      // A client that cannot be reached any more asks again, if it is there.
      else if (result !== -EINTR) sent++;
    }
  }

  /** The kernel takes no more now: Node waits until it does. */
  #leave(from: number, to: number): void {
    for (let entry = from; entry < to; entry++) {
      const at = entry * ANSWER_SLOT;
      const len = this.#iovecs.words[((BATCH + entry) * IOVEC + IOVEC_LENGTH) >> 2]!;
      this.#later(this.#peer(this.#from[entry]!), this.#answerBytes.slice(at, at + len));
    }
  }
}
