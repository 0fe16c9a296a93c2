/**
 * Watches: a response that never ends, one JSON event a line.
 *
 * A watch begins at a resourceVersion; without one (or at 0) with an ADDED for each object there is. With a selector
 * an object that comes to match is ADDED and one that ceases to match is DELETED, whatever happened to it. A client
 * that does not read is cut off, and lists again.
 */
import type { ServerResponse } from 'node:http';
import { ApiError, expired, statusOf } from '../../api/error.js';
import { apiVersionOf } from '../../api/kinds.js';
import type { Selector } from '../../api/selector.js';
import type { ApiObject } from '../../api/types.js';
import { prefixOf, type Place } from '../registry/place.js';
import type { Registry } from '../registry/registry.js';
import { CompactedError, type StoreEvent } from '../store/store.js';

/** Bytes that may wait for a client before it is cut off. */
const MAX_BACKLOG_BYTES = 8 * 1024 * 1024;
/** How often a client that asked for it hears of the newest revision, so that it need not list again later. */
const BOOKMARK_MS = 30_000;

export interface WatchRequest {
  /** '' or '0': begin with what there is. */
  readonly resourceVersion: string;
  readonly selector: Selector;
  readonly bookmarks: boolean;
  /** End the objects there are with a bookmark that says so, even at a resourceVersion. */
  readonly initialEvents: boolean;
  /** 0: for ever. */
  readonly timeoutSeconds: number;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** Serve a watch on a response. @throws ApiError 410 when its resourceVersion is no longer stored, before any answer */
export async function serveWatch(
  registry: Registry,
  place: Place,
  request: WatchRequest,
  response: ServerResponse,
): Promise<void> {
  const { store } = registry;
  const fromPresent =
    request.resourceVersion === '' || request.resourceVersion === '0' || request.initialEvents;
  const initial = fromPresent ? await registry.objects.list(place) : undefined;
  const revision = initial?.revision ?? Number(request.resourceVersion);
  if (revision < store.compacted) throw expired(new CompactedError(revision, store.compacted).message);
  // A store that was made anew counts from the beginning; what the client knows is of another one.
  if (revision > store.revision) {
    throw expired(`resource version ${revision} is newer than any here (${store.revision}); list again`);
  }

  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  const send = (type: EventType, object: object): void => {
    response.write(`{"type":"${type}","object":${textOf(object)}}\n`);
    if (response.writableLength > MAX_BACKLOG_BYTES) response.destroy();
  };
  const bookmark = (annotations?: Record<string, string>): void => {
    const metadata = { resourceVersion: String(store.revision), creationTimestamp: null, annotations };
    send('BOOKMARK', { kind: place.kind.kind, apiVersion: apiVersionOf(place.kind), metadata });
  };

  for (const object of initial?.items ?? []) if (request.selector(object)) send('ADDED', object);
  if (request.initialEvents) bookmark({ 'k8s.io/initial-events-end': 'true' });
  response.flushHeaders();

  const watch = store.watch({
    prefix: prefixOf(place),
    from: revision + 1,
    events: (events) => {
      for (const event of events) tell(registry, event, request.selector, send);
    },
    failed: (error) => {
      send('ERROR', statusOf(error instanceof CompactedError ? expired(error.message) : internal(error)));
      response.end();
    },
  });
  const timers = [
    request.bookmarks ? setInterval(bookmark, BOOKMARK_MS) : undefined,
    request.timeoutSeconds > 0 ? setTimeout(() => response.end(), request.timeoutSeconds * 1000) : undefined,
  ];
  const end = (): void => {
    watch.close();
    for (const timer of timers) clearTimeout(timer);
  };
  if (response.destroyed) end();
  else response.once('close', end);
}

/** JSON of stored objects, which never change: written once for all who watch. */
const texts = new WeakMap<object, string>();

function textOf(object: object): string {
  let text = texts.get(object);
  if (text === undefined) texts.set(object, (text = JSON.stringify(object)));
  return text;
}

const internal = (error: Error): ApiError => new ApiError(500, 'InternalError', error.message);

function tell(
  registry: Registry,
  event: StoreEvent,
  selector: Selector,
  send: (type: EventType, object: ApiObject) => void,
): void {
  const current = event.current && registry.objects.decode(event.current);
  const matches = current !== undefined && selector(current);
  const matched = event.previous !== undefined && selector(registry.objects.decode(event.previous));
  if (matches) send(matched ? 'MODIFIED' : 'ADDED', current);
  else if (matched) send('DELETED', registry.objects.decodeDeleted(event));
}
