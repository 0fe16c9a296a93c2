/**
 * Queries in datagrams. RFC 1035 §4.2.1.
 *
 * Errors of the socket concern one client (an ICMP error for an answer nobody waits for) and end nothing.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { Responder } from './responder.js';

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
  await bound(socket, place);
  socket.on('message', (message, { address, port }) => {
    // From port 0 there is nobody to answer, and Node will not send there.
    if (port === 0) return;
    responder.answer(message, true, (answer) => {
      if (isClosed || socket.getSendQueueSize() > MAX_QUEUED_BYTES) return;
      socket.send(answer, port, address, sent);
    });
  });
  let isClosed = false;
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        isClosed = true;
        socket.close(() => resolve());
      }),
  };
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
