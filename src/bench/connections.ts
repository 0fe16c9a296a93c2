/**
 * A program: `serve PORT` accepts connections and lets the client end them; `connect ADDRESS PORT SECONDS` opens one after the
 * other and prints how many a second, the median time of one in microseconds, and how many hung: as many as the kernel had to
 * send SYNs again for, which it does after a second (RFC 6298). Ended by resets, so that no port waits.
 */
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { median } from './case.js';

/** The compiled program. */
export const CONNECTIONS = fileURLToPath(import.meta.url);

/** Of the namespace that the program runs in. */
const NETSTAT = '/proc/self/net/netstat';

export interface Connections {
  readonly perSecond: number;
  readonly medianUs: number;
  /** SYNs that were sent again: a packet was lost, and what is per second says nothing. */
  readonly hung: number;
}

/** @param netstat  the text of /proc/net/netstat: a line of names, then one of figures */
export function synsSentAgain(netstat: string): number {
  const [names, figures] = netstat
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  return Number(figures?.[names!.indexOf('TCPSynRetrans')]);
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
  const before = synsSentAgain(readFileSync(NETSTAT, 'utf8'));
  const began = performance.now();
  const end = began + Number(seconds) * 1000;
  while (performance.now() < end) times.push(await open(host!, Number(port)));
  const said: Connections = {
    perSecond: (times.length / (performance.now() - began)) * 1000,
    medianUs: median(times) * 1000,
    hung: synsSentAgain(readFileSync(NETSTAT, 'utf8')) - before,
  };
  console.log(JSON.stringify(said));
}

if (process.argv[1] === CONNECTIONS) await main(process.argv.slice(2));
