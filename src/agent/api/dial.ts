/**
 * The agent's line to the server: dialled by the agent, used by the server.
 *
 * Theory of operation. DIALLING → OPEN, when the server has answered 101 → WAITING, when the connection has ended or
 * could not be made → DIALLING. The wait doubles from a quarter of a second to {@link LONGEST_WAIT_MS}, and is short
 * again after a link that has been open. While it is OPEN the agent serves HTTP/2 on it: the same requests as on its
 * path socket, by the same listener.
 */
import type { RequestListener } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { AGENT_LINK, agentLinkPath, keepAlive, LINK_SETTINGS } from '../../client/agent-link.js';
import { explainFailure, requestTo, type ServerAddress } from '../../client/server-address.js';
import type { Logger } from '../log.js';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
/** A server that takes the connection and says nothing. */
const ANSWER_LIMIT_MS = 10_000;

export interface DialOptions {
  server: ServerAddress;
  node: string;
  /** Serves a request, of HTTP/1.1 and HTTP/2 alike. */
  listener: RequestListener;
  log: Logger;
}

export interface Line {
  /** Hang up, and dial no more. */
  close(): void;
}

/** Keep a link to the server open until told to end. */
export function dialServer(options: DialOptions): Line {
  const { server, node, log } = options;
  // The compatibility API of HTTP/2 gives a listener the same requests and responses in all that we use.
  const listener = options.listener as unknown as (
    request: Http2ServerRequest,
    response: Http2ServerResponse,
  ) => void;
  const http2 = createHttp2Server({ settings: LINK_SETTINGS }, listener);
  let waitMs = FIRST_WAIT_MS;
  let timer: NodeJS.Timeout | undefined;
  /** The request that dials, and then the connection. */
  let line: { destroy(): void } | undefined;
  let socket: Socket | undefined;
  let isClosed = false;
  let lastProblem = '';

  http2.on('session', (opened) => {
    if (socket) keepAlive(opened, socket);
    opened.on('error', (error) => log.debug({ err: error }, 'The link to the server broke'));
  });
  http2.on('sessionError', () => {}); // told above

  const again = (why: string): void => {
    if (isClosed) return;
    if (why !== lastProblem) log.warn(`No link to the server: ${why}; dialling again`);
    lastProblem = why;
    timer = setTimeout(dial, waitMs);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  };

  /** HTTP/2 takes over the connection's handle, and dies of a write that it has not begun (tried, with TLS). */
  const serve = (connection: Socket): void => {
    if (connection.destroyed) return;
    if (connection.writableLength > 0) return void setImmediate(serve, connection);
    // The handshake was for HTTP/1.1, out of which came HTTP/2; Node refuses to serve it for want of that word (403).
    if (connection instanceof TLSSocket) connection.alpnProtocol = 'h2';
    http2.emit('connection', connection);
  };

  const dial = (): void => {
    const dialled = requestTo(server, {
      agent: false,
      method: 'POST',
      path: agentLinkPath(node),
      headers: { connection: 'Upgrade', upgrade: AGENT_LINK },
    });
    line = dialled;
    dialled.setTimeout(ANSWER_LIMIT_MS, () => dialled.destroy(new Error('the server does not answer')));
    dialled.once('upgrade', (_response, connection: Socket, head: Buffer) => {
      if (isClosed) return void connection.destroy();
      line = socket = connection;
      connection.setTimeout(0);
      connection.on('error', () => {}); // its close follows
      connection.once('close', () => again('the connection ended'));
      if (head.length > 0) connection.unshift(head);
      waitMs = FIRST_WAIT_MS;
      lastProblem = '';
      log.info('The server can reach this agent');
      serve(connection);
    });
    dialled.once('response', (response) => {
      response.resume();
      dialled.destroy(new Error(`the server answered ${response.statusCode}`));
    });
    dialled.once('error', (error) => again(explainFailure(error)));
    dialled.end();
  };

  dial();
  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
      line?.destroy();
    },
  };
}
