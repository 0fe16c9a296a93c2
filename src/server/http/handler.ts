/**
 * Requests → the registry. One function a method; all errors end here, as a Status.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { ApiError, badRequest, expired, statusOf, type Status } from '../../api/error.js';
import { isMap, mergePatch } from '../../api/json.js';
import { apiVersionOf } from '../../api/kinds.js';
import { parseFieldSelector, parseLabelSelector } from '../../api/selector.js';
import type { ApiObject } from '../../api/types.js';
import type { Gate } from '../access/gate.js';
import type { WriteOptions } from '../registry/decode-body.js';
import type { DeleteOptions } from '../registry/deletion.js';
import type { Place } from '../registry/place.js';
import type { Registry } from '../registry/registry.js';
import { CompactedError, StoreError } from '../store/store.js';
import { readJson, sendJson } from './body.js';
import { discover } from './discovery.js';
import { parseTarget, type Target } from './target.js';
import { serveWatch } from './watch.js';

const JSON_TYPES = ['application/json'];
const PATCH_TYPES = ['application/merge-patch+json'];
/** Subresources that are no object. */
const STREAMS: readonly string[] = ['log', 'exec', 'attach', 'portforward'];
const HEALTH_PATHS = ['/healthz', '/livez', '/readyz'];

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
}

/** Answers a request for what a pod's host has and the store has not: one of {@link STREAMS}. */
export type ServeStream = (target: Target, exchange: Exchange) => Promise<void>;

export interface HandlerOptions {
  readonly registry: Registry;
  readonly gate: Gate;
  readonly serveStream: ServeStream;
  /** Told of each request that the gate has let in. */
  admitted(request: IncomingMessage): void;
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
  { registry, gate, admitted, serveStream }: HandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  await gate.admit(request);
  admitted(request);
  const url = parseUrl(request.url ?? '/');
  if (HEALTH_PATHS.includes(url.pathname)) {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.end('ok');
    return;
  }
  const target = parseTarget(url.pathname);
  const method = request.method ?? 'GET';
  if (!target) {
    const answer = method === 'GET' ? discover(url.pathname) : undefined;
    if (!answer) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    return sendJson(response, 200, answer);
  }
  if (STREAMS.includes(target.subresource ?? ''))
    return serveStream(target, { request, response, query: url.searchParams });
  const serve = (target.name === undefined ? COLLECTION : target.subresource ? SUBRESOURCE : OBJECT)[method];
  if (!serve) {
    throw new ApiError(
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    );
  }
  await serve(registry, target, { request, response, query: url.searchParams });
}

/** @throws ApiError 400 */
export function parseUrl(text: string): URL {
  try {
    return new URL(text, 'http://podwire');
  } catch {
    throw badRequest(`Cannot parse the path "${text}"`);
  }
}

type Serve = (registry: Registry, target: Target, exchange: Exchange) => Promise<void>;

const COLLECTION: Record<string, Serve | undefined> = {
  GET: listOrWatch,
  POST: create,
  DELETE: removeCollection,
};
const OBJECT: Record<string, Serve | undefined> = { GET: get, PUT: update, PATCH: patch, DELETE: remove };
const SUBRESOURCE: Record<string, Serve | undefined> = { GET: get, PUT: update, PATCH: patch };

async function get(registry: Registry, target: Target, exchange: Exchange): Promise<void> {
  if (!target.subresource && isTrue(exchange.query.get('watch')))
    return listOrWatch(registry, target, exchange);
  sendJson(exchange.response, 200, await registry.get(target, target.name!));
}

async function listOrWatch(registry: Registry, target: Target, { response, query }: Exchange): Promise<void> {
  const place: Place = target;
  const { kind } = target;
  const ofLabels = parseLabelSelector(query.get('labelSelector') ?? '');
  const ofFields = parseFieldSelector(query.get('fieldSelector') ?? '', kind);
  const selector = (object: ApiObject): boolean =>
    (target.name === undefined || object.metadata.name === target.name) &&
    ofLabels(object) &&
    ofFields(object);
  if (isTrue(query.get('watch'))) {
    return serveWatch(
      registry,
      place,
      {
        resourceVersion: integerText(query, 'resourceVersion'),
        selector,
        bookmarks: isTrue(query.get('allowWatchBookmarks')),
        initialEvents: isTrue(query.get('sendInitialEvents')),
        timeoutSeconds: Number(integerText(query, 'timeoutSeconds') || 0),
      },
      response,
    );
  }
  const limit = Number(integerText(query, 'limit') || 0);
  const from = parseContinue(query.get('continue'));
  // Pages are cut before the selector, so one may have fewer items than the limit; clients go by `continue`.
  const { items, revision, more } = await registry.objects.list(place, {
    ...from,
    limit: limit || undefined,
  });
  const last = items.at(-1)?.metadata;
  const after =
    target.namespace === undefined && last?.namespace ? `${last.namespace}/${last.name}` : last?.name;
  sendJson(response, 200, {
    kind: `${kind.kind}List`,
    apiVersion: apiVersionOf(kind),
    metadata: {
      resourceVersion: String(revision),
      continue: more ? Buffer.from(JSON.stringify({ revision, after })).toString('base64url') : undefined,
    },
    items: items.filter(selector),
  });
}

/** Where a list that was cut goes on: the last key it had, and the revision it was of. */
function parseContinue(text: string | null): { revision?: number; after?: string } {
  if (!text) return {};
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as {
      revision: unknown;
      after: unknown;
    };
    if (Number.isSafeInteger(token.revision) && typeof token.after === 'string') {
      return { revision: token.revision as number, after: token.after };
    }
  } catch {
    // Said below.
  }
  throw badRequest('continue key is not valid');
}

async function create(registry: Registry, target: Target, exchange: Exchange): Promise<void> {
  const { kind, namespace } = target;
  if (kind.namespaced && namespace === undefined) {
    throw new ApiError(
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    );
  }
  const body = await readBody(exchange, JSON_TYPES);
  sendJson(exchange.response, 201, await registry.create(target, body, writeOptions(exchange)));
}

async function update(registry: Registry, target: Target, exchange: Exchange): Promise<void> {
  const body = await readBody(exchange, JSON_TYPES);
  await modify(registry, target, exchange, () => body);
}

async function patch(registry: Registry, target: Target, exchange: Exchange): Promise<void> {
  const body = await readBody(exchange, PATCH_TYPES);
  await modify(registry, target, exchange, (old) => {
    // Only a resourceVersion that stands in the patch is a condition.
    const { resourceVersion: _, ...metadata } = old.metadata;
    return mergePatch({ ...old, metadata }, body);
  });
}

async function modify(
  registry: Registry,
  target: Target,
  exchange: Exchange,
  change: (old: ApiObject) => unknown,
): Promise<void> {
  const subresource = target.subresource === 'status' ? 'status' : undefined;
  const object = await registry.modify(target, target.name!, change, subresource, writeOptions(exchange));
  sendJson(exchange.response, 200, object);
}

async function remove(
  registry: Registry,
  target: Target,
  { request, response, query }: Exchange,
): Promise<void> {
  const options = deleteOptions((await readJson(request, JSON_TYPES)) ?? {}, query);
  const { object, isGone } = await registry.remove(target, target.name!, options);
  if (!isGone) return sendJson(response, 200, object);
  const { kind } = target;
  const status: Omit<Status, 'code'> = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: object.metadata.name,
      group: kind.group || undefined,
      kind: kind.plural,
      uid: object.metadata.uid,
    },
  };
  sendJson(response, 200, status);
}

/** Delete all that a selector matches, one after the other; what somebody else deletes meanwhile is no error. */
async function removeCollection(
  registry: Registry,
  target: Target,
  { request, response, query }: Exchange,
): Promise<void> {
  const { kind } = target;
  const ofLabels = parseLabelSelector(query.get('labelSelector') ?? '');
  const ofFields = parseFieldSelector(query.get('fieldSelector') ?? '', kind);
  const options = deleteOptions((await readJson(request, JSON_TYPES)) ?? {}, query);
  const { items, revision } = await registry.objects.list(target);
  const removed: ApiObject[] = [];
  for (const item of items.filter((object) => ofLabels(object) && ofFields(object))) {
    const { name, namespace } = item.metadata;
    try {
      removed.push((await registry.remove({ kind, namespace }, name, options)).object);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }
  sendJson(response, 200, {
    kind: `${kind.kind}List`,
    apiVersion: apiVersionOf(kind),
    metadata: { resourceVersion: String(revision) },
    items: removed,
  });
}

function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  if (!isMap(body)) throw badRequest('the body must be DeleteOptions');
  const seconds = body['gracePeriodSeconds'] ?? integerText(query, 'gracePeriodSeconds');
  return {
    dryRun: query.has('dryRun') || (Array.isArray(body['dryRun']) && body['dryRun'].length > 0),
    gracePeriodSeconds: seconds === '' ? undefined : Number(seconds),
    preconditions: isMap(body['preconditions']) ? body['preconditions'] : undefined,
  };
}

async function readBody({ request }: Exchange, types: readonly string[]): Promise<unknown> {
  const body = await readJson(request, types);
  if (body === undefined) throw badRequest('the request has no body');
  return body;
}

function writeOptions({ query, response }: Exchange): WriteOptions {
  const fieldValidation = query.get('fieldValidation') || 'Warn';
  if (fieldValidation !== 'Ignore' && fieldValidation !== 'Warn' && fieldValidation !== 'Strict') {
    throw badRequest(`fieldValidation must be Ignore, Warn or Strict, not "${fieldValidation}"`);
  }
  const warnings = new Set<string>();
  return {
    dryRun: query.has('dryRun'),
    fieldValidation,
    warn: (text) => {
      warnings.add(`299 - ${JSON.stringify(text.replace(/[^\x20-\x7e]/g, '?'))}`);
      response.setHeader('warning', [...warnings]);
    },
  };
}

/** Go's strconv.ParseBool, which the clients expect; an empty value is true, as in `?watch`. */
const isTrue = (text: string | null): boolean => text !== null && /^(1|t|true|)$/i.test(text);

function integerText(query: URLSearchParams, name: string): string {
  const text = query.get(name) ?? '';
  if (!/^[0-9]{0,15}$/.test(text)) throw badRequest(`${name} must be a number, not "${text}"`);
  return text;
}
