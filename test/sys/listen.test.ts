import t from 'tap';
import { createServer } from 'node:net';
import { once } from 'node:events';
import * as io from '../../src/sys/io.js';
import { bindTcp } from '../../src/sys/listen.js';
import { makeNetns, needsRoot } from '../lib/netns.js';

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
