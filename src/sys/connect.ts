/**
 * TCP clients inside another network namespace. The socket is made there by a direct system call and stays there for
 * ever; Node's own `connect` on it is non-blocking as any other and works from here:
 *
 *     const socket = new net.Socket({ fd: openTcp(netns), readable: true, writable: true });
 *     socket.connect({ host: '10.244.1.2', port: 80 });
 *
 * The host must be an address: names would be looked up in the process's own namespace. IPv4 only.
 */
import { EMFILE, must } from './errno.js';
import * as libc from './libc.js';
import { inNetns } from './netns.js';

const AF_INET = 2;
const SOCK_STREAM = 1;

/**
 * Make a TCP socket that is neither bound nor connected.
 *
 * @param netns  name under /run/netns or absolute path; undefined: here
 * @returns      the fd, non-blocking and close-on-exec; the caller owns it
 */
export function openTcp(netns: string | undefined): number {
  return inNetns(netns, () =>
    must(libc.check(libc.socket(AF_INET, SOCK_STREAM | libc.O_NONBLOCK | libc.O_CLOEXEC, 0)), (errno) => ({
      action: 'open TCP socket' + (netns === undefined ? '' : ` in network namespace "${netns}"`),
      call: 'socket',
      advice: errno === EMFILE ? 'too many files are open; raise `ulimit -n`' : undefined,
    })),
  );
}
