/**
 * A program: `serve PORT` accepts connections and lets the client end them; `connect ADDRESS PORT SECONDS` opens one after the
 * other and prints how many a second, the median time of one in microseconds, and how many hung. Ended by resets, so that no port
 * waits.
 */
import { connect, createServer } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { median } from './case.js';

/** The compiled program. */
export const CONNECTIONS = fileURLToPath(import.meta.url);

export interface Connections {
  readonly perSecond: number;
  readonly medianUs: number;
  /** That took so long that a packet of theirs must have been lost: what is per second says nothing then. */
  readonly hung: number;
}

/** A SYN without an answer is sent again after a second (RFC 6298); nothing else takes nearly as long. */
const HUNG_MS = 900;

/** What came of connections that took these times. */
export function summarize(timesMs: readonly number[], elapsedMs: number): Connections {
  return {
    perSecond: (timesMs.length / elapsedMs) * 1000,
    medianUs: median(timesMs) * 1000,
    hung: timesMs.filter((time) => time > HUNG_MS).length,
  };
}

const open = (host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = connect({ host, port }, () => {
      const took = performance.now() - began;
      socket.resetAndDestroy();
      resolve(took);
    });
    socket.once('error', reject);
  });

async function main([what, ...words]: readonly string[]): Promise<void> {
  if (what === 'serve') {
    const server = createServer((socket) => socket.on('error', () => undefined));
    server.listen(Number(words[0]), () => console.log('ready'));
    return;
  }
  const [host, port, seconds] = words;
  const times: number[] = [];
  const began = performance.now();
  const end = began + Number(seconds) * 1000;
  while (performance.now() < end) times.push(await open(host!, Number(port)));
  console.log(JSON.stringify(summarize(times, performance.now() - began)));
}

if (process.argv[1] === CONNECTIONS) await main(process.argv.slice(2));
