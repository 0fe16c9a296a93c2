import t from 'tap';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import * as io from '../../src/sys/io.js';
import { bindTcp } from '../../src/sys/listen.js';
import { makeNetns, needsRoot } from '../lib/netns.js';
import { output } from '../lib/spawn.js';

t.test('a server listens in another namespace, and there alone', { skip: needsRoot() }, async (t) => {
  const netns = makeNetns(t);
  const server = createServer();
  server.listen({ fd: bindTcp(netns, 7070) });
  await once(server, 'listening');
  t.teardown(() => server.close());
  const error = t.throws(() => server.listening && bindTcp(netns, 7070)) as Error;
  t.match(
    error.message,
    /Cannot bind TCP port 7070 in network namespace .* EADDRINUSE .*another program there/,
  );
  io.close(bindTcp(makeNetns(t), 7070));
});

t.test('a server listens on one address of another namespace', { skip: needsRoot() }, async (t) => {
  const netns = makeNetns(t);
  output(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
  const server = createServer((socket) => socket.end('here'));
  server.listen({ fd: bindTcp(netns, 7071, 0x7f000002) });
  await once(server, 'listening');
  t.teardown(() => server.close());
  t.equal((server.address() as AddressInfo).address, '127.0.0.2');
  io.close(bindTcp(netns, 7071, 0x7f000003));
  t.throws(() => bindTcp(netns, 7071, 0x0a000001), /EADDRNOTAVAIL .*that host has no such address/);
});
