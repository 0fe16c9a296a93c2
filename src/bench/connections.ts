/**
 * A program: `serve PORT` accepts connections and lets the client end them; `connect ADDRESS PORT SECONDS` opens one after the
 * other and prints how many a second, and the median time of one in microseconds. Ended by resets, so that no port waits.
 */
import { connect, createServer } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** The compiled program. */
export const CONNECTIONS = fileURLToPath(import.meta.url);

export interface Connections {
  readonly perSecond: number;
  readonly medianUs: number;
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
  const elapsed = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  const said: Connections = {
    perSecond: times.length / elapsed,
    medianUs: times[times.length >> 1]! * 1000,
  };
  console.log(JSON.stringify(said));
}

if (process.argv[1] === CONNECTIONS) await main(process.argv.slice(2));
