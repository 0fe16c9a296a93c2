import { once } from 'node:events';
import t from 'tap';
import { WorkerHandle } from '../../../src/agent/packet/worker-handle.js';
import { STATIC_NAMES } from '../../../src/tables/tables.js';
import { printed, runSync, start } from '../../lib/spawn.js';
import { WORKER_CHILD } from '../../lib/worker-child.js';

/**
 * A blocked epoll_wait must not hold the process: it ends within the worker's longest wait, of a second, and what else it
 * takes, on a machine that has more to do.
 */
const SOON_MS = 20_000;

for (const [ending, status, pattern] of [
  ['process.exit', 7, /started/],
  ['throw', 1, /thrown on the main thread/],
  ['rejection', 1, /rejected on the main thread/],
  ['close', 0, /started/],
  ['worker error', 1, /The packet worker ended: TypeError/],
] as const)
  t.test(`a process with a packet worker ends by ${ending}`, async (t) => {
    const began = performance.now();
    const result = runSync([process.execPath, WORKER_CHILD, ending]);
    t.equal(result.status, status);
    t.match(result.stdout + result.stderr, pattern);
    t.ok(performance.now() - began < SOON_MS, 'soon');
  });

t.test('a process with a packet worker ends by SIGTERM', async (t) => {
  const child = start(t, [process.execPath, WORKER_CHILD, 'signal']);
  await printed(child, /waiting/);
  child.kill('SIGTERM');
  const [status] = (await once(child, 'exit')) as [number | null];
  t.equal(status, 0);
});

t.test('an update resolves when the worker has put it', async (t) => {
  const handle = await WorkerHandle.start({ notice: t.fail, fatal: t.fail });
  t.teardown(() => handle.close());
  const { ports, segments } = handle.tables;
  const words = Int32Array.from(segments.columnNames, (_, i) => i + 1);
  await handle.update([{ table: STATIC_NAMES.indexOf('segments'), row: 3, words }]);
  t.strictSame(segments.row(3), [...words], 'main reads what the worker wrote');
  await handle.update([
    { table: STATIC_NAMES.indexOf('segments'), row: 3, words: new Int32Array(words.length) },
  ]);
  t.notOk(segments.isUsed(3));
  t.notOk(ports.isUsed(1));
});

t.test('an update larger than the ring arrives in several transactions, cut where it may be', async (t) => {
  const handle = await WorkerHandle.start({ notice: t.fail, fatal: t.fail });
  t.teardown(() => handle.close());
  const { services } = handle.tables;
  const table = STATIC_NAMES.indexOf('services');
  const count = 120_000;
  const changes = Array.from({ length: count }, (_, i) => {
    const words = new Int32Array(services.columnNames.length);
    words[0] = 1;
    words[services.columnNames.indexOf('a3')] = i + 1;
    return { table, row: i + 1, words };
  });
  t.ok(changes.length * (1 + changes[0]!.words.length) > 1 << 20, 'more than the ring holds');
  const cuts = Array.from({ length: count / 100 }, (_, i) => (i + 1) * 100);
  await handle.update(changes, cuts);
  t.equal(services.find(0, 0, 0, 0, 1, 0), 1);
  t.equal(services.find(0, 0, 0, 0, count, 0), count);
});

t.test('a process whose packet worker hangs ends itself by SIGKILL', async (t) => {
  const result = runSync([process.execPath, WORKER_CHILD, 'hang']);
  t.equal(result.signal ?? result.status, 'SIGKILL');
  t.match(result.stdout, /took no update for 2 s/);
});
