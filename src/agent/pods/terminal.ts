/**
 * A terminal in a pod, as Node streams. Made in the pod's own devpts, so that `tty` finds it there.
 *
 * The end of its programs shows as EIO on the master: that is the end of the output, not an error. What is typed and
 * not taken (the kernel holds some 4 KB while nobody reads) is tried again after a moment; Node has no way to wait for
 * a master to become writable.
 */
import { Readable, Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { openPty, resizePty, writePty } from '../../sys/pty.js';

const RETRY_MS = 10;

export interface Terminal {
  /** For the programs; whoever starts them closes it. */
  readonly slaveFd: number;
  readonly output: Readable;
  readonly input: Writable;
  resize(columns: number, rows: number): void;
  /** Hang up. */
  close(): void;
}

/** Make a terminal in the pod of this holder. */
export function openTerminal(holderPid: number): Terminal {
  const { masterFd, slaveFd } = openPty(`/proc/${holderPid}/root/dev/pts/ptmx`);
  const master = new ReadStream(masterFd);
  const output = new Readable({
    read: () => void master.resume(),
    destroy(error, done) {
      master.destroy();
      done(error);
    },
  });
  master.on('data', (chunk: Buffer) => {
    if (!output.push(chunk)) master.pause();
  });
  master.on('error', () => {}); // EIO; its close follows
  master.once('close', () => output.push(null));
  const input = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (master.destroyed) return done(new Error('The terminal is gone'));
      let taken: number;
      try {
        taken = writePty(masterFd, chunk);
      } catch (error) {
        return done(error as Error);
      }
      if (taken === chunk.length) return done();
      setTimeout(() => this._write(chunk.subarray(taken), 'buffer' as BufferEncoding, done), RETRY_MS);
    },
  });
  return {
    slaveFd,
    output,
    input,
    resize(columns, rows) {
      if (!master.destroyed) resizePty(masterFd, columns, rows);
    },
    close: () => void master.destroy(),
  };
}
