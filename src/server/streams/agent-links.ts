/**
 * The agents that can be reached: each has dialled us, and serves HTTP/2 on that connection.
 *
 * Theory of operation. One link a node. A newer one takes the place of the older, whose streams end: the agent knows
 * better which of its connections lives. A link ends with its connection, or when it answers no ping. A request for a
 * node without a link waits a moment, since agents dial again by themselves when the server has been restarted.
 */
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Duplex, Readable } from 'node:stream';
import type { Logger } from 'pino';
import { ApiError, errorOf, type Status } from '../../api/error.js';
import { AGENT_LINK, keepAlive, LINK_SETTINGS } from '../../client/agent-link.js';

/** Longer than an agent waits before it dials a server that has just been restarted. */
const LINK_WAIT_MS = 2000;
/** An agent that takes a request and says nothing. */
const ANSWER_LIMIT_MS = 30_000;
/** More than any Status of ours. */
const MAX_STATUS_CHARS = 65_536;

/** An agent's answer: what is still to come of it can be read from the stream, and the rest of the request written. */
export interface AgentAnswer {
  readonly code: number;
  /** Its media type. */
  readonly type: string | undefined;
  readonly stream: ClientHttp2Stream;
}

export interface AgentLinks {
  /** Turn a connection on which the agent of `node` asked for a link into one. */
  accept(node: string, socket: Duplex, head: Buffer): Promise<void>;
  /** @throws ApiError 503 when an agent cannot be reached, as `request` would say it */
  require(node: string): Promise<void>;
  /**
   * Ask the agent of a node. The request's body is left open for `POST`.
   *
   * @throws ApiError 503 when it cannot be reached, or ends before it has answered
   */
  request(node: string, method: 'GET' | 'POST', path: string, signal: AbortSignal): Promise<AgentAnswer>;
  close(): void;
}

/** @param waitMs  how long a request waits for a link */
export function createAgentLinks(log: Logger, waitMs = LINK_WAIT_MS): AgentLinks {
  const links = new Map<string, ClientHttp2Session>();
  /** Requests that wait for a link. */
  const waiting = new Set<() => void>();

  const linkOf = async (node: string): Promise<ClientHttp2Session> => {
    if (!links.has(node)) {
      await new Promise<void>((resolve) => {
        const settle = (): void => {
          waiting.delete(look);
          clearTimeout(timer);
          resolve();
        };
        const look = (): void => {
          if (links.has(node)) settle();
        };
        const timer = setTimeout(settle, waitMs);
        waiting.add(look);
      });
    }
    const link = links.get(node);
    if (link) return link;
    throw unreachable(node, 'it has no connection to the server');
  };

  return {
    async accept(node, socket, head) {
      const text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${AGENT_LINK}\r\n\r\n`;
      // HTTP/2 takes over the connection's handle, and dies of a write that it has not begun (tried, with TLS).
      await new Promise((resolve) => socket.write(text, resolve));
      if (socket.destroyed) return;
      if (head.length > 0) socket.unshift(head);
      // Sockets of an HTTP server stay half open, and HTTP/2 does not mind.
      socket.once('end', () => socket.destroy());
      // Else streams that are not whole would end as if they were.
      socket.once('close', () => link.destroy(new Error('its connection ended')));
      const link = connect('http://agent', { createConnection: () => socket, settings: LINK_SETTINGS });
      link.on('error', (error) => log.debug({ err: error, node }, 'the link of an agent broke'));
      keepAlive(link, socket);
      const older = links.get(node);
      links.set(node, link);
      older?.destroy(new Error('another connection took its place'));
      socket.once('close', () => {
        if (links.get(node) === link) links.delete(node);
      });
      link.once('close', () => socket.destroy());
      for (const look of [...waiting]) look();
    },
    async require(node) {
      await linkOf(node);
    },
    async request(node, method, path, signal) {
      const link = await linkOf(node);
      signal.throwIfAborted();
      return new Promise((resolve, reject) => {
        const stream = link.request({ ':method': method, ':path': path }, { endStream: method === 'GET' });
        const fail = (why: string): void => {
          reject(unreachable(node, why));
          stream.close();
        };
        const abort = (): void => void stream.destroy();
        signal.addEventListener('abort', abort, { once: true });
        const timer = setTimeout(() => fail('it does not answer'), ANSWER_LIMIT_MS);
        stream.once('response', (headers) => {
          clearTimeout(timer);
          resolve({ code: Number(headers[':status']), type: headers['content-type'], stream });
        });
        // Stays, since a stream that breaks later says so again; who reads it hears of it by its end.
        stream.on('error', (error) => fail(error.message));
        stream.once('close', () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          fail('its connection ended');
        });
      });
    },
    close() {
      for (const link of links.values()) link.destroy(new Error('the server ends'));
      links.clear();
    },
  };
}

const unreachable = (node: string, why: string): ApiError =>
  new ApiError(503, 'ServiceUnavailable', `Cannot reach the agent of node "${node}": ${why}`);

/** What an agent's answer that is no success says. */
export async function statusOfAnswer({
  code,
  stream,
}: Pick<AgentAnswer, 'code' | 'stream'>): Promise<ApiError> {
  const text = await readAll(stream);
  try {
    return errorOf(JSON.parse(text) as Status);
  } catch {
    return new ApiError(code, 'InternalError', `The agent answered ${code}: ${text.slice(0, 200)}`);
  }
}

/** A Status, or whatever else it is, as text. @throws when it breaks off */
export async function readAll(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > MAX_STATUS_CHARS) break;
  }
  return text;
}
