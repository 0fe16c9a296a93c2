/**
 * Small text files by direct system calls on this very thread, as `inNetns` demands: /proc/sys and /proc/net show the
 * namespace of the thread that opens them.
 */
import { must } from './errno.js';
import * as io from './io.js';
import * as libc from './libc.js';
import { addressOf } from './memory.js';

const chunk = Buffer.from(new ArrayBuffer(65536));
const chunkAddress = addressOf(chunk);

/** open(2): the fd or −errno. Always close-on-exec. */
export function open(path: string, flags: number): number {
  return libc.check(libc.open(path, flags | libc.O_CLOEXEC, 0));
}

/** The whole text of a file. Throws {@link SysError}. */
export function readText(path: string): string {
  const failure = (call: string) => () => ({ action: `read "${path}"`, call });
  const fd = must(open(path, libc.O_RDONLY), failure('open'));
  try {
    let text = '';
    for (;;) {
      const length = must(io.read(fd, chunkAddress, chunk.length), failure('read'));
      if (length === 0) return text;
      text += chunk.toString('latin1', 0, length);
    }
  } finally {
    io.close(fd);
  }
}

/** Write a short text into an existing file with one write(2). Throws {@link SysError}. */
export function writeText(path: string, text: string): void {
  const failure = (call: string) => () => ({ action: `write "${text}" to "${path}"`, call });
  const fd = must(open(path, libc.O_WRONLY), failure('open'));
  try {
    const length = chunk.write(text, 'latin1');
    must(io.write(fd, chunkAddress, length), failure('write'));
  } finally {
    io.close(fd);
  }
}
