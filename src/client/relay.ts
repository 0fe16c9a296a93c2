/**
 * A raw connection to the server's TLS side, over its path socket: for an agent that pipes what its pods send.
 */
import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';

export const API_UPGRADE_PATH = '/podwire/tls';
export const API_UPGRADE_PROTOCOL = 'tls';

/**
 * Connect.
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
