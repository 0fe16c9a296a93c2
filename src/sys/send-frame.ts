/**
 * Send Ethernet frames out of a link, as they are: a packet socket (packet(7)) that lives for one call. It receives
 * nothing (protocol 0), so it does not count as a capture.
 */
import { EPERM, must } from './errno.js';
import * as io from './io.js';
import { SLL_FAMILY, SLL_IFINDEX, SOCKADDR_LL_SIZE } from './layout.js';
import * as libc from './libc.js';
import { addressOf, borrowAddress } from './memory.js';
import { inNetns } from './netns.js';

const AF_PACKET = 17;
const SOCK_RAW = 3;

const sockaddr = Buffer.from(new ArrayBuffer(SOCKADDR_LL_SIZE));
const sockaddrAddress = addressOf(sockaddr);

/**
 * Send frames by the link `ifindex`, each with its Ethernet header.
 *
 * @param netns  the link's namespace: name under /run/netns or absolute path; undefined: here
 * @throws {SysError} ENETDOWN when the link is down, ENODEV when it is gone
 */
export function sendFrames(ifindex: number, frames: readonly Uint8Array[], netns?: string): void {
  const action = `send a frame by link ${ifindex}`;
  const type = SOCK_RAW | libc.O_NONBLOCK | libc.O_CLOEXEC;
  const fd = inNetns(netns, () =>
    must(libc.check(libc.socket(AF_PACKET, type, 0)), (errno) => ({
      action,
      call: 'socket(AF_PACKET)',
      advice: errno === EPERM ? 'run as root (CAP_NET_RAW)' : undefined,
    })),
  );
  try {
    sockaddr.fill(0);
    sockaddr.writeUInt16LE(AF_PACKET, SLL_FAMILY);
    sockaddr.writeInt32LE(ifindex, SLL_IFINDEX);
    must(libc.check(libc.bind(fd, sockaddrAddress, SOCKADDR_LL_SIZE)), () => ({ action, call: 'bind' }));
    for (const frame of frames)
      must(io.write(fd, borrowAddress(frame), frame.length), () => ({ action, call: 'write' }));
  } finally {
    io.close(fd);
  }
}
