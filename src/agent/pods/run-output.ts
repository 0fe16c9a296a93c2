/**
 * What a container's program writes, on its way into the log.
 *
 * Theory of operation. Its stdout and stderr are two FIFOs, N.out and N.err, which the waiter (command.ts) holds open for
 * reading and writing. The agent reads both, and adds to the log what it gets, with the time and the stream's name:
 *
 *     program ── N.out, N.err ── agent ── N.log
 *
 * While there is no agent the FIFOs keep what is written; a program that writes more than they hold (64 KiB each) waits
 * for the next agent. When the program has ended the agent takes what is left, and removes the FIFOs: that is how the
 * waiter knows that it may go. An agent that is killed between reading and writing loses what it has just read.
 *
 * Programs can open /dev/stdout and /dev/stderr again, as in a cluster: a FIFO is not truncated by that.
 */
import { closeSync, constants, existsSync, openSync, readSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { makeFifo } from '../../sys/pipe.js';
import { LogWriter } from './log-writer.js';
import type { LogStream } from './log-entry.js';

const FIFOS: readonly (readonly [suffix: string, stream: LogStream])[] = [
  ['out', 'stdout'],
  ['err', 'stderr'],
];

/** Make a run's FIFOs. @returns fds for the program's stdout and stderr; whoever starts it closes them */
export function makeOutput(base: string): number[] {
  return FIFOS.map(([suffix]) => {
    makeFifo(`${base}.${suffix}`);
    return openSync(`${base}.${suffix}`, constants.O_RDWR);
  });
}

/** Takes what a run writes, from now on. */
export interface Collector {
  /** The program has ended: take what is left, and remove the FIFOs. */
  finish(): void;
  /** The agent ends, the program does not. */
  leave(): void;
}

/** @param failed  see {@link LogWriter} */
export function collectOutput(base: string, failed: (error: Error) => void): Collector {
  const log = new LogWriter(`${base}.log`, failed);
  const sources = FIFOS.map(([suffix, stream]) => ({ path: `${base}.${suffix}`, stream }))
    .filter(({ path }) => existsSync(path))
    .map(({ path, stream }) => {
      const socket = new Socket({ fd: openForReading(path), readable: true, writable: false });
      socket.on('data', (chunk: Buffer) => log.write(stream, chunk)).on('error', () => {});
      socket.unref();
      return { path, stream, socket };
    });
  return {
    finish() {
      for (const { path, stream, socket } of sources) {
        // Opened before the socket is closed: a FIFO that nobody has open forgets what is in it.
        const fd = existsSync(path) ? openForReading(path) : undefined;
        socket.destroy();
        if (fd === undefined) continue;
        for (let chunk = readNow(fd); chunk.length > 0; chunk = readNow(fd)) log.write(stream, chunk);
        closeSync(fd);
        rmSync(path, { force: true });
      }
      log.close();
    },
    leave() {
      for (const { socket } of sources) socket.destroy();
      log.close();
    },
  };
}

const openForReading = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);

const CHUNK_BYTES = 65_536;

/** What is there; empty when nothing is. */
function readNow(fd: number): Buffer {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  try {
    return chunk.subarray(0, readSync(fd, chunk));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    return Buffer.alloc(0);
  }
}
