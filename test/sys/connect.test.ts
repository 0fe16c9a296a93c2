import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import t from 'tap';
import { openTcp } from '../../src/sys/connect.js';
import { bindTcp } from '../../src/sys/listen.js';
import { makeNetns, makePair, needsRoot } from '../lib/netns.js';

const connect = (netns: string | undefined, host: string, port: number): Socket =>
  new Socket({ fd: openTcp(netns), readable: true, writable: true }).connect({ host, port });

t.test('a client connects in another namespace, and there alone', { skip: needsRoot() }, async (t) => {
  const [near, far] = makePair(t);
  const server = createServer((socket) => socket.end(`hello ${socket.remoteAddress}`));
  server.listen({ fd: bindTcp(far, 7071) });
  await once(server, 'listening');
  t.teardown(() => server.close());
  t.equal((await connect(near, '192.0.2.2', 7071).toArray()).join(''), 'hello 192.0.2.1');
  t.equal((await connect(far, '127.0.0.1', 7071).toArray()).join(''), 'hello 127.0.0.1');

  const refusal = (netns: string, host: string): Promise<unknown[]> =>
    once(connect(netns, host, 7071), 'error');
  t.match(await refusal(near, '127.0.0.1'), [{ code: 'ECONNREFUSED' }]);
  t.match(await refusal(makeNetns(t), '192.0.2.2'), [{ code: 'ENETUNREACH' }]);
});

t.test('a namespace that is not there is named', { skip: needsRoot() }, async (t) => {
  t.throws(() => openTcp('pwt-none'), { message: /enter network namespace "pwt-none".*none of that name/ });
});
