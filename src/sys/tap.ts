/**
 * TAP devices: Ethernet NICs whose wire is a file descriptor. linux/if_tun.h, Documentation/networking/tuntap.rst.
 *
 * Every frame read or written begins with a ten-byte virtio_net_hdr (IFF_VNET_HDR). With offload the kernel hands over
 * TCP super-frames of up to 64 KiB uncut (TSO), trains of UDP datagrams (USO), and frames whose TCP or UDP checksum
 * field holds only the folded pseudo-header sum (CSUM): whoever reads them finishes them, or passes them on with the
 * same header to another TAP.
 *
 * Links are set up with `ip`; this file opens, attaches and keeps. No multi-queue, no IFF_TUN.
 */
import { EBUSY, EINVAL, ENODEV, ENOENT, EACCES, EPERM, SysError, must } from './errno.js';
import { open } from './file.js';
import { isLinkName, setIfreq } from './ifreq.js';
import * as io from './io.js';
import * as libc from './libc.js';
import { inNetns } from './netns.js';
import { addressOf } from './memory.js';

const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;

const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

/** What the reader of a TAP can take, linux/if_tun.h. */
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

const TSO = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
const USO = TUN_F_USO4 | TUN_F_USO6;

/** Bytes of virtio_net_hdr before each frame. */
export const VNET_HDR_SIZE = 10;

/** `all`: whatever the kernel can do; `tso`: no UDP segmentation; `none`: whole frames with finished checksums. */
export type Offload = 'all' | 'tso' | 'none';

/** What a TAP's kernel side may hand over. */
export interface TapOffloads {
  /** Frames with unfinished checksums come. */
  readonly csum: boolean;
  /** TCP super-frames come. */
  readonly tso: boolean;
  /** Trains of UDP datagrams come, and may be written (Linux 6.2 and later). */
  readonly uso: boolean;
}

/** An open TAP. The fd is non-blocking and close-on-exec; who opened it closes it. */
export interface Tap extends TapOffloads {
  readonly fd: number;
  readonly name: string;
  /** Frames carry a virtio_net_hdr; always so. */
  readonly vnetHdr: boolean;
}

export interface TapOptions {
  /** Name of the interface, at most 15 bytes. An existing TAP of that name is attached to, if nobody holds it. */
  name: string;
  /** Where the interface is to be: name under /run/netns or absolute path; undefined: here. */
  netns?: string;
  /** Keep the interface when the fd is closed, so that the next process can attach to it by its name. */
  persist?: boolean;
  offload?: Offload;
}

/**
 * Ask for the most that the kernel will do: a kernel that does not know one of the flags sets none of them, so they are
 * tried in whole steps (USO came with Linux 6.2).
 *
 * @param offload  the most the caller wants
 * @param set      sets TUN_F_ flags, 0 or −errno; a persistent TAP keeps those of before until it is called
 * @returns        what is on now; or −errno of the last attempt, which asked for nothing
 */
export function negotiateOffload(offload: Offload, set: (flags: number) => number): TapOffloads | number {
  const steps = { all: [TSO | USO, TSO, 0], tso: [TSO, 0], none: [0] }[offload];
  let result = -EINVAL;
  for (const flags of steps) {
    result = set(flags);
    if (result >= 0)
      return {
        csum: (flags & TUN_F_CSUM) !== 0,
        tso: (flags & TUN_F_TSO4) !== 0,
        uso: (flags & TUN_F_USO4) !== 0,
      };
  }
  return result;
}

/**
 * Open a TAP: make it, or attach to the persistent one of that name. Addresses, MAC, MTU and "up" are left as they are.
 *
 * @throws {RangeError} for a name that no link can have
 * @throws {SysError}   that says what to do where we know it: no /dev/net/tun, no permission, held by another process
 */
export function openTap({ name, netns, persist = false, offload = 'all' }: TapOptions): Tap {
  if (!isLinkName(name))
    throw new RangeError(
      `Cannot open TAP "${name}": a link name has 1..15 bytes, no blanks, "/", ":" or "%"`,
    );
  return inNetns(netns, () => {
    const action = `open TAP "${name}"` + (netns === undefined ? '' : ` in network namespace "${netns}"`);
    const fd = must(open('/dev/net/tun', libc.O_RDWR | libc.O_NONBLOCK), (errno) => ({
      action,
      call: 'open(/dev/net/tun)',
      advice: OPEN_ADVICE[errno],
    }));
    try {
      const ifr = setIfreq(name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
      must(ioctl(fd, TUNSETIFF, ifr), (errno) => ({
        action,
        call: 'ioctl(TUNSETIFF)',
        advice: ATTACH_ADVICE[errno],
      }));
      word[0] = VNET_HDR_SIZE;
      must(ioctl(fd, TUNSETVNETHDRSZ, wordAddress), () => ({ action, call: 'ioctl(TUNSETVNETHDRSZ)' }));
      const offloads = negotiateOffload(offload, (flags) => ioctl(fd, TUNSETOFFLOAD, flags));
      if (typeof offloads === 'number')
        throw new SysError({ action, call: 'ioctl(TUNSETOFFLOAD)', errno: -offloads });
      if (persist) setPersist(fd, true);
      return { fd, name, vnetHdr: true, ...offloads };
    } catch (error) {
      io.close(fd);
      throw error;
    }
  });
}

/** Say whether a TAP's interface stays when its last fd is closed. Throws {@link SysError}. */
export function setPersist(fd: number, on: boolean): void {
  must(ioctl(fd, TUNSETPERSIST, on ? 1 : 0), () => ({
    action: on ? 'keep a TAP' : 'let go of a TAP',
    call: 'ioctl(TUNSETPERSIST)',
  }));
}

const OPEN_ADVICE: Record<number, string> = {
  [ENOENT]: 'load it with `modprobe tun`, or give the container the device /dev/net/tun',
  [ENODEV]: 'load it with `modprobe tun`',
  [EPERM]: 'run as root',
  [EACCES]: 'run as root',
};

const ATTACH_ADVICE: Record<number, string> = {
  [EPERM]: 'run as root (CAP_NET_ADMIN)',
  [EBUSY]: 'another process holds it',
  [EINVAL]: 'a link of that name exists that is no plain TAP: remove it or take another name',
};

const word = new Int32Array(1);
const wordAddress = addressOf(word);

function ioctl(fd: number, request: number, argument: number): number {
  return libc.check(libc.ioctl(fd, request, argument));
}
