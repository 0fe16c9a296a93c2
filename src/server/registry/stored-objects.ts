/**
 * Objects as the store has them, read. An object is its JSON without resourceVersion, which is the revision that wrote
 * it.
 *
 * Theory of operation. The newest version of each object is parsed once, when it is written or first read, for all who
 * read and watch it, and forgotten when it is deleted. Older versions, which events and older lists tell of, are kept
 * as long as somebody holds what they were parsed from.
 */
import { notFound } from '../../api/error.js';
import { apiVersionOf, LAB } from '../../api/kinds.js';
import type { ApiObject, Lab } from '../../api/types.js';
import { compareCreation } from '../../control/order.js';
import type { KeyValue, Store, StoreEvent } from '../store/store.js';
import { prefixOf, REGISTRY, type Place } from './place.js';

/** What is assumed while nobody has made a Lab. */
export const DEFAULT_LAB: Lab = {
  apiVersion: apiVersionOf(LAB),
  kind: LAB.kind,
  metadata: { name: 'default' },
};

export interface ObjectList {
  readonly items: readonly ApiObject[];
  readonly revision: number;
  readonly more: boolean;
}

/** An object, and what the store knows of it. */
export interface Found {
  readonly stored: KeyValue;
  readonly object: ApiObject;
}

export class StoredObjects {
  readonly store: Store;
  /** Parsed objects by key; only such as are in the store now. */
  readonly #parsed = new Map<string, { modRevision: number; object: ApiObject }>();
  /** Versions that are no longer the newest. */
  readonly #outdated = new WeakMap<KeyValue, ApiObject>();
  readonly #watch: { close(): void };

  constructor(store: Store) {
    this.store = store;
    this.#watch = store.watch({
      prefix: REGISTRY,
      from: store.revision + 1,
      events: (events) => {
        for (const event of events) this.#follow(event);
      },
      failed: () => {},
    });
  }

  close(): void {
    this.#watch.close();
  }

  /** A stored object, frozen by agreement: whoever wants to change it makes a copy. */
  decode(stored: KeyValue): ApiObject {
    const known = this.#parsed.get(stored.key);
    if (known?.modRevision === stored.modRevision) return known.object;
    let object = this.#outdated.get(stored);
    if (!object) this.#outdated.set(stored, (object = parse(stored)));
    return object;
  }

  /** The same for a version that is known to be the newest. */
  #decodeNewest(stored: KeyValue): ApiObject {
    const known = this.#parsed.get(stored.key);
    if (known?.modRevision === stored.modRevision) return known.object;
    const { modRevision } = stored;
    const object = parse(stored);
    this.#parsed.set(stored.key, { modRevision, object });
    return object;
  }

  /** What was the newest version is an older one now. Comes before anybody else is told. */
  #follow({ key, current, previous }: StoreEvent): void {
    const known = this.#parsed.get(key);
    if (previous && known?.modRevision === previous.modRevision) this.#outdated.set(previous, known.object);
    if (current) this.#decodeNewest(current);
    else this.#parsed.delete(key);
  }

  /** What a deleted object looked like at its end, with the revision that deleted it. */
  decodeDeleted({ previous, revision }: StoreEvent): ApiObject {
    const object = JSON.parse(previous!.value) as ApiObject;
    object.metadata.resourceVersion = String(revision);
    return object;
  }

  async get(place: Place, name: string): Promise<ApiObject> {
    return (await this.require(place, name)).object;
  }

  async list(
    place: Place,
    options: { limit?: number; after?: string; revision?: number } = {},
  ): Promise<ObjectList> {
    const prefix = prefixOf(place);
    const after = options.after === undefined ? undefined : prefix + options.after;
    const result = await this.store.range(prefix, { ...options, after });
    // What was the newest when it was read may have been followed by another meanwhile.
    const isNewest = result.revision === this.store.revision;
    return {
      items: result.items.map((item) => (isNewest ? this.#decodeNewest(item) : this.decode(item))),
      revision: result.revision,
      more: result.more,
    };
  }

  /** An object and the key it stands at; undefined when there is none of that name. */
  async find(place: Place, name: string): Promise<Found | undefined> {
    const { revision } = this.store;
    const stored = await this.store.get(prefixOf(place) + name);
    if (!stored) return undefined;
    const isNewest = revision === this.store.revision;
    return { stored, object: isNewest ? this.#decodeNewest(stored) : this.decode(stored) };
  }

  /** How many objects there are behind a name. */
  count(place: Place, after: string): Promise<number> {
    const prefix = prefixOf(place);
    return this.store.count(prefix, prefix + after);
  }

  /** An object and the key it stands at. @throws ApiError 404 */
  async require(place: Place, name: string): Promise<Found> {
    const found = await this.find(place, name);
    if (!found) throw notFound(place.kind, name);
    return found;
  }

  /** The Lab that counts: the oldest. */
  async lab(): Promise<Lab> {
    const { items } = await this.list({ kind: LAB, namespace: undefined });
    return (items as readonly Lab[]).toSorted(compareCreation)[0] ?? DEFAULT_LAB;
  }
}

function parse({ value, modRevision }: KeyValue): ApiObject {
  const object = JSON.parse(value) as ApiObject;
  object.metadata.resourceVersion = String(modRevision);
  return object;
}
