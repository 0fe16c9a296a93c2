/**
 * Reading logs of containers: whole, from the end, since a time, and on as they grow.
 *
 * A run's log is one file of entries (log-entry.ts), with what was cut off before in `.log.1`. It is written by this
 * process alone, whole entries at a time (log-writer.ts). Who follows has the file open, so he reads it to its end also
 * when it was cut meanwhile, or its pod removed.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  watch,
  type FSWatcher,
} from 'node:fs';
import { Readable } from 'node:stream';
import { parseEntry, tailStart, type LogStream } from './log-entry.js';

/** How often a followed log is looked at. */
const FOLLOW_MS = 100;
/** More than the longest entry, which is what a pipe holds. */
const CHUNK_BYTES = 1 << 18;

/** How to read a log. */
export interface ReadLogOptions {
  /** Only so many lines from the end; undefined: all. */
  tail?: number;
  /** Of these, only what was written at this time or later, as entries have it. */
  since?: string;
  /** Put its time before each line. */
  timestamps?: boolean;
  /** Only what was written to this stream. */
  stream?: LogStream;
  /** End after so many bytes; undefined: none are too many. */
  limitBytes?: number;
  /** Begin at this offset of the log as it is now, and not with what was cut off. */
  from?: number;
  /** Go on while this says so; undefined: end with what is there. */
  isGrowing?: () => boolean;
}

/**
 * Read a run's log as a program wrote it. A log that does not exist is empty.
 *
 * @param path  of the log; what was cut off is read from beside it
 */
export function readLog(path: string, options: ReadLogOptions): Readable {
  const { limitBytes = Infinity } = options;
  return Readable.from(limited(texts(path, options), limitBytes), { objectMode: false });
}

async function* limited(texts: AsyncGenerator<string>, limitBytes: number): AsyncGenerator<Buffer> {
  let left = limitBytes;
  for await (const text of texts) {
    yield Buffer.from(text.slice(0, left), 'latin1');
    left -= text.length;
    if (left <= 0) return;
  }
}

async function* texts(path: string, options: ReadLogOptions): AsyncGenerator<string> {
  const textOf = reader(options);
  for await (const entries of pieces(path, options)) {
    const text = textOf(entries);
    if (text !== '') yield text;
  }
}

/** What makes text of one piece of a log after the other: a line may go on from piece to piece. */
function reader({ since = '', timestamps = false, stream }: ReadLogOptions): (entries: string) => string {
  let isLineBegun = false;
  return (entries) => {
    let text = '';
    for (const one of entries.slice(0, -1).split('\n')) {
      const entry = parseEntry(one);
      if (!entry) {
        if (stream !== 'stderr' && since === '') text += `${one}\n`;
        continue;
      }
      if (entry.time < since || (stream !== undefined && entry.stream !== stream)) continue;
      if (timestamps && !isLineBegun) text += `${entry.time} `;
      text += entry.isPartial ? entry.text : `${entry.text}\n`;
      isLineBegun = entry.isPartial;
    }
    return text;
  };
}

/** A log's entries, whole ones. */
async function* pieces(path: string, { tail, from, isGrowing }: ReadLogOptions): AsyncGenerator<string> {
  let file = openIfThere(path);
  try {
    if (from !== undefined) {
      if (file) file.offset = from;
    } else {
      const cut = textOf(`${path}.1`);
      const all = cut + (file ? [...rest(file)].join('') : '');
      const entries = tail === undefined ? all : all.slice(tailStart(all, tail));
      if (entries !== '') yield entries;
    }
    while (isGrowing) {
      // Asked before the last read: what a container wrote before it ended is never missed.
      const isLast = !isGrowing();
      file ??= openIfThere(path);
      if (file) {
        yield* rest(file);
        if (wasCut(path, file)) {
          yield* rest(file); // what came before the cut and after our look
          closeSync(file.fd);
          file = undefined;
          continue;
        }
      }
      if (isLast) return;
      await change(path);
    }
  } finally {
    if (file) closeSync(file.fd);
  }
}

/** An open log. */
interface LogFile {
  readonly fd: number;
  readonly inode: number;
  /** Of what comes next. */
  offset: number;
}

function* rest(file: LogFile): Generator<string> {
  for (;;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const length = readSync(file.fd, chunk, 0, chunk.length, file.offset);
    const end = chunk.lastIndexOf(10, length - 1) + 1;
    if (length === 0 || end === 0) return;
    file.offset += end;
    yield chunk.toString('latin1', 0, end);
  }
}

function wasCut(path: string, { inode }: LogFile): boolean {
  const now = statSync(path, { throwIfNoEntry: false });
  return now !== undefined && now.ino !== inode;
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

/** As much of a log stands for a container's own last words. */
const LAST_WORDS_LINES = 80;
const LAST_WORDS_BYTES = 2048;

/** The end of a log, for a container that has left no message; undefined when it is empty. */
export function lastWordsOfLog(path: string): string | undefined {
  const entries = textOf(path);
  const text = entries === '' ? '' : reader({})(entries.slice(tailStart(entries, LAST_WORDS_LINES)));
  return Buffer.from(text.slice(-LAST_WORDS_BYTES), 'latin1').toString() || undefined;
}

const openIfThere = (path: string): LogFile | undefined => {
  try {
    const fd = openSync(path, 'r');
    return { fd, inode: fstatSync(fd).ino, offset: 0 };
  } catch {
    return undefined;
  }
};

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
};
