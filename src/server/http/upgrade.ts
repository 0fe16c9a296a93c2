/**
 * Requests that turn a connection into something else (`Upgrade:`). Each comes through the gate like any other; what it
 * becomes is for the route that takes it.
 */
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, statusOf } from '../../api/error.js';
import type { Authorizer } from '../access/authorizer.js';
import type { Gate, User } from '../access/gate.js';
import { impersonate } from '../access/impersonation.js';
import { accessRequestOf } from './access-request.js';
import { parseUrl } from './handler.js';

/** Something that takes over connections. */
export interface UpgradeRoute {
  /** Whether it is for this route. */
  matches(request: IncomingMessage): boolean;
  /**
   * Take the connection over; from now on it is the route's.
   *
   * @param head  what the client has sent behind its request already
   * @throws ApiError before anything was answered; it is answered then
   */
  serve(request: IncomingMessage, socket: Duplex, head: Buffer, user: User): void | Promise<void>;
}

export interface Upgrades {
  /** End all connections that were taken over. */
  close(): void;
}

/** Answer the upgrade requests of a server. */
export function serveUpgrades(
  server: Pick<Server, 'on'>,
  gate: Gate,
  authorizer: Authorizer,
  routes: readonly UpgradeRoute[],
  failed: (error: unknown, request: IncomingMessage) => ApiError,
): Upgrades {
  const open = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    open.add(socket);
    // A client that is gone is no error of ours.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => open.delete(socket));
    upgrade(gate, authorizer, routes, request, socket, head).catch((cause: unknown) => {
      refuse(socket, failed(cause, request));
    });
  });
  return {
    close() {
      for (const socket of open) socket.destroy();
    },
  };
}

async function upgrade(
  gate: Gate,
  authorizer: Authorizer,
  routes: readonly UpgradeRoute[],
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const entered = await gate.admit(request);
  const user = impersonate(authorizer, request, entered);
  authorizer.require(user, accessRequestOf(request.method ?? 'GET', parseUrl(request.url ?? '/')));
  const route = routes.find((one) => one.matches(request));
  if (!route) {
    const wanted = request.headers.upgrade ?? '';
    throw new ApiError(400, 'BadRequest', `Cannot upgrade ${request.url ?? '/'} to "${wanted}"`);
  }
  await route.serve(request, socket, head, user);
}

function refuse(socket: Duplex, error: ApiError): void {
  if (socket.destroyed) return;
  const body = JSON.stringify(statusOf(error));
  socket.end(
    `HTTP/1.1 ${error.code} ${STATUS_CODES[error.code] ?? 'Error'}\r\n` +
      'Content-Type: application/json\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
