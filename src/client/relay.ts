/**
 * A raw connection to the server's TLS side, for an agent that pipes what its pods send: over the server's path socket, or
 * straight to its port. Nothing of who the agent is goes along.
 */
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { hostAndPort } from './server-address.js';

export const API_UPGRADE_PATH = '/podwire/tls';
export const API_UPGRADE_PROTOCOL = 'tls';

/**
 * Connect over a path socket.
 *
 * @returns a socket whose other end speaks TLS; nothing has been read from it
 * @throws Error when the server does not answer, or refuses
 */
export function connectToTls(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      path: API_UPGRADE_PATH,
      headers: { connection: 'Upgrade', upgrade: API_UPGRADE_PROTOCOL },
    });
    request.once('upgrade', (_response, socket: Socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once('response', (response) => {
      response.destroy();
      reject(new Error(`The server at "${socketPath}" answered ${response.statusCode} instead of TLS`));
    });
    request.once('error', reject);
    request.end();
  });
}

/** A host that swallows what is sent to it. */
const CONNECT_LIMIT_MS = 10_000;

/** Connect to a server that listens with TLS. @param url  `https://HOST:PORT` */
export function connectToPort(url: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...hostAndPort(url), allowHalfOpen: true });
    socket.setTimeout(CONNECT_LIMIT_MS, () => socket.destroy(new Error(`No answer from ${url}`)));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
