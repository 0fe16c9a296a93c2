/**
 * Writing the log of a container's run, and keeping it bounded.
 *
 * A log that has grown past the limit becomes `.log.1`, in place of what was cut off before, and a new one begins: between
 * two entries, so nothing is lost. Who follows it sees by the file's number that it is another one (logs.ts).
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { toEntries, type LogStream } from './log-entry.js';

export const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

export class LogWriter {
  readonly #path: string;
  readonly #limitBytes: number;
  readonly #failed: (error: Error) => void;
  #fd: number | undefined;
  #size = 0;
  #hasFailed = false;

  /**
   * @param path    of the log, which need not exist; its folder must
   * @param failed  told once when nothing can be written (a full disk), until something can again
   */
  constructor(path: string, failed: (error: Error) => void = () => {}, limitBytes = LOG_LIMIT_BYTES) {
    this.#path = path;
    this.#failed = failed;
    this.#limitBytes = limitBytes;
  }

  /** Add what a program has written, with the present time. What cannot be written is lost; it never throws. */
  write(stream: LogStream, written: Buffer): void {
    if (written.length === 0) return;
    try {
      if (this.#size > this.#limitBytes) {
        this.close();
        renameSync(this.#path, `${this.#path}.1`);
      }
      const fd = (this.#fd ??= this.#open());
      const entries = Buffer.from(toEntries(stream, written), 'latin1');
      for (let from = 0; from < entries.length;) {
        const length = writeSync(fd, entries, from);
        from += length;
        this.#size += length;
      }
      this.#hasFailed = false;
    } catch (error) {
      // The next entry must begin on a line of its own.
      this.close();
      if (!this.#hasFailed) this.#failed(error as Error);
      this.#hasFailed = true;
    }
  }

  #open(): number {
    const fd = openSync(this.#path, 'a+', 0o600);
    this.#size = fstatSync(fd).size;
    const last = Buffer.alloc(1);
    const isHalf = this.#size > 0 && readSync(fd, last, 0, 1, this.#size - 1) === 1 && last[0] !== 10;
    if (isHalf) this.#size += writeSync(fd, '\n');
    return fd;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
