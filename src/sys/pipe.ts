/**
 * Pipes for the standard streams of children. Node's own are sockets, which a program cannot open again by
 * /dev/stdin or /dev/stdout (ENXIO).
 */
import { must } from './errno.js';
import * as libc from './libc.js';
import { addressOf } from './memory.js';

/** A pipe's two ends, both close-on-exec; the caller owns them. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

const fds = new Int32Array(2);
const fdsAddress = addressOf(fds);

/** @throws {SysError} when too many files are open */
export function openPipe(): Pipe {
  must(libc.check(libc.pipe2(fdsAddress, libc.O_CLOEXEC)), () => ({ action: 'make a pipe', call: 'pipe2' }));
  return { readFd: fds[0], writeFd: fds[1] };
}
