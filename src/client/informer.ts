/**
 * Knowing all objects of a kind, always: list once, then watch.
 *
 * Theory of operation. LISTING → WATCHING → (connection ends: WATCHING again from where it was; 410, or a server that
 * has forgotten: LISTING). What is known stays known while the server is away; a new list takes its place whole, so
 * what was deleted meanwhile is gone from it. Between attempts there is a pause that doubles up to a second, with
 * chance in it so that agents do not come back all at once.
 */
import { ApiError } from '../api/error.js';
import type { Kind } from '../api/kinds.js';
import { keyOf, type ApiObject } from '../api/types.js';
import type { Client, ListOptions, WatchEvent } from './client.js';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;

export interface InformerOptions<T extends ApiObject> extends ListOptions {
  /** All objects there are, by `namespace/name`, after one or more of them changed. The map is the informer's own. */
  changed(items: ReadonlyMap<string, T>): void;
  /** Told when the server cannot be reached, and with undefined when it can again. */
  trouble?(error: Error | undefined): void;
}

export interface Informer<T extends ApiObject> {
  readonly items: ReadonlyMap<string, T>;
  /** Resolves when the first list is there, however long that takes, and `changed` has been told of it. */
  start(): Promise<void>;
  close(): void;
}

/** An informer; nothing happens before it is started. */
export function createInformer<T extends ApiObject>(
  client: Pick<Client, 'list' | 'watch'>,
  kind: Kind<T>,
  options: InformerOptions<T>,
): Informer<T> {
  const { changed, trouble, ...selection } = options;
  const abort = new AbortController();
  const { signal } = abort;
  let items = new Map<string, T>();
  let resourceVersion: string | undefined;
  let isTold = true;
  let hasTrouble = false;

  const tellSoon = (): void => {
    if (!isTold) return;
    isTold = false;
    // Events that came in one piece are told once.
    queueMicrotask(tell);
  };
  const tell = (): void => {
    if (isTold || signal.aborted) return;
    isTold = true;
    changed(items);
  };
  const setTrouble = (error: Error | undefined): void => {
    if (!error && !hasTrouble) return;
    hasTrouble = error !== undefined;
    trouble?.(error);
  };

  const list = async (): Promise<void> => {
    const result = await client.list(kind, selection);
    items = new Map(result.items.map((item) => [keyOf(item), item]));
    resourceVersion = result.resourceVersion;
    tellSoon();
  };
  const event = ({ type, object }: WatchEvent<T>): void => {
    if (signal.aborted) return;
    if (type === 'ERROR') {
      if (object.code === 410) resourceVersion = undefined;
      return;
    }
    resourceVersion = object.metadata.resourceVersion;
    if (type === 'BOOKMARK') return;
    if (type === 'DELETED') items.delete(keyOf(object));
    else items.set(keyOf(object), object);
    tellSoon();
  };

  const run = async (listed: () => void): Promise<void> => {
    let pause = FIRST_PAUSE_MS;
    const opened = (): void => {
      pause = FIRST_PAUSE_MS;
      setTrouble(undefined);
    };
    while (!signal.aborted) {
      try {
        if (resourceVersion === undefined) {
          await list();
          listed();
        }
        await client.watch(kind, { ...selection, resourceVersion: resourceVersion!, signal, opened, event });
      } catch (error) {
        if (error instanceof ApiError && error.code === 410) resourceVersion = undefined;
        else if (!signal.aborted) setTrouble(error as Error);
      }
      await sleep(pause * (0.5 + Math.random() / 2), signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  };

  return {
    get items() {
      return items;
    },
    start: () =>
      new Promise((resolve, reject) => {
        run(resolve).then(resolve, reject);
      }),
    close: () => abort.abort(),
  };
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
