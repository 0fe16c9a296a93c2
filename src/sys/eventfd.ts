/**
 * eventfd(2): wakes a thread that waits in epoll. Any thread may signal, one drains.
 */
import { EAGAIN, must } from './errno.js';
import * as io from './io.js';
import * as libc from './libc.js';
import { addressOf } from './memory.js';

const one = new BigUint64Array([1n]);
const oneAddress = addressOf(one);
const count = new BigUint64Array(1);
const countAddress = addressOf(count);

/** A new eventfd with count 0, non-blocking, close-on-exec. Throws {@link SysError}. */
export function createEventfd(): number {
  return must(libc.check(libc.eventfd(0, libc.O_NONBLOCK | libc.O_CLOEXEC)), () => ({
    action: 'make an eventfd',
    call: 'eventfd',
  }));
}

/** Make the eventfd readable. 0 or −errno; a full count is no error, since whoever waits is woken. */
export function signal(fd: number): number {
  const result = io.write(fd, oneAddress, 8);
  return result < 0 && result !== -EAGAIN ? result : 0;
}

/** Make it unreadable again. How many signals there were since the last time (0 if none), or −errno. */
export function drain(fd: number): number {
  const result = io.read(fd, countAddress, 8);
  if (result === -EAGAIN) return 0;
  return result < 0 ? result : Number(count[0]);
}
