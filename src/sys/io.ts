/**
 * The packet path's system calls. They take addresses (see {@link addressOf}), return a count ≥ 0 or −errno, never throw
 * and allocate nothing.
 */
import * as libc from './libc.js';

/** read(2). Of a TAP: one frame with its virtio_net_hdr; −EAGAIN when there is none. */
export function read(fd: number, address: number, length: number): number {
  return libc.check(libc.read(fd, address, length));
}

/** write(2). To a TAP: one frame with its virtio_net_hdr; −EIO while the link is down. */
export function write(fd: number, address: number, length: number): number {
  return libc.check(libc.write(fd, address, length));
}

/** writev(2), of `count` iovecs that begin at `iovAddress`. To a TAP they are together one frame. */
export function writev(fd: number, iovAddress: number, count: number): number {
  return libc.check(libc.writev(fd, iovAddress, count));
}

/**
 * sendmmsg(2). The number of messages that were sent, each with its bytes in `MMSG_LENGTH`; an error of a later message
 * shows only at the next call.
 */
export function sendmmsg(fd: number, mmsgAddress: number, count: number, flags: number): number {
  return libc.check(libc.sendmmsg(fd, mmsgAddress, count, flags));
}

/** recvmmsg(2) without a timeout. The kernel overwrites `MSG_NAME_LENGTH` and `MSG_CONTROL_LENGTH`: set them again. */
export function recvmmsg(fd: number, mmsgAddress: number, count: number, flags: number): number {
  return libc.check(libc.recvmmsg(fd, mmsgAddress, count, flags, 0));
}

/** close(2). The number is free at once: never close what another thread may still use. */
export function close(fd: number): number {
  return libc.check(libc.close(fd));
}
