/**
 * Objects as the store has them, read. An object is its JSON without resourceVersion, which is the revision that wrote
 * it. It is parsed once for all who read and watch it.
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
  /** Parsed objects by key. */
  readonly #parsed = new Map<string, { modRevision: number; object: ApiObject }>();
  /** The same for versions that are no longer the newest, as long as somebody holds them. */
  readonly #outdated = new WeakMap<KeyValue, ApiObject>();
  readonly #watch: { close(): void };

  constructor(store: Store) {
    this.store = store;
    this.#watch = store.watch({
      prefix: REGISTRY,
      from: store.revision + 1,
      events: (events) => {
        for (const { key, current } of events) if (!current) this.#parsed.delete(key);
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
    const outdated = this.#outdated.get(stored);
    if (outdated) return outdated;
    const object = JSON.parse(stored.value) as ApiObject;
    object.metadata.resourceVersion = String(stored.modRevision);
    if (known && known.modRevision > stored.modRevision) this.#outdated.set(stored, object);
    else this.#parsed.set(stored.key, { modRevision: stored.modRevision, object });
    return object;
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
    return {
      items: result.items.map((item) => this.decode(item)),
      revision: result.revision,
      more: result.more,
    };
  }

  /** An object and the key it stands at; undefined when there is none of that name. */
  async find(place: Place, name: string): Promise<Found | undefined> {
    const stored = await this.store.get(prefixOf(place) + name);
    return stored && { stored, object: this.decode(stored) };
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
