/**
 * Pseudo-terminals, pty(7). A terminal belongs to the devpts file system whose ptmx made it: opened through
 * /proc/PID/root of a pod it is /dev/pts/N there. The slave is had by TIOCGPTPEER (Linux 4.13), without its path.
 *
 * Node cannot write to a master: libuv takes it for a terminal that must be written blocking. So {@link Pty.write} is a
 * direct call on the non-blocking fd, and reading is left to a `tty.ReadStream`.
 */
import { EAGAIN, EINTR, EIO, must } from './errno.js';
import { open } from './file.js';
import * as io from './io.js';
import * as libc from './libc.js';
import { addressOf, borrowAddress } from './memory.js';

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TIOCSWINSZ = 0x5414;
const O_NOCTTY = 0o400;

/** struct winsize: rows, columns, and two that nobody uses. */
const winsize = new Uint16Array(4);
const winsizeAddress = addressOf(winsize);
const unlocked = new Int32Array(1);
const unlockedAddress = addressOf(unlocked);

/** The master of a terminal; the fd is the caller's to close. */
export interface Pty {
  readonly masterFd: number;
  /** For the programs on the terminal; the caller closes it once they have it. */
  readonly slaveFd: number;
}

/**
 * Make a terminal.
 *
 * @param ptmx  such as `/dev/pts/ptmx` of the pod's root
 */
export function openPty(ptmx: string): Pty {
  const failure = (call: string) => () => ({ action: 'make a terminal', call });
  const masterFd = must(open(ptmx, libc.O_RDWR | libc.O_NONBLOCK | O_NOCTTY), failure(`open(${ptmx})`));
  try {
    must(libc.check(libc.ioctl(masterFd, TIOCSPTLCK, unlockedAddress)), failure('ioctl(TIOCSPTLCK)'));
    const flags = libc.O_RDWR | libc.O_CLOEXEC | O_NOCTTY;
    const slaveFd = must(libc.check(libc.ioctl(masterFd, TIOCGPTPEER, flags)), failure('ioctl(TIOCGPTPEER)'));
    return { masterFd, slaveFd };
  } catch (error) {
    io.close(masterFd);
    throw error;
  }
}

/** Tell the terminal its size, which tells its programs (SIGWINCH). A terminal that is gone is no error. */
export function resizePty(masterFd: number, columns: number, rows: number): void {
  winsize[0] = rows;
  winsize[1] = columns;
  libc.ioctl(masterFd, TIOCSWINSZ, winsizeAddress);
}

/**
 * Type bytes into a terminal.
 *
 * @returns how many it took; 0 when its programs are not reading
 * @throws {SysError} when it is gone
 */
export function writePty(masterFd: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return 0;
  const result = io.write(masterFd, borrowAddress(bytes), bytes.length);
  if (result === -EAGAIN || result === -EINTR || result === -EIO) return 0;
  return must(result, () => ({ action: 'write to a terminal', call: 'write' }));
}

/** Tell the terminal that a process has as its input its size; none, or no such process, is no error. */
export function resizeTerminalOf(pid: number, columns: number, rows: number): void {
  const fd = open(`/proc/${pid}/fd/0`, libc.O_RDWR | libc.O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  resizePty(fd, columns, rows);
  io.close(fd);
}
