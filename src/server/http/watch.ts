/**
 * Watches: a response that never ends, one JSON event a line.
 *
 * A watch begins at a resourceVersion; without one (or at 0) with an ADDED for each object there is. With a selector
 * an object that comes to match is ADDED and one that ceases to match is DELETED, whatever happened to it.
 *
 * A client may read as slowly as it likes: when enough waits for it, its watch rests at its place in the store's history
 * and goes on from there. Nothing is kept for it meanwhile, and history is compacted whether or not it has read: then
 * it is told that its version has expired, and lists again.
 */
import type { ServerResponse } from 'node:http';
import { ApiError, expired, statusOf } from '../../api/error.js';
import type { Selector } from '../../api/selector.js';
import type { ApiObject } from '../../api/types.js';
import { prefixOf } from '../registry/place.js';
import type { Registry } from '../registry/registry.js';
import { CompactedError, type StoreEvent } from '../store/store.js';
import type { Renderer } from './render.js';
import type { Target } from './target.js';

/** Bytes that wait for a client before it gets no more until it has read them. */
const BACKLOG_BYTES = 1 << 20;
/** How often a client that asked for it hears of the newest revision, so that it need not list again later. */
const BOOKMARK_MS = 30_000;

export interface WatchRequest {
  readonly registry: Registry;
  readonly target: Target;
  readonly response: ServerResponse;
  readonly renderer: Renderer;
  readonly selector: Selector;
  /** '' or '0': begin with what there is. */
  readonly resourceVersion: string;
  readonly bookmarks: boolean;
  /**
   * True: begin with what there is and end that with a bookmark, even at a resourceVersion. False: begin with what comes,
   * even without one.
   */
  readonly initialEvents: boolean | undefined;
  /** 0: for ever. */
  readonly timeoutSeconds: number;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** Serve a watch. @throws ApiError 410 when its resourceVersion is no longer stored, before any answer */
export async function serveWatch(request: WatchRequest): Promise<void> {
  const { registry, target, response, renderer, selector, initialEvents } = request;
  const { store } = registry;
  const isUnset = request.resourceVersion === '' || request.resourceVersion === '0';
  const initial = (initialEvents ?? isUnset) ? await registry.objects.list(target) : undefined;
  const revision = initial?.revision ?? (isUnset ? store.revision : Number(request.resourceVersion));
  if (revision < store.compacted) throw expired(new CompactedError(revision, store.compacted).message);
  // A store that was made anew counts from the beginning; what the client knows is of another one.
  if (revision > store.revision) {
    throw expired(`resource version ${revision} is newer than any here (${store.revision}); list again`);
  }

  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  const send = (type: EventType, object: object): void => {
    response.write(`{"type":"${type}","object":${textOf(object)}}\n`);
  };
  let isFirst = true;
  const sendEvent = (type: EventType, object: ApiObject): void => {
    send(type, renderer.event(object, isFirst));
    isFirst = false;
  };
  const bookmark = (at: number, annotations?: Record<string, string>): void => {
    const metadata = { resourceVersion: String(at), creationTimestamp: null, annotations };
    send('BOOKMARK', renderer.bookmark(metadata));
  };
  const timeout =
    request.timeoutSeconds > 0 ? setTimeout(() => response.end(), request.timeoutSeconds * 1000) : undefined;
  response.once('close', () => clearTimeout(timeout));

  response.flushHeaders();
  for (const object of initial?.items ?? []) {
    if (!selector(object)) continue;
    if (isFull(response)) await drained(response);
    if (hasEnded(response)) return;
    sendEvent('ADDED', object);
  }
  if (initialEvents) bookmark(revision, { 'k8s.io/initial-events-end': 'true' });

  const watch = store.watch({
    prefix: prefixOf(target),
    from: revision + 1,
    events: (events) => {
      for (const event of events) tell(registry, event, selector, sendEvent);
      if (isFull(response)) watch.pause();
    },
    failed: (error) => {
      send('ERROR', statusOf(error instanceof CompactedError ? expired(error.message) : internal(error)));
      response.end();
    },
  });
  response.on('drain', () => watch.resume());
  const timer = request.bookmarks
    ? setInterval(() => watch.isCurrent && bookmark(store.revision), BOOKMARK_MS)
    : undefined;
  const end = (): void => {
    watch.close();
    clearInterval(timer);
  };
  if (response.destroyed) end();
  else response.once('close', end);
}

const isFull = (response: ServerResponse): boolean => response.writableLength > BACKLOG_BYTES;

/** The client is gone, or its watch has timed out. */
const hasEnded = (response: ServerResponse): boolean => response.destroyed || response.writableEnded;

/** Until the client has read what waits for it, or is gone. */
async function drained(response: ServerResponse): Promise<void> {
  if (hasEnded(response)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'finish']) response.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'finish']) response.on(event, done);
  });
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
