/**
 * Datagrams to the other hosts: all messages of a socket in one `sendmmsg`, each up to 64 equal datagrams (UDP_SEGMENT).
 *
 * A kernel or NIC without segmentation answers EIO (Linux 6.1 without transmit checksum offload) or EINVAL: then this socket
 * sends the same datagrams one by one from then on. A message whose datagrams are too large for the NIC is answered by the
 * same EINVAL, or by EMSGSIZE (Linux 6.18): one by one tells which it is, and saves a smaller last one, of another flow
 * perhaps. ECONNREFUSED reports an earlier datagram: the message is sent again once.
 */
import { ECONNREFUSED, EINTR, EINVAL, EIO, EMSGSIZE } from '../../sys/errno.js';
import { sendmmsg } from '../../sys/io.js';
import {
  CMSG_DATA,
  CMSG_LENGTH,
  CMSG_LEVEL,
  CMSG_TYPE,
  MMSGHDR_SIZE,
  MSG_CONTROL,
  MSG_CONTROL_LENGTH,
  MSG_FLAGS,
  MSG_IOV,
  MSG_IOV_COUNT,
  MSG_NAME,
  MSG_NAME_LENGTH,
  SOCKADDR_IN_SIZE,
} from '../../sys/layout.js';
import { AF_INET, SOL_UDP, UDP_SEGMENT } from '../../sys/udp.js';
import { IOVS, type Outbox } from '../../host/outbox.js';
import type { Vteps } from '../../tables/vteps.js';
import { swap16, swap32 } from '../../wire/checksum.js';
import { IOVEC, StructMemory } from '../../sys/struct-memory.js';

/** Entries of one sendmmsg. */
const BATCH = 64;
const CONTROL = 24;
/** Length of a control message with 16 bits of data, as cmsg(3) counts it. */
const CMSG_LEN_16 = CMSG_DATA + 2;

export class TunnelSender {
  readonly #sockets: { fd: number; gso: boolean }[];
  readonly #peerPort: number;
  readonly #pool: number;
  readonly #vteps: Vteps;
  readonly #notice: (text: string) => void;
  readonly #headers = new StructMemory(BATCH * MMSGHDR_SIZE);
  readonly #iovecs = new StructMemory(BATCH * IOVS * IOVEC);
  readonly #controls = new StructMemory(BATCH * CONTROL);
  readonly #names: StructMemory;
  /** Message of the outbox that each entry is for. */
  readonly #messages = new Int32Array(BATCH);
  #entries = 0;
  #nextIovec = 0;
  /** A datagram alone was too large for the NIC, since this was last set to false. */
  #wasTooLarge = false;
  /** System calls so far. */
  calls = 0;

  constructor(
    sockets: readonly { fd: number; gso: boolean }[],
    peerPort: number,
    pool: number,
    vteps: Vteps,
    notice: (text: string) => void,
  ) {
    this.#sockets = sockets.map((socket) => ({ ...socket }));
    this.#peerPort = peerPort;
    this.#pool = pool;
    this.#vteps = vteps;
    this.#notice = notice;
    this.#names = new StructMemory(vteps.capacity * SOCKADDR_IN_SIZE);
    for (let i = 0; i < BATCH; i++) {
      const control = i * CONTROL;
      this.#controls.put64(control + CMSG_LENGTH, CMSG_LEN_16);
      this.#controls.words[(control + CMSG_LEVEL) >> 2] = SOL_UDP;
      this.#controls.words[(control + CMSG_TYPE) >> 2] = UDP_SEGMENT;
      const header = i * MMSGHDR_SIZE;
      this.#headers.words[(header + MSG_NAME_LENGTH) >> 2] = SOCKADDR_IN_SIZE;
      this.#headers.words[(header + MSG_FLAGS) >> 2] = 0;
    }
  }

  /** Send all messages to the tunnel port. @returns datagrams that could not be sent */
  send(outbox: Outbox, port: number): number {
    let lost = 0;
    for (let s = 0; s < this.#sockets.length; s++) {
      for (let m = 0; m < outbox.count; m++) {
        if (outbox.port[m] !== port || outbox.socket[m] !== s) continue;
        lost += this.#addMessage(outbox, m, s);
      }
      lost += this.#flush(outbox, s);
    }
    return lost;
  }

  /** A message as one entry, if the kernel will cut it. */
  #addMessage(outbox: Outbox, m: number, s: number): number {
    if (outbox.segments[m]! > 1 && !this.#sockets[s]!.gso) return this.#addOneByOne(outbox, m, s);
    const lost = this.#entries === BATCH ? this.#flush(outbox, s) : 0;
    this.#add(outbox, m, 0, outbox.iovs[m]!, outbox.segments[m]! > 1);
    return lost;
  }

  /** The datagrams of a message as entries of their own. */
  #addOneByOne(outbox: Outbox, m: number, s: number): number {
    let lost = 0;
    let first = 0;
    let bytes = 0;
    for (let i = 0; i < outbox.iovs[m]!; i++) {
      bytes += outbox.iovLen[m * IOVS + i]!;
      if (bytes < outbox.segmentSize[m]! && i + 1 < outbox.iovs[m]!) continue;
      if (this.#entries === BATCH) lost += this.#flush(outbox, s);
      this.#add(outbox, m, first, i + 1, false);
      first = i + 1;
      bytes = 0;
    }
    return lost;
  }

  #add(outbox: Outbox, m: number, from: number, to: number, isSegmented: boolean): void {
    const entry = this.#entries++;
    const iovec = this.#nextIovec;
    for (let i = from; i < to; i++)
      this.#iovecs.putIovec(
        this.#nextIovec++ * IOVEC,
        this.#pool + outbox.iovAt[m * IOVS + i]!,
        outbox.iovLen[m * IOVS + i]!,
      );
    const header = entry * MMSGHDR_SIZE;
    const vtep = outbox.vtep[m]!;
    const name = vtep * SOCKADDR_IN_SIZE;
    this.#names.words[name >> 2] = AF_INET | (swap16(this.#peerPort) << 16);
    this.#names.words[(name >> 2) + 1] = swap32(this.#vteps.a3[vtep]!);
    this.#headers.put64(header + MSG_NAME, this.#names.address + name);
    this.#headers.put64(header + MSG_IOV, this.#iovecs.address + iovec * IOVEC);
    this.#headers.put64(header + MSG_IOV_COUNT, to - from);
    if (isSegmented) {
      this.#controls.halves[(entry * CONTROL + CMSG_DATA) >> 1] = outbox.segmentSize[m]!;
      this.#headers.put64(header + MSG_CONTROL, this.#controls.address + entry * CONTROL);
      this.#headers.put64(header + MSG_CONTROL_LENGTH, CONTROL);
    } else {
      this.#headers.put64(header + MSG_CONTROL, 0);
      this.#headers.put64(header + MSG_CONTROL_LENGTH, 0);
    }
    this.#messages[entry] = m;
  }

  /** Hand all entries to the kernel. @returns datagrams that it did not take */
  #flush(outbox: Outbox, s: number): number {
    const socket = this.#sockets[s]!;
    const entries = this.#entries;
    this.#entries = 0;
    this.#nextIovec = 0;
    let lost = 0;
    let wasRefused = false;
    for (let sent = 0; sent < entries;) {
      this.calls++;
      const result = sendmmsg(socket.fd, this.#headers.address + sent * MMSGHDR_SIZE, entries - sent, 0);
      if (result > 0) {
        sent += result;
        wasRefused = false;
        continue;
      }
      if (result === -EINTR) continue;
      if (result === -ECONNREFUSED && !wasRefused) {
        wasRefused = true;
        continue;
      }
      const m = this.#messages[sent]!;
      const isSegmented = this.#headers.words[(sent * MMSGHDR_SIZE + MSG_CONTROL_LENGTH) >> 2] !== 0;
      if (isSegmented && socket.gso && (result === -EIO || result === -EINVAL || result === -EMSGSIZE))
        return lost + this.#resend(outbox, s, sent, entries);
      if (result === -EMSGSIZE) this.#wasTooLarge = true;
      lost += isSegmented ? outbox.segments[m]! : 1;
      sent++;
      wasRefused = false;
    }
    return lost;
  }

  /** Entries `[from, to)` again, the first of which the kernel would not cut: one by one. */
  #resend(outbox: Outbox, s: number, from: number, to: number): number {
    const socket = this.#sockets[s]!;
    const messages = this.#messages.slice(from, to);
    this.#wasTooLarge = false;
    let lost = this.#addOneByOne(outbox, messages[0]!, s) + this.#flush(outbox, s);
    if (!this.#wasTooLarge && socket.gso) {
      const isFirst = this.#sockets.every(({ gso }) => gso);
      socket.gso = false;
      if (isFirst)
        this.#notice(
          'The kernel cannot segment UDP on the way out of this NIC: datagrams are sent one by one',
        );
    }
    for (let i = 1; i < messages.length; i++) lost += this.#addMessage(outbox, messages[i]!, s);
    return lost + this.#flush(outbox, s);
  }
}
