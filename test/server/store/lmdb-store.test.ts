import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { openLmdbStore } from '../../../src/server/store/lmdb-store.js';
import { CompactedError, StoreError, type Store, type StoreEvent } from '../../../src/server/store/store.js';
import { random } from '../../lib/random.js';
import { cleanEnv } from '../../lib/spawn.js';
import { NaiveStore } from '../../lib/naive-store.js';

function folder(t: { teardown(fn: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-store-`));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function opened(t: { teardown(fn: () => void | Promise<void>): void }, keepRevisions?: number): Store {
  const store = openLmdbStore({ path: folder(t), keepRevisions });
  t.teardown(() => store.close());
  return store;
}

const put = (store: Store, key: string, value = key) => store.txn([], [{ key, value }]);

/** What a watch has been told so far, one word an event. */
function watched(
  store: Store,
  prefix: string,
  from: number,
): { told: string[]; failed: Error[]; close(): void } {
  const told: string[] = [];
  const failed: Error[] = [];
  const watch = store.watch({
    prefix,
    from,
    events: (events) => void told.push(...events.map(word)),
    failed: (error) => void failed.push(error),
  });
  return { told, failed, close: () => watch.close() };
}
const word = ({ key, revision, current, previous }: StoreEvent): string =>
  `${revision} ${key}: ${previous?.value ?? '-'} → ${current?.value ?? '-'}`;

t.test('every transaction that writes raises the revision by one', async (t) => {
  const store = opened(t);
  t.equal(store.revision, 1);
  t.strictSame(await put(store, '/a'), { succeeded: true, revision: 2 });
  t.strictSame(
    await store.txn(
      [],
      [
        { key: '/b', value: '1' },
        { key: '/c', value: '1' },
      ],
    ),
    {
      succeeded: true,
      revision: 3,
    },
  );
  t.strictSame(await store.txn([], [{ key: '/nothing', value: undefined }]), {
    succeeded: true,
    revision: 3,
  });
  await put(store, '/a', 'new');
  t.strictSame(await store.get('/a'), {
    key: '/a',
    value: 'new',
    createRevision: 2,
    modRevision: 4,
    version: 2,
  });
});

t.test('a comparison that does not hold writes nothing, and is named', async (t) => {
  const store = opened(t);
  await put(store, '/a');
  const result = await store.txn(
    [
      { key: '/a', modRevision: 2 },
      { key: '/b', modRevision: 7 },
    ],
    [{ key: '/a', value: 'x' }],
  );
  t.strictSame(result, { succeeded: false, revision: 2, failed: { key: '/b', modRevision: 7 } });
  t.equal((await store.get('/a'))?.value, '/a');
});

t.test('of transactions at once that want one key, one gets it', async (t) => {
  const store = opened(t);
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      store.txn([{ key: '/a', modRevision: 0 }], [{ key: '/a', value: `${i}` }]),
    ),
  );
  t.equal(results.filter((result) => result.succeeded).length, 1);
  t.equal((await store.get('/a'))?.value, '0');
});

t.test('a range is ordered, can be cut, and goes on where it was cut as it was then', async (t) => {
  const store = opened(t);
  for (const key of ['/p/a', '/p/c', '/p/d', '/q/a', '/p']) await put(store, key);
  const first = await store.range('/p/', { limit: 2 });
  t.strictSame([first.items.map(({ key }) => key), first.more], [['/p/a', '/p/c'], true]);
  await put(store, '/p/d', 'changed');
  await put(store, '/p/e');
  await store.txn([], [{ key: '/p/c', value: undefined }]);
  const rest = await store.range('/p/', { after: '/p/c', revision: first.revision });
  t.strictSame([rest.items.map(({ value }) => value), rest.more], [['/p/d'], false]);
  await t.rejects(store.range('/p/', { revision: 99 }), RangeError);
});

t.test('a watch tells what has been and what comes, and nothing of other keys', async (t) => {
  const store = opened(t);
  await put(store, '/p/a', '1');
  await put(store, '/q/a', '1');
  const all = watched(store, '/p/', 1);
  const late = watched(store, '/p/', 5);
  await put(store, '/p/a', '2');
  await store.txn([], [{ key: '/p/a', value: undefined }]);
  t.strictSame(all.told, ['2 /p/a: - → 1', '4 /p/a: 1 → 2', '5 /p/a: 2 → -']);
  t.strictSame(late.told, ['5 /p/a: 2 → -']);
  all.close();
  await put(store, '/p/b');
  t.equal(all.told.length, 3);
});

t.test('who awaits a write finds it in every watch', async (t) => {
  const store = opened(t);
  const watch = watched(store, '/', 1);
  for (let i = 0; i < 50; i++) {
    await put(store, `/${i}`);
    if (watch.told.length !== i + 1) t.fail(`write ${i} was acknowledged before it was told`);
  }
  t.equal(watch.told.length, 50);
});

t.test('what was compacted can no longer be watched nor read', async (t) => {
  const store = opened(t);
  for (let i = 0; i < 10; i++) await put(store, '/a', `${i}`);
  await store.compact(6);
  t.equal(store.compacted, 6);
  const tooOld = watched(store, '/', 6);
  const justRight = watched(store, '/', 7);
  await t.rejects(store.range('/', { revision: 5 }), CompactedError);
  t.equal((await store.range('/', { revision: 6 })).items[0]?.value, '4');
  t.match(tooOld.failed, [CompactedError]);
  t.equal(justRight.told.length, 5);
});

t.test('history does not grow for ever', async (t) => {
  const store = opened(t, 50);
  for (let i = 0; i < 200; i++) await put(store, '/a', `${i}`);
  await store.compact(0);
  t.ok(store.compacted >= 100 && store.compacted <= 151, `compacted to ${store.compacted}`);
});

t.test('the store and its naive twin agree', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const r = random(seed);
    const store = opened(t);
    const twin = new NaiveStore();
    const watch = watched(store, '/p/', 1);
    const keys = ['/p/a', '/p/b', '/p/c/d', '/p/e', '/q'];
    const differences: string[] = [];
    const same = (what: string, a: unknown, b: unknown): void => {
      if (JSON.stringify(a) !== JSON.stringify(b)) differences.push(`${what}: ${JSON.stringify([a, b])}`);
    };
    for (let step = 0; step < 150; step++) {
      const chosen = r.shuffle(keys).slice(0, 1 + r.int(3));
      const compares = chosen
        .slice(0, r.int(2))
        .map((key) => ({ key, modRevision: r.int(3) === 0 ? r.int(5) : (twin.get(key)?.modRevision ?? 0) }));
      const writes = chosen.map((key) => ({ key, value: r.int(3) === 0 ? undefined : `${step}` }));
      same(`step ${step}`, await store.txn(compares, writes), twin.txn(compares, writes));
      if (r.int(20) === 0) {
        const revision = r.int(twin.revision + 1);
        await store.compact(revision);
        twin.compact(revision);
      }
      const options = {
        revision: Math.max(twin.compacted, twin.revision - r.int(10)),
        limit: 1 + r.int(4),
        after: r.int(2) === 0 ? r.pick(keys) : undefined,
      };
      same(`range after step ${step}`, await store.range('/p/', options), twin.range('/p/', options));
    }
    same('events', watch.told, twin.events.filter(({ key }) => key.startsWith('/p/')).map(word));
    t.strictSame(differences, [], `seed ${seed}`);
  }
});

t.test('what was written is there when the store opens again', async (t) => {
  const path = folder(t);
  const before = openLmdbStore({ path });
  for (let i = 0; i < 5; i++) await put(before, '/a', `${i}`);
  await before.compact(3);
  const last = before.txn([], [{ key: '/b', value: 'unawaited' }]);
  await before.close();
  t.equal((await last).succeeded, true, 'closing writes what was asked for');
  await t.rejects(put(before, '/c'), StoreError);
  const after = openLmdbStore({ path });
  t.teardown(() => after.close());
  t.strictSame([after.revision, after.compacted], [7, 3]);
  t.equal((await after.get('/a'))?.version, 5);
  t.strictSame(watched(after, '/', 4).failed, []);
});

t.test('kill -9 loses no write that was acknowledged, and leaves none by half', async (t) => {
  const path = folder(t);
  for (let round = 0; round < 3; round++) {
    const acknowledged = await writeUntilKilled(path, 400 + 37 * round);
    const store = openLmdbStore({ path });
    const a = await store.range('/a/');
    const b = await store.range('/b/');
    const found = new Map(a.items.map(({ value, modRevision }) => [value, modRevision]));
    const lost = [...acknowledged].filter(([name, revision]) => found.get(name) !== revision);
    t.strictSame(lost, [], `round ${round}: ${acknowledged.size} acknowledged, ${found.size} found`);
    t.strictSame(
      b.items.map(({ value }) => value),
      a.items.map(({ value }) => value),
      'both keys of a transaction or none',
    );
    await store.txn(
      [],
      [...found.keys()]
        .flatMap((name) => [`/a/${name}`, `/b/${name}`])
        .map((key) => ({ key, value: undefined })),
    );
    await store.close();
  }
});

/** Run the writer until it has said `count` writes, kill it, and give back all that it said. */
async function writeUntilKilled(path: string, count: number): Promise<Map<string, number>> {
  const script = fileURLToPath(new URL('./writer.js', import.meta.url));
  const child = spawn(process.execPath, [script, path], {
    env: cleanEnv(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = new Map<string, number>();
  for await (const line of createInterface(child.stdout)) {
    const [name, revision] = line.split(' ');
    said.set(name!, Number(revision));
    if (said.size === count) child.kill('SIGKILL');
  }
  return said;
}

const skip = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root';

t.test('a full disk gives an error, and the store opens and writes again', { skip }, async (t) => {
  const mount = folder(t);
  t.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status, 0);
  t.teardown(() => spawnSync('umount', [mount]));
  const ballast = join(mount, 'ballast');
  writeFileSync(ballast, Buffer.alloc(300_000));
  const path = join(mount, 'store');
  mkdirSync(path);
  let store = openLmdbStore({ path });
  t.teardown(() => store.close());
  let written = 0;
  let error: unknown;
  while (!error) {
    await put(store, `/${written}`, 'x'.repeat(3000)).then(
      () => void written++,
      (cause: unknown) => void (error = cause),
    );
  }
  t.match(error, StoreError);
  t.match((error as Error).message, `Cannot write to the store: no space left on the disk of "${path}"`);
  t.equal(store.revision, written + 1, 'a write that failed has no revision');
  t.equal((await store.range('/')).items.length, written, 'it can still be read');
  await store.close();
  store = openLmdbStore({ path });
  t.equal((await store.range('/')).items.length, written, 'and opened');
  rmSync(ballast);
  await put(store, '/again');
  t.equal(store.revision, written + 2, 'with room it writes on');
});
