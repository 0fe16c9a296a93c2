/**
 * The agent's HTTP API: what this host knows and does, on a path socket for the command line, and on the agent's link
 * (see dial.ts) for the server.
 *
 *     GET /healthz                                         ok
 *     GET /status                                          JSON, see {@link AgentStatus}
 *     GET /tables[/NAME][?output=json]                     the packet path's tables as text, or their rows as objects
 *     GET /readings                                        JSON, the worker's counters, see {@link Readings}
 *     GET /pods/NAMESPACE/NAME/log?follow=&tail=&container=&previous=&timestamps=&sinceSeconds=&sinceTime=
 *     POST /pods/NAMESPACE/NAME/exec                       see exec.ts
 *     POST /pods/NAMESPACE/NAME/attach                     see attach.ts
 *     POST /pods/NAMESPACE/NAME/portforward                see port-forward.ts
 *
 * Errors are Kubernetes Status objects. Whoever may open the socket may do everything: its mode is 0600.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, badRequest, statusOf } from '../../api/error.js';
import type { Logger } from '../log.js';
import type { Readings } from '../packet/readings.js';
import { logTime } from '../pods/log-entry.js';
import type { LogOptions } from '../pods/pod-life.js';
import type { PodState } from '../pods/state.js';
import type { AgentStatus } from '../status.js';
import { serveAttach } from './attach.js';
import { serveExec } from './exec.js';
import { servePortForward } from './port-forward.js';

/** What the API shows. All throw ApiErrors for what cannot be answered. */
export interface Shown {
  /** The host's network namespace; undefined: the machine's own. */
  readonly netns: string | undefined;
  status(): AgentStatus;
  table(name: string | undefined): string;
  /** The same as objects. */
  tableRows(name: string | undefined): object;
  readings(): Readings;
  /** A pod that runs here, and where its files are. */
  pod(namespace: string, name: string): { state: PodState; folder: string };
  podLog(namespace: string, name: string, options: LogOptions): Readable;
}

export interface AgentApi {
  close(): Promise<void>;
}

interface Exchange {
  readonly shown: Shown;
  /** What the brackets of the path matched. */
  readonly words: readonly string[];
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

type Handler = (exchange: Exchange) => void | Promise<void>;

const TEXT = { 'content-type': 'text/plain; charset=utf-8' };

const sendText = (response: ServerResponse, text: string): void => {
  response.writeHead(200, TEXT).end(text);
};

const sendJson = (response: ServerResponse, code: number, body: unknown): void => {
  response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(body, null, 2)}\n`);
};

/** `?follow`, `?follow=true` and `?follow=1` mean the same. */
const flag = (query: URLSearchParams, name: string): boolean => {
  const value = query.get(name);
  if (value === null || value === 'false' || value === '0') return false;
  if (value === '' || value === 'true' || value === '1') return true;
  throw badRequest(`Cannot read ?${name}=${value}: expected true or false`);
};

const count = (query: URLSearchParams, name: string): number | undefined => {
  const value = query.get(name);
  if (value === null) return undefined;
  if (!/^\d{1,9}$/.test(value)) throw badRequest(`Cannot read ?${name}=${value}: expected a number`);
  return Number(value);
};

/** From when on: so many seconds ago by this host's clock, or a time. */
const since = (query: URLSearchParams): string | undefined => {
  const seconds = count(query, 'sinceSeconds');
  if (seconds !== undefined) return logTime(BigInt(Date.now() - seconds * 1000) * 1_000_000n);
  const text = query.get('sinceTime');
  if (text === null) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw badRequest(`Cannot read ?sinceTime=${text}: expected a time as RFC 3339 has it`);
  return logTime(BigInt(ms) * 1_000_000n);
};

/** Methods and paths, each with what answers it. A `GET` has no body. */
const ROUTES: readonly (readonly ['GET' | 'POST', RegExp, Handler])[] = [
  ['GET', /^\/healthz$/, ({ response }) => sendText(response, 'ok\n')],
  ['GET', /^\/status$/, ({ shown, response }) => sendJson(response, 200, shown.status())],
  ['GET', /^\/readings$/, ({ shown, response }) => sendJson(response, 200, shown.readings())],
  [
    'GET',
    /^\/tables(?:\/([^/]+))?$/,
    ({ shown, words: [table], query, response }) => {
      const output = query.get('output');
      if (output === null) return sendText(response, shown.table(table));
      if (output === 'json') return sendJson(response, 200, shown.tableRows(table));
      throw badRequest(`Cannot read ?output=${output}: expected json, or nothing for text`);
    },
  ],
  [
    'GET',
    /^\/pods\/([^/]+)\/([^/]+)\/log$/,
    async ({ shown, words: [namespace, name], query, response }) => {
      const log = shown.podLog(namespace!, name!, {
        container: query.get('container') ?? undefined,
        follow: flag(query, 'follow'),
        tail: count(query, 'tail') ?? count(query, 'tailLines'),
        limitBytes: count(query, 'limitBytes'),
        previous: flag(query, 'previous'),
        timestamps: flag(query, 'timestamps'),
        since: since(query),
      });
      response.writeHead(200, TEXT);
      response.flushHeaders(); // a log that is followed may stay silent for long
      await pipeline(log, response);
    },
  ],
  [
    'POST',
    /^\/pods\/([^/]+)\/([^/]+)\/exec$/,
    ({ shown, words: [namespace, name], query, request, response }) => {
      const argv = query.getAll('command');
      if (argv.length === 0) throw badRequest('you must specify at least one command for the container');
      const options = { argv, stdin: flag(query, 'stdin'), tty: flag(query, 'tty') };
      const { state, folder } = shown.pod(namespace!, name!);
      return serveExec(folder, state, query.get('container'), options, request, response);
    },
  ],
  [
    'POST',
    /^\/pods\/([^/]+)\/([^/]+)\/attach$/,
    ({ shown, words: [namespace, name], query, request, response }) => {
      const { state, folder } = shown.pod(namespace!, name!);
      return serveAttach(folder, state, query.get('container'), flag(query, 'stdin'), request, response);
    },
  ],
  [
    'POST',
    /^\/pods\/([^/]+)\/([^/]+)\/portforward$/,
    ({ shown, words: [namespace, name], query, request, response }) =>
      servePortForward(shown.pod(namespace!, name!).state, shown.netns, query.get('port'), request, response),
  ],
];

const decode = (word: string): string => {
  try {
    return decodeURIComponent(word);
  } catch {
    throw badRequest(`Cannot read "${word}" in the path: it is not percent-encoded`);
  }
};

const answer = async (shown: Shown, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const [path, query] = (request.url ?? '/').split('?', 2) as [string, string | undefined];
  let allowed: string | undefined;
  for (const [method, pattern, handler] of ROUTES) {
    const match = pattern.exec(path);
    if (!match) continue;
    allowed = method;
    if (request.method !== method) continue;
    if (method === 'GET') request.resume();
    const words = match
      .slice(1)
      .flatMap((word: string | undefined) => (word === undefined ? [] : decode(word)));
    await handler({ shown, words, query: new URLSearchParams(query), request, response });
    return;
  }
  request.resume();
  if (allowed !== undefined) {
    const message = `Cannot ${request.method} ${path}: only ${allowed} works here`;
    throw new ApiError(405, 'MethodNotAllowed', message);
  }
  const served =
    '/healthz, /status, /tables[/NAME], /readings and /pods/NAMESPACE/NAME/(log|exec|attach|portforward)';
  throw new ApiError(404, 'NotFound', `There is nothing at ${path}: the agent serves ${served}`);
};

const fail = (error: unknown, response: ServerResponse, log: Logger): void => {
  // What is left of a body that was refused is not read; on HTTP/2 that needs no word.
  if (!response.req.complete && response.req.httpVersionMajor === 1) response.shouldKeepAlive = false;
  if (response.headersSent) {
    // In the middle of a log: its reader is gone, or must see that it is not whole.
    response.destroy(error instanceof Error ? error : undefined);
    return;
  }
  const known =
    error instanceof ApiError
      ? error
      : error instanceof RangeError
        ? new ApiError(404, 'NotFound', error.message)
        : new ApiError(500, 'InternalError', error instanceof Error ? error.message : String(error));
  if (known !== error) log.error({ err: error }, 'A request to the agent failed');
  sendJson(response, known.code, statusOf(known));
};

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket is made with this mask, so there is no moment in which others could connect.
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });

/** What answers a request, on whatever connection it came. */
export const createAgentListener =
  (shown: Shown, log: Logger): RequestListener =>
  (request, response) => {
    answer(shown, request, response).catch((error: unknown) => fail(error, response, log));
  };

/**
 * Serve on the path socket `path`. Whoever calls has the host's lock, so a socket that is there is a dead agent's.
 */
export const serveAgentApi = async (path: string, listener: RequestListener): Promise<AgentApi> => {
  const server = createServer(listener);
  rmSync(path, { force: true });
  await listen(server, path);
  chmodSync(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve()); // also removes the socket
        server.closeAllConnections();
      }),
  };
};
