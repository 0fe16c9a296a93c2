/**
 * A log that a test can read: what a server has said, down to the least.
 */
import { Writable } from 'node:stream';
import { pino, type Logger } from 'pino';

/** `lines` grows as the log is written. */
export function keptLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { log: pino({ level: 'trace' }, sink), lines };
}
