/**
 * Pipes for the standard streams of children. Node's own are sockets, which a program cannot open again by
 * /dev/stdin or /dev/stdout (ENXIO).
 */
import { must } from './errno.js';
import { open } from './file.js';
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

/** Make a FIFO that only its owner may open. @throws {SysError} when there is something of that name */
export function makeFifo(path: string): void {
  must(libc.check(libc.mkfifo(path, 0o600)), () => ({ action: `make "${path}"`, call: 'mkfifo' }));
}

/** Open a FIFO for writing; somebody must have it open for reading. The fd is the caller's. @throws {SysError} */
export function openFifo(path: string): number {
  return must(open(path, libc.O_WRONLY | libc.O_NONBLOCK), () => ({
    action: `write to "${path}"`,
    call: 'open',
  }));
}
