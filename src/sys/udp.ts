/**
 * UDP sockets for tunnels: non-blocking, with segmentation (UDP_SEGMENT, udp(7)) and coalescing (UDP_GRO) where the
 * kernel has them. IPv4 only.
 *
 * `gso` says the kernel knows UDP_SEGMENT; a NIC without transmit checksum offload may still refuse it, with EIO on the
 * first send: then turn it off for that socket for good and send the same datagrams with `sendmmsg`.
 */
import ipaddr from 'ipaddr.js';
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, ENODEV, EPERM, must } from './errno.js';
import { isLinkName, setIfreq } from './ifreq.js';
import { IFNAMSIZ, SIN_ADDRESS, SIN_FAMILY, SIN_PORT, SOCKADDR_IN_SIZE } from './layout.js';
import * as io from './io.js';
import * as libc from './libc.js';
import { addressOf } from './memory.js';
import { inNetns } from './netns.js';

export const AF_INET = 2;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;
export const MSG_CTRUNC = 0x08;
/** Level and types of the control messages that carry segment sizes: 16 bits when sending, 32 when receiving. */
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
/** The most datagrams in one UDP_SEGMENT send on every kernel, and the most bytes. */
export const UDP_MAX_SEGMENTS = 64;
export const UDP_MAX_PAYLOAD = 65507;

const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
export const IPPROTO_IP = 0;
/** Level and type of the control message that carries the TOS byte of what was received, one byte. */
export const IP_TOS = 1;
const IP_MTU_DISCOVER = 10;
const IP_RECVTOS = 13;
const IP_PMTUDISC_PROBE = 3;

/** An open socket; who opened it closes it. */
export interface UdpSocket {
  readonly fd: number;
  /** UDP_SEGMENT may be used. */
  readonly gso: boolean;
  /** Trains of datagrams come as one, with their size in a UDP_GRO control message. */
  readonly gro: boolean;
  readonly port: number;
}

export interface UdpOptions {
  /** Where the socket is to be: name under /run/netns or absolute path; undefined: here. */
  netns?: string;
  /** IPv4 address to bind to, `0.0.0.0` for all. */
  address: string;
  /** 0: any free one. */
  port: number;
  /** Coalesce on receipt if the kernel can; default yes. */
  gro?: boolean;
  /** Segment on sending if the kernel can; default yes. */
  gso?: boolean;
  /** Bytes; beyond the system's limit where we may, else as much as it allows. */
  receiveBuffer?: number;
  sendBuffer?: number;
  /** Set DF and ignore path MTUs that the kernel learned: one ICMP error would break UDP_SEGMENT for good. */
  pmtuProbe?: boolean;
  /** Say the TOS byte of each message received, see {@link IP_TOS}. */
  receiveTos?: boolean;
  /** Bind to this interface. */
  device?: string;
}

/** Set an option of a UDP socket to an integer: 0 or −errno. */
type SetOption = (level: number, option: number, value: number) => number;

/**
 * Find out what the kernel can do, and switch on what is to be on.
 *
 * UDP_SEGMENT 0 changes nothing but fails (ENOPROTOOPT) on kernels before 4.18; sizes are then given with each send.
 */
export function negotiateUdp(
  { gso = true, gro = true }: Pick<UdpOptions, 'gso' | 'gro'>,
  set: SetOption,
): { gso: boolean; gro: boolean } {
  return {
    gso: gso && set(SOL_UDP, UDP_SEGMENT, 0) >= 0,
    gro: gro && set(SOL_UDP, UDP_GRO, 1) >= 0,
  };
}

/**
 * Open and bind a UDP socket.
 *
 * @throws {RangeError} for an address that is not IPv4, a port that is none, a device that can be none
 * @throws {SysError}   with advice when the address is in use, not ours, or the device is not there
 */
export function openUdp(options: UdpOptions): UdpSocket {
  const { netns, address, port, device } = options;
  if (!ipaddr.IPv4.isValidFourPartDecimal(address))
    throw new RangeError(`Cannot open UDP socket on "${address}": need an IPv4 address`);
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new RangeError(`Cannot open UDP socket on port ${port}: need 0..65535`);
  if (device !== undefined && !isLinkName(device))
    throw new RangeError(`Cannot open UDP socket on device "${device}": no link can have that name`);
  const action =
    `open UDP socket on ${address}:${port}` + (netns === undefined ? '' : ` in network namespace "${netns}"`);

  return inNetns(netns, () => {
    const type = SOCK_DGRAM | libc.O_NONBLOCK | libc.O_CLOEXEC;
    const fd = must(libc.check(libc.socket(AF_INET, type, 0)), () => ({ action, call: 'socket' }));
    const set: SetOption = (level, option, value) => setInt(fd, level, option, value);
    try {
      if (device !== undefined) bindToDevice(fd, device, action);
      if (options.receiveBuffer !== undefined)
        setBuffer(set, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBuffer, action);
      if (options.sendBuffer !== undefined)
        setBuffer(set, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBuffer, action);
      if (options.pmtuProbe === true)
        must(set(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE), () => ({
          action,
          call: 'setsockopt(IP_MTU_DISCOVER)',
        }));
      if (options.receiveTos === true)
        must(set(IPPROTO_IP, IP_RECVTOS, 1), () => ({ action, call: 'setsockopt(IP_RECVTOS)' }));
      setAddress(address, port);
      must(libc.check(libc.bind(fd, sockaddrAddress, SOCKADDR_IN_SIZE)), (errno) => ({
        action,
        call: 'bind',
        advice: BIND_ADVICE[errno],
      }));
      const offloads = negotiateUdp(options, set);
      length[0] = SOCKADDR_IN_SIZE;
      must(libc.check(libc.getsockname(fd, sockaddrAddress, lengthAddress)), () => ({
        action,
        call: 'getsockname',
      }));
      return { fd, ...offloads, port: sockaddr.readUInt16BE(SIN_PORT) };
    } catch (error) {
      io.close(fd);
      throw error;
    }
  });
}

/**
 * Switch coalescing on receipt on or off, as while somebody captures: a capture is to show single datagrams.
 *
 * @returns  0 or −errno
 */
export function setGro(fd: number, on: boolean): number {
  return setInt(fd, SOL_UDP, UDP_GRO, on ? 1 : 0);
}

const BIND_ADVICE: Record<number, string> = {
  [EADDRINUSE]: 'another program uses this port; `ss -ulpn` names it',
  [EADDRNOTAVAIL]: 'no interface has this address',
  [EACCES]: 'ports below 1024 need root',
};

const sockaddr = Buffer.from(new ArrayBuffer(SOCKADDR_IN_SIZE));
const sockaddrAddress = addressOf(sockaddr);
const length = new Int32Array(1);
const lengthAddress = addressOf(length);
const value32 = new Int32Array(1);
const value32Address = addressOf(value32);

function setAddress(address: string, port: number): void {
  sockaddr.fill(0);
  sockaddr.writeUInt16LE(AF_INET, SIN_FAMILY);
  sockaddr.writeUInt16BE(port, SIN_PORT);
  sockaddr.set(ipaddr.IPv4.parse(address).toByteArray(), SIN_ADDRESS);
}

function setInt(fd: number, level: number, option: number, value: number): number {
  value32[0] = value;
  return libc.check(libc.setsockopt(fd, level, option, value32Address, 4));
}

function setBuffer(set: SetOption, force: number, plain: number, bytes: number, action: string): void {
  if (set(SOL_SOCKET, force, bytes) >= 0) return;
  must(set(SOL_SOCKET, plain, bytes), () => ({ action, call: 'setsockopt(SO_RCVBUF or SO_SNDBUF)' }));
}

function bindToDevice(fd: number, device: string, action: string): void {
  // SO_BINDTODEVICE takes the whole field of struct ifreq, so the one that is there serves.
  const name = setIfreq(device);
  must(libc.check(libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, IFNAMSIZ)), (errno) => ({
    action,
    call: `setsockopt(SO_BINDTODEVICE, ${device})`,
    advice: errno === ENODEV ? 'there is no such interface' : errno === EPERM ? 'run as root' : undefined,
  }));
}
