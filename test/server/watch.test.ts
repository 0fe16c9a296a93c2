/** How a watch goes with clients that read slowly: nothing is kept for them, and nothing is lost while history lasts. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { CONFIG_MAP, NAMESPACE } from '../../src/api/kinds.js';
import type { ApiObject } from '../../src/api/types.js';
import { createRenderer } from '../../src/server/http/render.js';
import { serveWatch, type WatchRequest } from '../../src/server/http/watch.js';
import { Registry } from '../../src/server/registry/registry.js';
import { openLmdbStore } from '../../src/server/store/lmdb-store.js';
import type { TestScope } from '../lib/scope.js';
import { until } from '../lib/until.js';

const PLACE = { kind: CONFIG_MAP, namespace: 'default' };
const BIG = 500_000;
/** What may wait for a client, and one event more. */
const BOUND = (1 << 20) + BIG + 1000;

interface Stage {
  readonly registry: Registry;
  /** A client that does not read yet. */
  watch(options?: Partial<WatchRequest>): Promise<{ client: IncomingMessage; response: ServerResponse }>;
  /** Write the object of this name anew, some times. @returns the most that waited for the client of `response` */
  write(name: string, times: number, response?: ServerResponse): Promise<number>;
}

async function setStage(t: TestScope, keepRevisions?: number): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-watch-`));
  const store = openLmdbStore({ path: join(folder, 'store'), keepRevisions });
  const registry = new Registry(store);
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } };
  await registry.create({ kind: NAMESPACE, namespace: undefined }, namespace);
  let answer: (response: ServerResponse) => void;
  const server = createServer((_request, response) => answer(response));
  const socketPath = join(folder, 's.sock');
  server.listen(socketPath);
  await once(server, 'listening');
  t.teardown(async () => {
    server.close();
    server.closeAllConnections();
    registry.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    registry,
    async watch(options = {}) {
      const target = { ...PLACE, version: 'v1', name: undefined, subresource: undefined };
      const served = new Promise<ServerResponse>((resolve) => {
        answer = (response) => {
          resolve(response);
          void serveWatch({
            registry,
            target,
            response,
            renderer: createRenderer(
              target,
              { as: 'object', version: 'v1' },
              new URLSearchParams(),
              Date.now,
            ),
            selector: () => true,
            resourceVersion: String(store.revision),
            bookmarks: false,
            initialEvents: undefined,
            timeoutSeconds: 0,
            ...options,
          });
        };
      });
      const request = get({ socketPath, agent: false });
      request.on('error', () => {});
      const [client] = (await once(request, 'response')) as [IncomingMessage];
      client.on('error', () => {});
      client.pause();
      return { client, response: await served };
    },
    async write(name, times, response) {
      let most = 0;
      for (let i = 0; i < times; i++) {
        const object = {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name },
          data: { n: String(i), x: 'x'.repeat(BIG) },
        };
        if (await registry.objects.find(PLACE, name))
          await registry.modify(PLACE, name, () => object, undefined);
        else await registry.create(PLACE, object);
        most = Math.max(most, response?.writableLength ?? 0);
      }
      return most;
    },
  };
}

interface Told {
  readonly type: string;
  readonly object: ApiObject & { data?: { n: string }; code?: number; reason?: string };
}

/** Read a watch until something comes, or it ends. */
async function read(client: IncomingMessage, isLast: (told: Told) => boolean): Promise<Told[]> {
  const all: Told[] = [];
  let rest = '';
  for await (const chunk of client.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      all.push(JSON.parse(line) as Told);
      if (isLast(all.at(-1)!)) return all;
    }
  }
  return all;
}

t.test('a client that does not read costs a bounded amount, and hears all when it reads', async (t) => {
  const { watch, write } = await setStage(t);
  const { client, response } = await watch();
  const most = await write('big', 60, response);
  t.ok(most > 1 << 20, 'it has fallen behind');
  t.ok(most < BOUND, `${most} bytes waited, of 30 MB that were written`);
  const told = await read(client, ({ object }) => object.data?.n === '59');
  t.strictSame(
    told.map(({ type, object }) => `${type} ${object.data?.n}`),
    Array.from({ length: 60 }, (_, i) => `${i === 0 ? 'ADDED' : 'MODIFIED'} ${i}`),
    'each change once, in order',
  );
});

t.test('one that has caught up hears what comes', async (t) => {
  const { watch, write, registry } = await setStage(t);
  const { client, response } = await watch();
  await write('big', 10, response);
  let last: string | undefined;
  const seen = read(client, ({ object }) => {
    last = object.data?.n;
    return object.metadata.name === 'small';
  });
  await until('it has caught up', () => last === '9');
  await registry.create(PLACE, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'small' } });
  t.match((await seen).at(-1), { type: 'ADDED', object: { metadata: { name: 'small' } } });
});

t.test('one whose place in the history is compacted is told so, and ended', async (t) => {
  const { watch, write } = await setStage(t, 5);
  const { client, response } = await watch();
  const most = await write('big', 40, response);
  t.ok(most < BOUND, `${most} bytes waited`);
  const told = await read(client, () => false);
  t.match(told.at(-1), { type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  t.ok(told.length < 40);
});

t.test('what there is comes as slowly as the client reads, then what has changed since', async (t) => {
  const { watch, write, registry } = await setStage(t);
  for (let i = 0; i < 20; i++) await write(`map-${i}`, 1);
  const before = registry.store.revision;
  const { client, response } = await watch({ resourceVersion: '', initialEvents: true });
  await until('it is full', () => response.writableLength > 1 << 20);
  await write('later', 1);
  t.ok(response.writableLength < BOUND, `${response.writableLength} bytes wait, of 10 MB that there are`);
  const told = await read(client, ({ object }) => object.metadata.name === 'later');
  t.equal(told.filter(({ type }) => type === 'ADDED').length, 21);
  const bookmark = told.findIndex(({ type }) => type === 'BOOKMARK');
  t.equal(bookmark, 20, 'a bookmark ends what there was');
  t.equal(told[bookmark]!.object.metadata.resourceVersion, String(before), 'and says as of when');
});

t.test('a client that goes while it is told what there is leaves nothing behind', async (t) => {
  const { watch, write, registry } = await setStage(t);
  for (let i = 0; i < 20; i++) await write(`map-${i}`, 1);
  const watches = t.capture(registry.store, 'watch', registry.store.watch.bind(registry.store));
  const { client, response } = await watch({ resourceVersion: '' });
  await until('it is full', () => response.writableLength > 1 << 20);
  client.destroy();
  await once(response, 'close');
  await new Promise(setImmediate);
  t.equal(watches().length, 0, 'no watch was begun for it');
});
