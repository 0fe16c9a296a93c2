/**
 * Batches of UDP messages for `sendmmsg` and `recvmmsg`, written plainly with one DataView: what the packet path does with
 * typed arrays.
 */
import {
  CMSGHDR_SIZE,
  CMSG_DATA,
  CMSG_LENGTH,
  CMSG_LEVEL,
  CMSG_TYPE,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SIZE,
  MMSGHDR_SIZE,
  MMSG_LENGTH,
  MSG_CONTROL,
  MSG_CONTROL_LENGTH,
  MSG_IOV,
  MSG_IOV_COUNT,
  MSG_NAME,
  MSG_NAME_LENGTH,
  SIN_ADDRESS,
  SIN_FAMILY,
  SIN_PORT,
  SOCKADDR_IN_SIZE,
} from '../../src/sys/layout.js';
import * as io from '../../src/sys/io.js';
import { borrowAddress } from '../../src/sys/memory.js';
import { AF_INET, SOL_UDP, UDP_GRO, UDP_SEGMENT } from '../../src/sys/udp.js';

/** Room for one control message with an int in it: header, data, padding to eight. */
const CONTROL_SIZE = CMSGHDR_SIZE + 8;

/** One message to send. */
export interface Outgoing {
  readonly data: Uint8Array;
  readonly to: readonly [address: string, port: number];
  /** Let the kernel cut `data` into datagrams of this size (UDP_SEGMENT). */
  readonly segment?: number;
}

/** One message as it was received. */
export interface Incoming {
  readonly data: Buffer;
  /** Size of the datagrams it consists of (UDP_GRO); 0 when the kernel did not say. */
  readonly segment: number;
}

/** An array of mmsghdr, each with one iovec, a name and room for a control message. */
class Messages {
  readonly view: DataView;
  readonly names: Buffer;
  readonly controls: Buffer;
  readonly iovs: DataView;
  readonly address: number;

  buffers: readonly Uint8Array[];

  constructor(buffers: readonly Uint8Array[]) {
    this.buffers = buffers;
    const count = buffers.length;
    this.view = new DataView(new ArrayBuffer(count * MMSGHDR_SIZE));
    this.names = Buffer.alloc(count * SOCKADDR_IN_SIZE);
    this.controls = Buffer.alloc(count * CONTROL_SIZE);
    this.iovs = new DataView(new ArrayBuffer(count * IOVEC_SIZE));
    this.address = borrowAddress(this.view);
    buffers.forEach((buffer, i) => {
      pointer(this.iovs, i * IOVEC_SIZE + IOVEC_BASE, buffer);
      size(this.iovs, i * IOVEC_SIZE + IOVEC_LENGTH, buffer.length);
      const at = i * MMSGHDR_SIZE;
      pointer(this.view, at + MSG_NAME, this.names, i * SOCKADDR_IN_SIZE);
      this.view.setUint32(at + MSG_NAME_LENGTH, SOCKADDR_IN_SIZE, true);
      pointer(this.view, at + MSG_IOV, this.iovs, i * IOVEC_SIZE);
      size(this.view, at + MSG_IOV_COUNT, 1);
      pointer(this.view, at + MSG_CONTROL, this.controls, i * CONTROL_SIZE);
      size(this.view, at + MSG_CONTROL_LENGTH, CONTROL_SIZE);
    });
  }

  /** To be called after the system call: until then all of it is held. */
  release(): void {
    this.buffers = [];
  }
}

const pointer = (view: DataView, at: number, to: ArrayBufferView, offset = 0): void =>
  view.setBigUint64(at, BigInt(borrowAddress(to) + offset), true);

const size = (view: DataView, at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);

/** Send messages in one call: how many went, or −errno. */
export function send(fd: number, messages: readonly Outgoing[]): number {
  const batch = new Messages(messages.map(({ data }) => data));
  messages.forEach(({ to: [address, port], segment }, i) => {
    const name = batch.names.subarray(i * SOCKADDR_IN_SIZE);
    name.writeUInt16LE(AF_INET, SIN_FAMILY);
    name.writeUInt16BE(port, SIN_PORT);
    name.set(address.split('.').map(Number), SIN_ADDRESS);
    const control = batch.controls.subarray(i * CONTROL_SIZE);
    if (segment === undefined) {
      size(batch.view, i * MMSGHDR_SIZE + MSG_CONTROL_LENGTH, 0);
    } else {
      control.writeBigUInt64LE(BigInt(CMSGHDR_SIZE + 2), CMSG_LENGTH);
      control.writeInt32LE(SOL_UDP, CMSG_LEVEL);
      control.writeInt32LE(UDP_SEGMENT, CMSG_TYPE);
      control.writeUInt16LE(segment, CMSG_DATA);
    }
  });
  const count = io.sendmmsg(fd, batch.address, messages.length, 0);
  batch.release();
  return count;
}

/** Receive what is there, at most `max` messages, in one call: the messages, or −errno. */
export function receive(fd: number, max = 64): Incoming[] | number {
  const room = Array.from({ length: max }, () => Buffer.from(new ArrayBuffer(65536)));
  const batch = new Messages(room);
  const count = io.recvmmsg(fd, batch.address, max, 0);
  batch.release();
  if (count < 0) return count;
  return room.slice(0, count).map((buffer, i) => {
    const at = i * MMSGHDR_SIZE;
    const control = batch.controls.subarray(i * CONTROL_SIZE);
    const isGro =
      batch.view.getBigUint64(at + MSG_CONTROL_LENGTH, true) > 0n &&
      control.readInt32LE(CMSG_LEVEL) === SOL_UDP &&
      control.readInt32LE(CMSG_TYPE) === UDP_GRO;
    return {
      data: buffer.subarray(0, batch.view.getUint32(at + MMSG_LENGTH, true)),
      segment: isGro ? control.readInt32LE(CMSG_DATA) : 0,
    };
  });
}
