import t from 'tap';
import { ApiError } from '../../src/api/error.js';
import { NODE, POD } from '../../src/api/kinds.js';
import type { Node } from '../../src/api/types.js';
import type { Client } from '../../src/client/client.js';
import { createInformer, type Informer } from '../../src/client/informer.js';
import { startServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const node = (name: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });

function follow(t: { teardown(fn: () => void): void }, client: Pick<Client, 'list' | 'watch'>) {
  const seen = { calls: 0, names: [] as string[], troubles: [] as (string | undefined)[] };
  const informer: Informer<Node> = createInformer(client, NODE, {
    changed: (items) => {
      seen.calls++;
      seen.names = [...items.keys()].sort();
    },
    trouble: (error) => void seen.troubles.push(error?.message),
  });
  t.teardown(() => informer.close());
  return { informer, seen };
}

t.test('an informer knows what there is when it has started, and what comes', async (t) => {
  const { client } = await startServer(t);
  await client.create(node('a'));
  const { informer, seen } = follow(t, client);
  await informer.start();
  t.strictSame(seen.names, ['a']);
  await client.create(node('b'));
  await until('b is known', () => seen.names.includes('b'));
  await client.remove(NODE, 'a');
  await until('a is forgotten', () => seen.names.join() === 'b');
  t.equal(informer.items.get('b')?.kind, 'Node');
});

t.test('an informer goes on where it was when the server comes back', async (t) => {
  const server = await startServer(t);
  await server.client.create(node('a'));
  let lists = 0;
  const counting: Pick<Client, 'list' | 'watch'> = {
    list: (...args) => {
      lists++;
      return server.client.list(...args);
    },
    watch: (...args) => server.client.watch(...args),
  };
  const { informer, seen } = follow(t, counting);
  await informer.start();
  await server.stop();
  await until('it has noticed', () => seen.troubles.length > 0);
  t.strictSame(seen.names, ['a'], 'what is known stays known');
  await server.restart();
  await server.client.create(node('b'));
  await until('b is known', () => seen.names.join() === 'a,b');
  t.equal(lists, 1);
  t.equal(seen.troubles.at(-1), undefined, 'and the trouble is over');
});

t.test('an informer lists again when the store is a new one', async (t) => {
  const server = await startServer(t);
  for (const name of ['a', 'b', 'c', 'd', 'e']) await server.client.create(node(name));
  const { informer, seen } = follow(t, server.client);
  await informer.start();
  await server.restart({ data: 'another' });
  await until('all are forgotten', () => seen.names.length === 0);
  await server.client.create(node('f'));
  await until('f is known', () => seen.names.join() === 'f');
});

t.test('an informer that starts before the server waits for it', async (t) => {
  const server = await startServer(t);
  await server.client.create(node('a'));
  await server.stop();
  const { informer, seen } = follow(t, server.client);
  const started = informer.start();
  await until('it has tried', () => seen.troubles.length > 0);
  await server.restart();
  await started;
  t.strictSame(seen.names, ['a']);
});

t.test('an informer lists again on 410, also in the middle of a watch', async (t) => {
  const lists: string[] = [];
  const listed: Node[][] = [[node('a')], [node('b')], [node('c')]];
  const script: Pick<Client, 'list' | 'watch'> = {
    async list() {
      lists.push('list');
      return {
        items: (listed[lists.length - 1] ?? listed[2]!) as never[],
        resourceVersion: `${lists.length}`,
      };
    },
    async watch(_kind, { resourceVersion, event, signal }) {
      if (resourceVersion === '1') throw new ApiError(410, 'Expired', 'too old');
      if (resourceVersion === '2') {
        event({ type: 'ERROR', object: { code: 410 } as never });
        return;
      }
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
  const { informer, seen } = follow(t, script);
  await informer.start();
  await until('the third list is here', () => seen.names.join() === 'c');
  t.equal(lists.length, 3);
});

t.test('an informer that is closed before its first list is done', async (t) => {
  const { informer } = follow(t, {
    list: () => Promise.reject(new Error('no server')),
    watch: () => Promise.resolve(),
  });
  const started = informer.start();
  informer.close();
  await started;
  t.pass('it ends');
});

t.test('an informer of some pods hears of those alone', async (t) => {
  const { client } = await startServer(t);
  const pod = (name: string, nodeName: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { nodeName, containers: [{ name: 'c', image: 'nginx' }] },
  });
  let names: string[] = [];
  const informer = createInformer(client, POD, {
    fieldSelector: 'spec.nodeName=node1',
    changed: (items) => void (names = [...items.keys()]),
  });
  t.teardown(() => informer.close());
  await client.create(pod('a', 'node1'));
  await client.create(pod('b', 'node2'));
  await informer.start();
  await client.create(pod('c', 'node1'));
  await until('c is known', () => names.includes('default/c'));
  t.strictSame(names, ['default/a', 'default/c']);
});
