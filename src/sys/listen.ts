/**
 * TCP sockets for servers inside another network namespace. The socket is made and bound here by direct system
 * calls; Node puts its server on the fd with `server.listen({ fd })`, which also calls listen(2). Never
 * `server.listen(port, '0.0.0.0')` inside: that binds in the process's own namespace. IPv4 only.
 */
import { EADDRINUSE, EADDRNOTAVAIL, must } from './errno.js';
import { SIN_ADDRESS, SIN_FAMILY, SIN_PORT, SOCKADDR_IN_SIZE } from './layout.js';
import * as io from './io.js';
import * as libc from './libc.js';
import { addressOf } from './memory.js';
import { inNetns } from './netns.js';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;

const BIND_ADVICE = new Map([
  [EADDRINUSE, 'another program there listens on it'],
  [EADDRNOTAVAIL, 'that host has no such address'],
]);

const sockaddr = Buffer.from(new ArrayBuffer(SOCKADDR_IN_SIZE));
const sockaddrAddress = addressOf(sockaddr);
const one = new Int32Array([1]);
const oneAddress = addressOf(one);

/**
 * Make a TCP socket and bind it to a port.
 *
 * @param netns    name under /run/netns or absolute path; undefined: here
 * @param port     1..65535, or 0 for any free one
 * @param address  an IPv4 address of that namespace as a word; 0: all of them
 * @returns        the fd, non-blocking and close-on-exec; the caller owns it
 * @throws {SysError} EADDRINUSE when another socket of that namespace listens on the port
 */
export function bindTcp(netns: string | undefined, port: number, address = 0): number {
  const action = `bind TCP port ${port}` + (netns === undefined ? '' : ` in network namespace "${netns}"`);
  return inNetns(netns, () => {
    const type = SOCK_STREAM | libc.O_NONBLOCK | libc.O_CLOEXEC;
    const fd = must(libc.check(libc.socket(AF_INET, type, 0)), () => ({ action, call: 'socket' }));
    try {
      // Connections of the server before us may still be in TIME_WAIT.
      must(libc.check(libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, oneAddress, 4)), () => ({
        action,
        call: 'setsockopt(SO_REUSEADDR)',
      }));
      sockaddr.fill(0);
      sockaddr.writeUInt16LE(AF_INET, SIN_FAMILY);
      sockaddr.writeUInt16BE(port, SIN_PORT);
      sockaddr.writeInt32BE(address | 0, SIN_ADDRESS);
      must(libc.check(libc.bind(fd, sockaddrAddress, SOCKADDR_IN_SIZE)), (errno) => ({
        action,
        call: 'bind',
        advice: BIND_ADVICE.get(errno),
      }));
      return fd;
    } catch (error) {
      io.close(fd);
      throw error;
    }
  });
}
