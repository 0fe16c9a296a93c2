/**
 * A program that starts the packet worker and ends in the way its argument says; the test looks whether it ends at all.
 */
import { createSocket } from 'node:dgram';
import { fileURLToPath } from 'node:url';
import { WorkerHandle } from '../../src/agent/packet/worker-handle.js';
import * as libc from '../../src/sys/libc.js';
import { openUdp } from '../../src/sys/udp.js';
import { PORT_POD } from '../../src/tables/ports.js';
import { STATIC_NAMES } from '../../src/tables/tables.js';

/** The compiled program. */
export const WORKER_CHILD = fileURLToPath(import.meta.url);

const F_SETFL = 4;

/** Rows that no table has: the worker throws when it applies them. */
const NONSENSE = [{ table: 77, row: 1, words: new Int32Array(4) }];

const ENDINGS: Record<string, (handle: WorkerHandle) => unknown> = {
  'process.exit': () => process.exit(7),
  throw: () =>
    setImmediate(() => {
      throw new Error('thrown on the main thread');
    }),
  rejection: () => void Promise.reject(new Error('rejected on the main thread')),
  close: (handle) => handle.close(),
  signal: () => {
    process.on('SIGTERM', () => process.exit(0));
    console.log('waiting');
  },
  'worker error': (handle) => handle.update(NONSENSE),
  async hang(handle) {
    // A port that blocks when it is empty: the worker's second read never returns.
    const { fd, port } = openUdp({ address: '127.0.0.1', port: 0, gro: false });
    libc.fcntl(fd, F_SETFL, 0);
    const sender = createSocket('udp4');
    await new Promise((resolve) => sender.send(new Uint8Array(60), port, '127.0.0.1', resolve));
    sender.close();
    const { ports } = handle.tables;
    const words = new Int32Array(ports.columnNames.length);
    words[ports.columnNames.indexOf('kind')] = PORT_POD;
    words[ports.columnNames.indexOf('handle')] = fd;
    await handle.update([{ table: STATIC_NAMES.indexOf('ports'), row: 1, words }]);
    for (;;)
      await handle.update([{ table: STATIC_NAMES.indexOf('segments'), row: 1, words: new Int32Array(6) }]);
  },
};

if (process.argv[1] === WORKER_CHILD) {
  const handle = await WorkerHandle.start({
    notice: (text) => console.log(text),
    fatal(reason) {
      console.log(reason);
      process.exit(1);
    },
  });
  console.log('started');
  await ENDINGS[process.argv[2]!]!(handle);
  // What keeps a daemon alive.
  if (process.argv[2] === 'signal') setInterval(() => undefined, 1000);
}
