/**
 * Logs of containers: reading, following, and keeping them bounded.
 *
 * A run's log is one file that its processes append to by fd. Once it has grown past the limit it is copied to
 * `.log.1` and truncated; with O_APPEND the writers go on at its new end. What is written between copy and
 * truncation is lost.
 */
import {
  closeSync,
  copyFileSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  watch,
  type FSWatcher,
} from 'node:fs';
import { Readable } from 'node:stream';

export const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

/** How often a followed log is looked at. */
const FOLLOW_MS = 100;
const CHUNK_BYTES = 65_536;

/** Cut a log that has grown past the limit; called every few seconds. */
export function rotate(path: string, limitBytes = LOG_LIMIT_BYTES): void {
  if ((sizeOf(path) ?? 0) <= limitBytes) return;
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
}

/** How to read a log. */
export interface ReadLogOptions {
  /** Only so many lines from the end; undefined: all. */
  tail?: number;
  /** End after so many bytes; undefined: none are too many. */
  limitBytes?: number;
  /** Begin at this offset of the log as it is now, and not with what was cut off. */
  from?: number;
  /** Go on while this says so; undefined: end with what is there. */
  isGrowing?: () => boolean;
}

/**
 * Read a run's log as text. A log that does not exist is empty.
 *
 * @param path  of the log; what was cut off is read from beside it
 */
export function readLog(path: string, options: ReadLogOptions): Readable {
  const { limitBytes = Infinity } = options;
  return Readable.from(limited(pieces(path, options), limitBytes), { objectMode: false });
}

async function* limited(pieces: AsyncGenerator<Buffer>, limitBytes: number): AsyncGenerator<Buffer> {
  let left = limitBytes;
  for await (const piece of pieces) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}

async function* pieces(path: string, { tail, from, isGrowing }: ReadLogOptions): AsyncGenerator<Buffer> {
  // Kept open to the end: a pod's folder may be removed before its last words are read.
  let fd = openIfThere(path);
  try {
    let offset = from ?? 0;
    if (from === undefined) {
      const now = fd === undefined ? Buffer.alloc(0) : readFileSync(fd);
      const text = Buffer.concat([bytesOf(`${path}.1`), now]);
      const rest = tail === undefined ? text : lastLines(text, tail);
      if (rest.length > 0) yield rest;
      offset = now.length;
    }
    while (isGrowing) {
      // Asked before the last read: what a container wrote before it ended is never missed.
      const isLast = !isGrowing();
      fd ??= openIfThere(path);
      if (fd !== undefined) {
        if (fstatSync(fd).size < offset) offset = 0; // it was cut
        for (let piece = readAt(fd, offset); piece.length > 0; piece = readAt(fd, offset)) {
          offset += piece.length;
          yield piece;
        }
      }
      if (isLast) return;
      await change(path);
    }
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Wait until something is written, so that who types on a terminal sees it at once; or for a moment. */
function change(path: string): Promise<void> {
  return new Promise((resolve) => {
    let watcher: FSWatcher | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      watcher?.close();
      resolve();
    };
    const timer = setTimeout(settle, FOLLOW_MS);
    try {
      watcher = watch(path, settle).on('error', settle);
    } catch {
      // There is no log yet, or there are too many watches: the moment must do.
    }
  });
}

/** The last `count` lines; a last line without its newline counts. */
export function lastLines(text: Buffer, count: number): Buffer {
  let start = text.length;
  for (let left = count; left > 0 && start > 0; left--) {
    // The byte before `start` is the newline that ends this line: look before it.
    start = start < 2 ? 0 : text.lastIndexOf(10, start - 2) + 1;
  }
  return text.subarray(start);
}

/** As much of a log stands for a container's own last words. */
const LAST_WORDS_LINES = 80;
const LAST_WORDS_BYTES = 2048;

/** The end of a log, for a container that has left no message; undefined when it is empty. */
export function lastWordsOfLog(path: string): string | undefined {
  const lines = lastLines(bytesOf(path), LAST_WORDS_LINES);
  return lines.subarray(Math.max(lines.length - LAST_WORDS_BYTES, 0)).toString() || undefined;
}

function readAt(fd: number, offset: number): Buffer {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  return chunk.subarray(0, readSync(fd, chunk, 0, chunk.length, offset));
}

const openIfThere = (path: string): number | undefined => {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
};

const bytesOf = (path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
};

const sizeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.size;
