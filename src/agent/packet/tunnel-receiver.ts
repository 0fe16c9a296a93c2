/**
 * Datagrams from the other hosts: up to {@link AT_ONCE} slots in one `recvmmsg`, each slot one datagram or a train of equal ones
 * that the kernel put together (UDP_GRO).
 *
 * A batch ends when nothing waits any more, or when it has {@link ENOUGH_BYTES}: trains fill it with one call, which asks for no
 * more of them than that. Where the kernel puts nothing together (a NIC without GRO) a call brings a few kilobytes, and several
 * of them make a batch: it is the batch in which segments of a stream are merged, and a super-frame costs a pod as much as a
 * segment.
 */
import { recvmmsg } from '../../sys/io.js';
import {
  CMSG_DATA,
  CMSG_LENGTH,
  CMSG_LEVEL,
  CMSG_TYPE,
  MMSGHDR_SIZE,
  MMSG_LENGTH,
  MSG_CONTROL,
  MSG_CONTROL_LENGTH,
  MSG_IOV,
  MSG_IOV_COUNT,
  MSG_NAME,
  MSG_NAME_LENGTH,
  SIN_ADDRESS,
  SOCKADDR_IN_SIZE,
} from '../../sys/layout.js';
import { IPPROTO_IP, IP_TOS, SOL_UDP, UDP_GRO } from '../../sys/udp.js';
import { SLOT, type Host } from '../../host/host.js';
import { V4_MAPPED } from '../../wire/address.js';
import { swap32 } from '../../wire/checksum.js';
import { IOVEC, StructMemory } from '../../sys/struct-memory.js';

/** Room for two control messages, a segment size and a TOS byte, of 24 bytes each. */
const CONTROL = 64;
const ECN_BITS = 3;
/** Slots of one call. */
export const AT_ONCE = 16;
/**
 * Bytes of a batch, from a TAP or from the tunnel, four of the largest super-frames: with more they would have left the
 * processor's cache when they are sent, and whom they are for waits longer.
 */
export const ENOUGH_BYTES = 256 << 10;
/** What a datagram or train is expected to bring, at first. */
const ONE_DATAGRAM = 1500;

export class TunnelReceiver {
  readonly #host: Host;
  readonly #slots: number;
  readonly #headers: StructMemory;
  readonly #iovecs: StructMemory;
  readonly #controls: StructMemory;
  readonly #names: StructMemory;

  /** @param pool  address of the frame pool */
  constructor(host: Host, pool: number, slots: number) {
    this.#host = host;
    this.#slots = slots;
    this.#headers = new StructMemory(slots * MMSGHDR_SIZE);
    this.#iovecs = new StructMemory(slots * IOVEC);
    this.#controls = new StructMemory(slots * CONTROL);
    this.#names = new StructMemory(slots * SOCKADDR_IN_SIZE);
    for (let i = 0; i < slots; i++) {
      const header = i * MMSGHDR_SIZE;
      this.#iovecs.putIovec(i * IOVEC, pool + host.slot(i), SLOT);
      this.#headers.put64(header + MSG_NAME, this.#names.address + i * SOCKADDR_IN_SIZE);
      this.#headers.put64(header + MSG_IOV, this.#iovecs.address + i * IOVEC);
      this.#headers.put64(header + MSG_IOV_COUNT, 1);
      this.#headers.put64(header + MSG_CONTROL, this.#controls.address + i * CONTROL);
    }
  }

  /** System calls so far. */
  calls = 0;
  /** Bytes that a slot has brought of late, on average. */
  #usualBytes = ONE_DATAGRAM;

  /** Receive a batch into the slots and ingest it. @returns datagrams or trains received, or −errno of the first call */
  receive(fd: number, port: number): number {
    let received = 0;
    let bytes = 0;
    while (received < this.#slots && bytes < ENOUGH_BYTES) {
      const missing = Math.ceil((ENOUGH_BYTES - bytes) / this.#usualBytes);
      const wanted = Math.min(missing, AT_ONCE, this.#slots - received);
      const count = this.#call(fd, received, wanted);
      if (count <= 0) return received > 0 ? received : count;
      let came = 0;
      for (let i = received; i < received + count; i++) came += this.#ingest(port, i);
      this.#usualBytes = (3 * this.#usualBytes + Math.trunc(came / count)) >> 2;
      bytes += came;
      received += count;
      if (count < wanted) break;
    }
    return received;
  }

  #call(fd: number, first: number, count: number): number {
    const headers = this.#headers.words;
    for (let i = first; i < first + count; i++) {
      const header = (i * MMSGHDR_SIZE) >> 2;
      headers[header + (MSG_NAME_LENGTH >> 2)] = SOCKADDR_IN_SIZE;
      headers[header + (MSG_CONTROL_LENGTH >> 2)] = CONTROL;
    }
    this.calls++;
    return recvmmsg(fd, this.#headers.address + first * MMSGHDR_SIZE, count, 0);
  }

  /** @returns bytes in slot `i` */
  #ingest(port: number, i: number): number {
    const headers = this.#headers.words;
    const header = (i * MMSGHDR_SIZE) >> 2;
    const len = headers[header + (MMSG_LENGTH >> 2)]!;
    let segmentSize = len;
    let ecn = 0;
    const { words } = this.#controls;
    const end = i * CONTROL + headers[header + (MSG_CONTROL_LENGTH >> 2)]!;
    for (let at = i * CONTROL; at + CMSG_DATA < end;) {
      const level = words[(at + CMSG_LEVEL) >> 2];
      const type = words[(at + CMSG_TYPE) >> 2];
      const data = words[(at + CMSG_DATA) >> 2]!;
      if (level === SOL_UDP && type === UDP_GRO) segmentSize = data;
      // One byte: the first in memory, the lowest of the word.
      else if (level === IPPROTO_IP && type === IP_TOS) ecn = data & ECN_BITS;
      at += (words[(at + CMSG_LENGTH) >> 2]! + 7) & ~7;
    }
    const sender = swap32(this.#names.words[(i * SOCKADDR_IN_SIZE + SIN_ADDRESS) >> 2]!) | 0;
    this.#host.ingestTunnel(port, this.#host.slot(i), len, segmentSize, 0, 0, V4_MAPPED, sender, ecn);
    return len;
  }
}
