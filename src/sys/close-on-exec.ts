/**
 * Descriptors that other people's code opens: a native module that forgets O_CLOEXEC hands its socket to every program
 * that we start, and a pod's holder would keep it long after we are gone.
 */
import { readdirSync } from 'node:fs';
import * as libc from './libc.js';

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** The list names also the descriptor by which it was read, which is closed again, and its number free. */
const openFds = (): number[] =>
  readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => libc.fcntl(fd, F_GETFD, 0) >= 0);

/**
 * Run `open` and mark what it opened as close-on-exec. What other threads open meanwhile is marked too, which does no
 * harm: Node and we open everything that way.
 */
export function closeOnExec<T>(open: () => T): T {
  const before = new Set(openFds());
  const result = open();
  for (const fd of openFds()) if (!before.has(fd)) libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
  return result;
}
