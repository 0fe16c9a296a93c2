/**
 * A raw ICMP socket of a host: echoes out, replies and errors in. raw(7), icmp(7). The kernel writes the IP header, with DF
 * set and without regard to path MTUs that it has learned: who measures must not be told what is known already.
 *
 * It gets a copy of every ICMP packet of the wanted types that the host receives; whose they are is for the caller.
 * Non-blocking, and not watched by anybody: it is read by looking. IPv4 only.
 */
import { EPERM, must } from './errno.js';
import * as io from './io.js';
import { SIN_ADDRESS, SIN_FAMILY, SOCKADDR_IN_SIZE } from './layout.js';
import * as libc from './libc.js';
import { addressOf, borrowAddress } from './memory.js';
import { inNetns } from './netns.js';

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_IP = 0;
const IPPROTO_ICMP = 1;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_PROBE = 3;
const SOL_RAW = 255;
const ICMP_FILTER = 1;

const sockaddr = Buffer.from(new ArrayBuffer(SOCKADDR_IN_SIZE));
const sockaddrAddress = addressOf(sockaddr);
const value32 = new Int32Array(1);
const value32Address = addressOf(value32);

/**
 * Open one; the caller closes it.
 *
 * @param netns  name under /run/netns or absolute path; undefined: here
 * @param types  ICMP types to receive; no others come
 * @throws {SysError} EPERM without CAP_NET_RAW
 */
export function openIcmp(netns: string | undefined, types: readonly number[]): number {
  const action = 'open an ICMP socket' + (netns === undefined ? '' : ` in network namespace "${netns}"`);
  return inNetns(netns, () => {
    const type = SOCK_RAW | libc.O_NONBLOCK | libc.O_CLOEXEC;
    const fd = must(libc.check(libc.socket(AF_INET, type, IPPROTO_ICMP)), (errno) => ({
      action,
      call: 'socket',
      advice: errno === EPERM ? 'run as root (CAP_NET_RAW)' : undefined,
    }));
    try {
      // A bit for each type that is *not* wanted.
      setInt(fd, SOL_RAW, ICMP_FILTER, ~types.reduce((bits, one) => bits | (1 << one), 0), action);
      setInt(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, action);
      return fd;
    } catch (error) {
      io.close(fd);
      throw error;
    }
  });
}

function setInt(fd: number, level: number, option: number, value: number, action: string): void {
  value32[0] = value;
  must(libc.check(libc.setsockopt(fd, level, option, value32Address, 4)), () => ({
    action,
    call: `setsockopt(${level}, ${option})`,
  }));
}

/**
 * Send an ICMP packet, from its type on; its checksum is the caller's.
 *
 * @param to  an IPv4 address, a word
 * @returns   bytes sent, or −errno: −EMSGSIZE when it does not fit the link, −ENETUNREACH without a route
 */
export function sendIcmp(fd: number, to: number, packet: Uint8Array): number {
  sockaddr.fill(0);
  sockaddr.writeUInt16LE(AF_INET, SIN_FAMILY);
  sockaddr.writeInt32BE(to | 0, SIN_ADDRESS);
  return libc.check(
    libc.sendto(fd, borrowAddress(packet), packet.length, 0, sockaddrAddress, SOCKADDR_IN_SIZE),
  );
}

/** Receive a packet, from its IP header on. @returns its bytes, or −EAGAIN when there is none */
export const receiveIcmp = (fd: number, into: Uint8Array): number =>
  io.read(fd, borrowAddress(into), into.length);
