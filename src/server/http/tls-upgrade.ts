/**
 * TLS over the path socket: `GET /podwire/tls` with `Upgrade: tls`, and the connection is handed to the TLS server as if
 * it had come from the network. Whoever is behind it has to show a token there. An agent that pipes the connections of its
 * pods needs no right of its own for that, and pods get none from it.
 */
import type { Server } from 'node:https';
import { API_UPGRADE_PATH, API_UPGRADE_PROTOCOL } from '../../client/relay.js';
import type { UpgradeRoute } from './upgrade.js';

/** The route that hands connections to `server`. */
export const tlsRoute = (server: Server): UpgradeRoute => ({
  matches: ({ url, headers }) =>
    url === API_UPGRADE_PATH && headers.upgrade?.toLowerCase() === API_UPGRADE_PROTOCOL,
  serve(_request, socket, head) {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${API_UPGRADE_PROTOCOL}\r\n\r\n`,
    );
    if (head.length > 0) socket.unshift(head);
    server.emit('connection', socket);
  },
});
