/**
 * The wire's end of a TAP in tests: read frames, wait for one, join two TAPs by a wire.
 */
import { setImmediate } from 'node:timers/promises';
import type { Test } from 'tap';
import * as epoll from '../../src/sys/epoll.js';
import { ip } from '../../src/sys/iproute2.js';
import * as io from '../../src/sys/io.js';
import { EPOLL_EVENT_SIZE } from '../../src/sys/layout.js';
import { addressOf, borrowAddress } from '../../src/sys/memory.js';
import { VNET_HDR_SIZE, openTap } from '../../src/sys/tap.js';
import type { Tap, TapOptions } from '../../src/sys/tap.js';
import { bytesOf } from '../../src/wire/checksum.js';
import type { Bytes } from '../../src/wire/checksum.js';
import { makeNetns } from './netns.js';

/** Offsets in a {@link Frame} of an IPv4 packet without options. */
export const L2 = VNET_HDR_SIZE;
export const L3 = L2 + 14;
export const L4 = L3 + 20;

/** A frame as it was read: virtio_net_hdr at 0, Ethernet at {@link L2}. */
export interface Frame {
  readonly v: DataView;
  readonly b: Bytes;
  /** Bytes, virtio_net_hdr included. */
  readonly len: number;
}

const room = new Uint8Array(new ArrayBuffer(69632));
const roomAddress = addressOf(room);
const events = new Uint8Array(new ArrayBuffer(4 * EPOLL_EVENT_SIZE));
const eventsAddress = addressOf(events);

/** The next frame of a TAP, copied; undefined when there is none now. */
export function readFrame(fd: number): Frame | undefined {
  const len = io.read(fd, roomAddress, room.length);
  if (len < 0) return undefined;
  const buffer = new ArrayBuffer((len + 3) & ~3);
  new Uint8Array(buffer).set(room.subarray(0, len));
  return { v: new DataView(buffer), b: bytesOf(buffer), len };
}

/** Write a frame to a TAP: bytes or −errno. */
export function writeFrame(fd: number, { b, len }: Pick<Frame, 'b' | 'len'>): number {
  const result = io.write(fd, borrowAddress(b.u8), len);
  return b.u8.length > 0 ? result : 0; // held until here
}

/** Wait, blocking, until the descriptor has something to read; whether it has within `ms`. */
export function isReadable(fd: number, ms = 30_000): boolean {
  const epfd = epoll.createEpoll();
  try {
    epoll.add(epfd, fd, epoll.EPOLLIN, 0);
    return epoll.wait(epfd, eventsAddress, 1, ms) === 1;
  } finally {
    io.close(epfd);
  }
}

/** Wait, blocking, for a frame of a kind; others (router solicitations and the like) are dropped. */
export function waitFrame(fd: number, isWanted: (frame: Frame) => boolean): Frame {
  while (isReadable(fd)) {
    const frame = readFrame(fd);
    if (frame !== undefined && isWanted(frame)) return frame;
  }
  throw new Error('no such frame within half a minute');
}

/** Whether a frame is IPv4 of this protocol. */
export const isIpv4 = ({ v, len }: Frame, proto: number): boolean =>
  len >= L4 && v.getUint16(L2 + 12) === 0x0800 && v.getUint8(L3 + 9) === proto;

/** Carry frames both ways, unchanged, until `end` settles. */
export async function wire(
  [a, b]: readonly [number, number],
  end: Promise<unknown>,
  see: (frame: Frame, from: number) => void,
): Promise<void> {
  const epfd = epoll.createEpoll();
  for (const fd of [a, b]) epoll.add(epfd, fd, epoll.EPOLLIN, fd);
  let isEnded = false;
  const stop = (): void => void (isEnded = true);
  end.then(stop, stop);
  try {
    while (!isEnded) {
      epoll.wait(epfd, eventsAddress, 4, 1);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ])
        for (
          let n = 0, frame = readFrame(from);
          frame !== undefined && n < 64;
          frame = readFrame(from), n++
        ) {
          see(frame, from);
          writeFrame(to, frame);
        }
      await setImmediate();
    }
  } finally {
    io.close(epfd);
  }
}

/** A namespace with a TAP `eth0`, up, that finds its peers without ARP. Its address is 10.0.0.`n`. */
export function makePod(
  t: Test,
  n: number,
  options: Pick<TapOptions, 'offload' | 'persist'> = {},
): { netns: string; tap: Tap; address: string } {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'eth0', netns, ...options });
  t.teardown(() => io.close(tap.fd));
  const mac = (i: number): string => `0a:58:0a:00:00:0${i}`;
  ip(
    [
      `link set eth0 address ${mac(n)} mtu 1450 up`,
      `addr add 10.0.0.${n}/24 dev eth0`,
      ...[1, 2, 3]
        .filter((i) => i !== n)
        .map((i) => `neigh add 10.0.0.${i} lladdr ${mac(i)} dev eth0 nud permanent`),
    ],
    { netns },
  );
  return { netns, tap, address: `10.0.0.${n}` };
}
