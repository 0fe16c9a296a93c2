/**
 * epoll(7): one thread waits for many fds. Level-triggered unless EPOLLET is asked for.
 */
import { EINTR, must } from './errno.js';
import { EPOLL_DATA, EPOLL_EVENTS, EPOLL_EVENT_SIZE } from './layout.js';
import * as libc from './libc.js';
import { addressOf } from './memory.js';

export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLET = 0x80000000;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

const event = new DataView(new ArrayBuffer(EPOLL_EVENT_SIZE));
const eventAddress = addressOf(event);

function control(epfd: number, operation: number, fd: number, events: number, data32: number): number {
  event.setUint32(EPOLL_EVENTS, events, true);
  event.setUint32(EPOLL_DATA, data32, true);
  return libc.check(libc.epollCtl(epfd, operation, fd, eventAddress));
}

/** A new epoll instance, close-on-exec. Throws {@link SysError}. */
export function createEpoll(): number {
  return must(libc.check(libc.epollCreate(libc.O_CLOEXEC)), () => ({
    action: 'make an epoll instance',
    call: 'epoll_create1',
  }));
}

/** Wait for `events` on `fd` from now on; each event carries `data32`. 0 or −errno. */
export function add(epfd: number, fd: number, events: number, data32: number): number {
  return control(epfd, EPOLL_CTL_ADD, fd, events, data32);
}

/** Change what {@link add} said. 0 or −errno. */
export function modify(epfd: number, fd: number, events: number, data32: number): number {
  return control(epfd, EPOLL_CTL_MOD, fd, events, data32);
}

/** Wait for `fd` no longer; before it is closed. 0 or −errno. */
export function remove(epfd: number, fd: number): number {
  return control(epfd, EPOLL_CTL_DEL, fd, 0, 0);
}

/**
 * Block this thread until something happens.
 *
 * @param eventsAddress  room for `max` events of `EPOLL_EVENT_SIZE`; the bits are at `EPOLL_EVENTS`, data32 at `EPOLL_DATA`
 * @param timeoutMs      −1 for ever; 0 only looks
 * @returns              how many events there are, 0 after the time or a signal (EINTR is an ordinary wake-up), or −errno
 */
export function wait(epfd: number, eventsAddress: number, max: number, timeoutMs: number): number {
  const count = libc.check(libc.epollWait(epfd, eventsAddress, max, timeoutMs));
  return count === -EINTR ? 0 : count;
}
