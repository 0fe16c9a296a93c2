/**
 * A program for both ends of a TCP connection that carries known bytes: run inside namespaces, it tells whether they came
 * through. `receive PORT` prints `ready`, then `BYTES SHA256`; `send HOST PORT BYTES SEED` prints the same of what it sent.
 */
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { random } from './random.js';

/** The compiled program. */
export const BYTE_STREAM = fileURLToPath(import.meta.url);

const CHUNK = 1 << 16;

function receive(port: number): void {
  const server = createServer((socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (data: Buffer) => {
      hash.update(data);
      bytes += data.length;
    });
    socket.on('end', () => {
      console.log(`${bytes} ${hash.digest('hex')}`);
      socket.end();
      server.close();
    });
  });
  server.listen(port, '0.0.0.0', () => console.log('ready'));
}

async function send(host: string, port: number, total: number, seed: number): Promise<void> {
  const source = random(seed);
  const block = Buffer.from(source.bytes(CHUNK));
  const hash = createHash('sha256');
  const socket = connect({ host, port });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  for (let left = total; left > 0;) {
    // Each chunk differs, so that a repeated or lost one shows.
    block.writeUInt32BE(left >>> 0, 0);
    const chunk = Buffer.from(block.subarray(0, Math.min(CHUNK, left)));
    hash.update(chunk);
    left -= chunk.length;
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.end();
  await new Promise((resolve) => socket.once('close', resolve));
  console.log(`${total} ${hash.digest('hex')}`);
}

if (process.argv[1] === BYTE_STREAM) {
  const [, , what, ...args] = process.argv;
  if (what === 'receive') receive(Number(args[0]));
  else await send(args[0]!, Number(args[1]), Number(args[2]), Number(args[3]));
}
