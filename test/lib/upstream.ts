/** An upstream resolver for tests, on a free port of 127.0.0.1: it says what the test has it say. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { TestScope } from './scope.js';
import { framed } from './dns.js';

export interface Sayings {
  udp(message: Buffer, reply: (bytes: Buffer) => void, from: RemoteInfo): void;
  /** Without it nobody listens there. */
  tcp?(message: Buffer, reply: (bytes: Buffer) => void): void;
}

/** Both sockets are made before either counts: a port that is free for UDP need not be for TCP. */
export async function serveUpstream(t: TestScope, { udp, tcp }: Sayings): Promise<{ port: number }> {
  const server = createServer((connection) => {
    let held: Buffer = Buffer.alloc(0);
    connection.on('error', () => undefined);
    connection.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const end = 2 + held.readUInt16BE(0);
        tcp?.(Buffer.from(held.subarray(2, end)), (bytes) => connection.write(framed(bytes)));
        held = held.subarray(end);
      }
    });
  });
  const socket = await bindBoth(tcp ? server : undefined);
  let isClosed = false;
  t.teardown(() => {
    isClosed = true;
    socket.close();
    server.close();
  });
  /** A late answer has nobody to go to. */
  const reply = (bytes: Buffer, { port, address }: RemoteInfo): void => {
    if (!isClosed) socket.send(bytes, port, address);
  };
  socket.on('message', (message, from) => udp(message, (bytes) => reply(bytes, from), from));
  return { port: socket.address().port };
}

async function bindBoth(server: Server | undefined): Promise<Socket> {
  for (;;) {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    try {
      server?.listen(socket.address().port, '127.0.0.1');
      if (server) await once(server, 'listening');
      return socket;
    } catch (error) {
      socket.close();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}
