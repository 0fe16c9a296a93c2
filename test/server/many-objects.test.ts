/** Ten thousand objects: made, listed in pages, watched and deleted, while somebody watches and does not read. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { CONFIG_MAP } from '../../src/api/kinds.js';
import type { ApiObject } from '../../src/api/types.js';
import { findKubectls } from '../lib/kubectl.js';
import { startServer } from '../lib/server.js';
import { start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

const COUNT = 10_000;
const PAGE = 500;
const PATH = '/api/v1/namespaces/default/configmaps';
const LABEL = 'many=yes';

t.setTimeout(600_000); // a loaded machine

interface List {
  readonly items: ApiObject[];
  readonly metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}

const nameOf = (i: number): string => `map-${String(i).padStart(5, '0')}`;

t.test('ten thousand objects', async (t) => {
  const server = await startServer(t);
  const { client, call, socketPath } = server;

  const request = get({ socketPath, path: `${PATH}?watch=1&resourceVersion=0`, agent: false });
  const [lazy] = (await once(request, 'response')) as [IncomingMessage];
  lazy.pause();
  for (const stream of [request, lazy]) stream.on('error', () => {});
  t.teardown(() => void request.destroy());

  const told = new Map<string, number>();
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  let heardAll = (): void => {};
  const { resourceVersion } = await client.list(CONFIG_MAP);
  void client.watch(CONFIG_MAP, {
    resourceVersion,
    signal: abort.signal,
    event({ type, object }) {
      if (type === 'ERROR' || object.metadata?.labels?.['many'] !== 'yes') return;
      told.set(type, (told.get(type) ?? 0) + 1);
      if (type === 'DELETED' && told.get(type) === COUNT) heardAll();
    },
  });
  const end = new Promise<void>((resolve) => (heardAll = resolve));

  const map = (i: number): ApiObject =>
    ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: nameOf(i), namespace: 'default', labels: { many: 'yes' } },
      data: { text: `${i} `.repeat(100) },
    }) as ApiObject;
  await Promise.all(Array.from({ length: COUNT }, (_, i) => client.create(map(i))));

  await t.test('a plain client lists them page by page, as of one moment', async (t) => {
    const names: string[] = [];
    const versions = new Set<string>();
    let next = '';
    do {
      const query = `?limit=${PAGE}${next && `&continue=${next}`}`;
      const { code, body } = await call('GET', PATH + query);
      t.equal(code, 200);
      const { items, metadata } = body as List;
      names.push(...items.map((item) => item.metadata.name).filter((name) => name.startsWith('map-')));
      versions.add(metadata.resourceVersion);
      next = metadata.continue ?? '';
      if (names.length === PAGE) await client.create({ ...map(0), metadata: { name: 'zz-later' } });
      if (next) t.ok(metadata.remainingItemCount! > 0, 'it says how many are left');
    } while (next);
    t.strictSame(
      names,
      Array.from({ length: COUNT }, (_, i) => nameOf(i)),
    );
    t.equal(versions.size, 1);
  });

  const kubectl = findKubectls().at(-1);
  await t.test('kubectl lists them', { skip: !kubectl && 'needs a kubectl' }, async (t) => {
    const { kubeconfig, folder } = server;
    const argv = [kubectl!.path, '--kubeconfig', kubeconfig, '--cache-dir', folder];
    const child = start(t, [...argv, 'get', 'cm', '-l', LABEL, '-o', 'name']);
    const stdout = await text(child.stdout!);
    t.equal(stdout.split('\n').filter((line) => line.startsWith('configmap/map-')).length, COUNT);
  });

  await t.test('all are deleted by one request, and a watcher hears of each', async (t) => {
    const { code, body } = await call('DELETE', `${PATH}?labelSelector=${LABEL}`);
    t.equal(code, 200);
    t.equal((body as List).items.length, COUNT);
    await end;
    t.equal(told.get('ADDED'), COUNT);
    t.equal(told.get('DELETED'), COUNT);
    t.equal((await call('GET', `${PATH}?labelSelector=${LABEL}`)).body.items.length, 0);
  });

  await t.test(
    'who watched and did not read hears of a part, and then that it must list again',
    async (t) => {
      // History is compacted behind what is written; half of what was made is far beyond the place of this watch.
      const half = Number(resourceVersion) + COUNT / 2;
      const fromHalf = `${PATH}?watch=1&resourceVersion=${half}&timeoutSeconds=1&fieldSelector=metadata.name=none`;
      await until('history is compacted', async () => (await call('GET', fromHalf)).code === 410);
      let text = '';
      for await (const chunk of lazy.setEncoding('utf8')) text += String(chunk);
      const lines = text.trimEnd().split('\n');
      t.match(JSON.parse(lines.at(-1)!), { type: 'ERROR', object: { code: 410, reason: 'Expired' } });
      t.ok(lines.length < 2 * COUNT);
    },
  );
});
