/**
 * Queries in datagrams. RFC 1035 §4.2.1. The first of those that wait comes by Node, the others by udp-batch.ts; over IPv6, and
 * where no library of C can be called, all come by Node.
 *
 * Errors of the socket concern one client (an ICMP error for an answer nobody waits for) and end nothing.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { Responder } from './responder.js';
import type { UdpBatch } from './udp-batch.js';

export interface Listener {
  /** Where it listens. */
  readonly port: number;
  close(): Promise<void>;
}

/** An address and a port, or a socket that is bound already. */
export type Place = { readonly fd: number } | { readonly address: string; readonly port: number };

/** Answers that wait in the kernel's buffer for a slow network; beyond, they are dropped, as a network drops datagrams. */
const MAX_QUEUED_BYTES = 1 << 20;

/** @throws when the place cannot be had */
export async function serveUdp(responder: Responder, place: Place): Promise<Listener> {
  const isIpv6 = 'address' in place && place.address.includes(':');
  const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ...(isIpv6 && { ipv6Only: true }) });
  const fd = isIpv6 ? undefined : await open(place);
  let isClosed = false;
  const send = (answer: Uint8Array, port: number, address: string): void => {
    if (isClosed || socket.getSendQueueSize() > MAX_QUEUED_BYTES) return;
    socket.send(answer, port, address, sent);
  };
  const batch = await batchOf(fd, responder, ({ port, address }, answer) => send(answer, port, address));
  await bound(socket, fd === undefined ? place : { fd });
  socket.on('message', (message, { address, port }) => {
    // From port 0 there is nobody to answer, and Node will not send there.
    if (batch) batch.answer(message, { address, port });
    else if (port !== 0) responder.answer(message, true, (answer) => send(answer, port, address));
  });
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        isClosed = true;
        socket.close(() => resolve());
      }),
  };
}

/** A socket whose fd we know; undefined where the kernel cannot be called but through Node. */
async function open(place: Place): Promise<number | undefined> {
  if ('fd' in place) return place.fd;
  const udp = await import('../sys/udp.js').catch(() => undefined);
  return udp?.openUdp({ ...place, gro: false, gso: false }).fd;
}

async function batchOf(
  fd: number | undefined,
  responder: Responder,
  later: ConstructorParameters<typeof UdpBatch>[2],
): Promise<UdpBatch | undefined> {
  if (fd === undefined) return undefined;
  const batches = await import('./udp-batch.js').catch(() => undefined);
  return batches && new batches.UdpBatch(fd, (message, send) => responder.answer(message, true, send), later);
}

/** The client may be gone, or an answer too large for its network: it asks again. */
const sent = (): void => undefined;

function bound(socket: Socket, place: Place): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('listening', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve();
    });
    socket.bind('fd' in place ? { fd: place.fd } : { address: place.address, port: place.port });
  });
}
