/**
 * Requests → the registry. One function a method; all errors end here, as a Status.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { ApiError, badRequest, expired, methodNotAllowed, statusOf } from '../../api/error.js';
import type { AccountTokens } from '../access/account-tokens.js';
import type { Authorizer } from '../access/authorizer.js';
import type { Gate, User } from '../access/gate.js';
import { createGuard } from '../access/guard.js';
import { impersonate } from '../access/impersonation.js';
import type { Registry } from '../registry/registry.js';
import { CompactedError, StoreError } from '../store/store.js';
import { accessRequestOf } from './access-request.js';
import { readObject, sendJson } from './body.js';
import { discover } from './discovery.js';
import type { Serve, ServeStream } from './exchange.js';
import { openApi } from './openapi.js';
import { get, listOrWatch } from './read.js';
import { remove, removeCollection } from './remove.js';
import { answerReview, parseReview } from './reviews.js';
import { SUBRESOURCES } from './subresources.js';
import { parseTarget } from './target.js';
import { create, patch, update } from './write.js';

const HEALTH_PATHS = ['/healthz', '/livez', '/readyz'];

/** What each method does to a list of objects, and to one of them. */
const COLLECTION: Record<string, Serve | undefined> = {
  GET: listOrWatch,
  POST: create,
  DELETE: removeCollection,
};
const OBJECT: Record<string, Serve | undefined> = { GET: get, PUT: update, PATCH: patch, DELETE: remove };

export interface HandlerOptions {
  readonly registry: Registry;
  readonly gate: Gate;
  readonly authorizer: Authorizer;
  readonly tokens: AccountTokens;
  readonly serveStream: ServeStream;
  /** Told of each request that the gate has let in. */
  admitted(request: IncomingMessage, user: User): void;
  /** Turns what went wrong with a request into the answer, and keeps a note of it. */
  failed(cause: unknown, request: IncomingMessage): ApiError;
}

/** The listener of an HTTP server of the API. */
export function createHandler(options: HandlerOptions): RequestListener {
  return (request, response) => {
    handle(options, request, response).catch((cause: unknown) => {
      const error = options.failed(cause, request);
      if (response.headersSent) response.destroy();
      else {
        // What is left of a body that was refused is not read.
        if (!request.complete) response.setHeader('connection', 'close');
        sendJson(response, error.code, statusOf(error));
      }
    });
  };
}

/** What a client is told of something that went wrong. */
export function toApiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  if (cause instanceof CompactedError)
    return expired(`The provided continue parameter is too old: ${cause.message}`);
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ApiError(
    500,
    'InternalError',
    cause instanceof StoreError ? why : `Internal error occurred: ${why}`,
  );
}

async function handle(
  { registry, gate, authorizer, tokens, admitted, serveStream }: HandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const entered = await gate.admit(request);
  admitted(request, entered);
  const url = parseUrl(request.url ?? '/');
  const { pathname, searchParams: query } = url;
  const user = impersonate(authorizer, request, entered);
  const method = request.method ?? 'GET';
  const asked = accessRequestOf(method, url);
  authorizer.require(user, asked);
  if (HEALTH_PATHS.includes(pathname)) {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.end('ok');
    return;
  }
  const review = method === 'POST' ? parseReview(pathname) : undefined;
  if (review) {
    const body = await readObject(request);
    return sendJson(response, 201, await answerReview(review, body, { user, tokens, authorizer }));
  }
  const target = parseTarget(pathname);
  if (!target) {
    if (method === 'GET' && openApi(pathname, response)) return;
    const answer = method === 'GET' ? discover(pathname, request.headers.accept) : undefined;
    if (!answer) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    return sendJson(response, 200, answer.body, answer.type);
  }
  if (target.subresource && SUBRESOURCES[target.subresource]?.isStream)
    return serveStream(target, { request, response, query });
  const served =
    target.name === undefined
      ? COLLECTION
      : target.subresource
        ? SUBRESOURCES[target.subresource]?.serve
        : OBJECT;
  const serve = served?.[method];
  if (!serve) throw methodNotAllowed();
  await serve({
    registry,
    target,
    request,
    response,
    query,
    user,
    guard: createGuard(authorizer, user),
    tokens,
    requireCreate: () => authorizer.require(user, { ...asked, verb: 'create' }),
  });
}

/** @throws ApiError 400 */
export function parseUrl(text: string): URL {
  try {
    return new URL(text, 'http://podwire');
  } catch {
    throw badRequest(`Cannot parse the path "${text}"`);
  }
}
