/**
 * Queries on connections, each message behind its length: TCP, and path sockets between processes of ours. RFC 7766.
 *
 * Theory of operation. A connection may send many queries without waiting; they are answered as the answers come, not in
 * order. What one peer can hold is bounded: so many connections in all (of more, the oldest idle one is closed), so many
 * queries under way on one (then it is not read until some are answered), and so many bytes of answers that it does not take. A
 * connection that neither asks nor takes an answer is closed after some seconds; so is one that sends half a message. After
 * the peer's end what is under way is still answered.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { HEADER_LEN } from '../wire/dns.js';
import type { Responder } from './responder.js';
import type { Listener, Place } from './udp-server.js';

export interface StreamLimits {
  readonly connections: number;
  /** Queries of one connection that are under way. */
  readonly pending: number;
  /** Bytes of answers that a connection has not taken. */
  readonly unsentBytes: number;
  readonly idleMs: number;
}

const LIMITS: StreamLimits = { connections: 1000, pending: 128, unsentBytes: 1 << 20, idleMs: 10_000 };

/** @throws when the place cannot be had */
export async function serveStream(
  responder: Responder,
  place: Place | { readonly path: string },
  limits: Partial<StreamLimits> = {},
): Promise<Listener> {
  const all = { ...LIMITS, ...limits };
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (open.size >= all.connections) open.values().next().value?.destroy();
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    serveConnection(responder, socket, all, () => {
      // The set's order is that of the last query.
      if (open.delete(socket)) open.add(socket);
    });
  });
  await listening(server, place);
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function serveConnection(responder: Responder, socket: Socket, limits: StreamLimits, used: () => void): void {
  let held: Buffer = Buffer.alloc(0);
  let pending = 0;
  let isEnded = false;
  const canRead = (): boolean => pending < limits.pending && socket.writableLength < limits.unsentBytes;

  const finishIfDone = (): void => {
    if (isEnded && pending === 0 && !hasMessage(held)) socket.end();
  };
  const take = (): void => {
    while (canRead() && hasMessage(held)) {
      const end = 2 + held.readUInt16BE(0);
      const message = held.subarray(2, end);
      held = held.subarray(end);
      // Nothing that short is a message: the peer and we have lost each other.
      if (message.length < HEADER_LEN) return void socket.destroy();
      used();
      pending++;
      let isLate = false;
      const isTaken = responder.answer(message, false, (answer) => {
        pending--;
        if (socket.destroyed) return;
        const length = Buffer.allocUnsafe(2);
        length.writeUInt16BE(answer.length, 0);
        socket.cork();
        socket.write(length);
        socket.write(answer);
        socket.uncork();
        if (isLate) go();
      });
      if (!isTaken) pending--;
      isLate = true;
    }
  };
  const go = (): void => {
    if (socket.destroyed) return;
    take();
    if (canRead()) socket.resume();
    else socket.pause();
    finishIfDone();
  };

  socket.setTimeout(limits.idleMs, () => socket.destroy());
  socket.on('data', (chunk) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    go();
  });
  socket.on('drain', go);
  socket.on('end', () => {
    isEnded = true;
    go();
  });
}

const hasMessage = (held: Buffer): boolean => held.length >= 2 && held.length >= 2 + held.readUInt16BE(0);

function listening(server: Server, place: Place | { readonly path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
    if ('address' in place) server.listen({ host: place.address, port: place.port });
    else server.listen(place);
  });
}
