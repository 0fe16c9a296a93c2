/**
 * Make something inside another network namespace: a socket or a TAP belongs for ever to the namespace its thread was in
 * when it was made, and its fd works from everywhere.
 *
 * Only this thread moves. Hence the rule for what runs inside: direct system calls, nothing else. Node's own sockets
 * are bound on other threads or later; a thread of the pool first started inside would stay there for good.
 */
import { ENOENT, EPERM, must } from './errno.js';
import { open } from './file.js';
import * as io from './io.js';
import * as libc from './libc.js';

const CLONE_NEWNET = 0x40000000;

/** Where `ip netns` keeps the names. */
export const NETNS_DIR = '/run/netns';

/** The file of a namespace given by its `ip netns` name or by an absolute path (`/proc/123/ns/net`). */
export function netnsPath(netns: string): string {
  if (netns.startsWith('/')) return netns;
  if (netns === '' || netns === '.' || netns === '..' || netns.includes('/'))
    throw new RangeError(`Cannot use "${netns}" as a network namespace: need a name or an absolute path`);
  return `${NETNS_DIR}/${netns}`;
}

/**
 * Run `fn` with this thread in the network namespace `netns`, and return what it returned.
 *
 * The thread is back in the old namespace afterwards, also when `fn` throws. Should that fail the process is aborted:
 * whatever it did next would hit the wrong network. Calls may nest.
 *
 * @param netns  name under /run/netns or absolute path; undefined: where we are, `fn` is simply called
 * @param fn     synchronous, direct system calls only
 * @throws {SysError} when the namespace cannot be entered
 */
export function inNetns<T>(netns: string | undefined, fn: () => T): T {
  if (netns === undefined) return fn();
  const path = netnsPath(netns);
  const action = `enter network namespace "${netns}"`;
  const here = must(open('/proc/thread-self/ns/net', libc.O_RDONLY), () => ({ action, call: 'open' }));
  try {
    const there = must(open(path, libc.O_RDONLY), (errno) => ({
      action,
      call: `open(${path})`,
      advice: errno === ENOENT ? 'there is none of that name' : undefined,
    }));
    try {
      must(libc.check(libc.setns(there, CLONE_NEWNET)), (errno) => ({
        action,
        call: 'setns',
        advice: errno === EPERM ? 'run as root (CAP_SYS_ADMIN)' : undefined,
      }));
    } finally {
      io.close(there);
    }
    let result: T;
    try {
      result = fn();
    } finally {
      if (libc.setns(here, CLONE_NEWNET) < 0) process.abort();
    }
    if (result instanceof Promise)
      throw new TypeError(
        `Cannot wait inside network namespace "${netns}": only synchronous calls work there`,
      );
    return result;
  } finally {
    io.close(here);
  }
}
