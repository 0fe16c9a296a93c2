/**
 * Objects in the store: what creating, changing and deleting one means. The HTTP side and the control loop both come
 * through here.
 * Around it: place.ts says where an object stands, stored-objects.ts reads, writer.ts writes, decode-body.ts and merge.ts
 * make the object that a request means, deletion.ts ends one.
 *
 * Every write reads, decides, and writes on the condition that nothing it read has changed; else it begins again. Only
 * a caller who named a resourceVersion gets a Conflict.
 */
import { timestamp } from '../../api/age.js';
import {
  alreadyExists,
  ApiError,
  applyConflict,
  badRequest,
  conflict,
  invalidObject,
  isForbidden,
  notFound,
} from '../../api/error.js';
import { clone, equal } from '../../api/json.js';
import { findKind, NAMESPACE, type Kind } from '../../api/kinds.js';
import {
  afterUpdate,
  applyConfiguration,
  managedFieldsOf,
  setManagedFields,
  type Manager,
} from '../../api/managed-fields.js';
import type { Problem } from '../../api/problem.js';
import type { ApiObject, Namespace } from '../../api/types.js';
import type { Change } from '../../control/reconcile.js';
import type { Compare, Store } from '../store/store.js';
import { complete, decodeBody, type WriteOptions } from './decode-body.js';
import { Deletion, type DeleteOptions } from './deletion.js';
import { hasLostItsLastFinalizer, merge, specOf, type ChangedPart } from './merge.js';
import { checkNewObject } from './new-objects.js';
import { keyOfObject, MAX_ATTEMPTS, STANDARD_NAMESPACES, type Place } from './place.js';
import { randomSuffix } from './random-suffix.js';
import { StoredObjects } from './stored-objects.js';
import { createUids } from './uid.js';
import { Writer } from './writer.js';

export class Registry {
  readonly store: Store;
  readonly objects: StoredObjects;
  readonly #writer: Writer;
  readonly #deletion: Deletion;
  readonly #now: () => number;
  readonly #newUid = createUids();

  /** @param now  milliseconds since 1970 */
  constructor(store: Store, now: () => number = Date.now) {
    this.store = store;
    this.objects = new StoredObjects(store);
    this.#writer = new Writer(this.objects);
    this.#deletion = new Deletion(this.objects, this.#writer, now);
    this.#now = now;
  }

  close(): void {
    this.objects.close();
  }

  /** Make the namespaces that are always there. */
  async createStandards(): Promise<void> {
    for (const name of STANDARD_NAMESPACES) {
      const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      const place = { kind: NAMESPACE, namespace: undefined };
      if (!(await this.objects.find(place, name))) await this.create(place, namespace);
    }
  }

  async get(place: Place, name: string): Promise<ApiObject> {
    return (await this.objects.require(place, name)).object;
  }

  /** Store a new object. @param body  as it was parsed from the request */
  async create(place: Place, body: unknown, options: WriteOptions = {}): Promise<ApiObject> {
    const { kind } = place;
    const object = decodeBody(place, body, options);
    const { metadata } = object;
    if (metadata.resourceVersion)
      throw badRequest('resourceVersion should not be set on objects to be created');
    if (!metadata.name && metadata.generateName) metadata.name = metadata.generateName + randomSuffix();
    Object.assign(metadata, {
      uid: this.#newUid(this.#now()),
      creationTimestamp: timestamp(this.#now()),
      generation: 1,
      deletionTimestamp: undefined,
      deletionGracePeriodSeconds: undefined,
    });
    kind.prepareCreate?.(object, options.user);
    const asked = complete(kind, object, options);
    const early = kind.validateCreate?.(asked) ?? [];
    if (early.length > 0) throw invalidObject(kind, metadata.name, early);
    checkNewObject(kind, asked);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const compares: Compare[] = [{ key: keyOfObject(kind, asked), modRevision: 0 }];
      if (kind.namespaced) compares.push(await this.#requireNamespace(kind, asked));
      options.guard?.(kind, asked, undefined);
      if (await this.objects.find(place, metadata.name)) throw alreadyExists(kind, metadata.name);
      const full = await this.#writer.assign(kind, asked, undefined);
      this.#record(kind, undefined, full, options);
      const written = await this.#writer.write(kind, undefined, full, compares, options.dryRun);
      if (written) return written;
    }
    throw conflict(kind, metadata.name);
  }

  /** The namespace must be there, and still be there when the object is written. */
  async #requireNamespace(kind: Kind, object: ApiObject): Promise<Compare> {
    const name = object.metadata.namespace!;
    const { stored, object: namespace } = await this.objects.require(
      { kind: NAMESPACE, namespace: undefined },
      name,
    );
    if (namespace.metadata.deletionTimestamp) {
      const why = `unable to create new content in namespace ${name} because it is being terminated`;
      throw isForbidden(kind, object.metadata.name, why);
    }
    return { key: stored.key, modRevision: stored.modRevision };
  }

  /**
   * Change an object.
   *
   * @param change       makes the new object, as a request's body, from the old; called again when another write came
   *                     first. A resourceVersion in it that is not the old one's is a Conflict.
   * @param subresource  which part alone is changed; undefined: everything but status
   */
  async modify(
    place: Place,
    name: string,
    change: (old: ApiObject) => unknown,
    subresource: ChangedPart | undefined,
    options: WriteOptions = {},
  ): Promise<ApiObject> {
    const { kind } = place;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { stored, object: old } = await this.objects.require(place, name);
      const wanted = decodeBody(place, change(old), options);
      if (wanted.metadata.name !== name) throw otherName(wanted.metadata.name, name);
      const { uid, resourceVersion } = wanted.metadata;
      if (uid && uid !== old.metadata.uid) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
        throw conflict(kind, name, why);
      }
      if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw conflict(kind, name);
      const asked = complete(kind, merge(kind, wanted, old, subresource), options);
      const problems = checkChange(kind, asked, old, subresource);
      if (problems.length > 0) throw invalidObject(kind, name, problems);
      options.guard?.(kind, asked, old);
      const next = subresource ? asked : await this.#writer.assign(kind, asked, old);
      this.#record(kind, old, next, options);
      if (equal(next, old)) return old;
      if (!equal(specOf(next), specOf(old))) next.metadata.generation = (old.metadata.generation ?? 0) + 1;
      const compares = [{ key: stored.key, modRevision: stored.modRevision }];
      const written = hasLostItsLastFinalizer(next, old)
        ? await this.#writer.erase(kind, old, compares, options.dryRun)
        : await this.#writer.write(kind, old, next, compares, options.dryRun);
      if (written) return written;
    }
    throw conflict(kind, name);
  }

  /**
   * Server-side apply: bring an object to what a configuration says of it, or make it so.
   *
   * @param force    take fields from other managers where they have another value
   * @param creates  called before an object is made that was not there; throws to refuse
   * @throws ApiError 409 that names the fields, unless it is forced
   */
  async applyConfiguration(
    place: Place,
    name: string,
    body: unknown,
    request: {
      manager: Manager;
      force: boolean;
      subresource: ChangedPart | undefined;
      creates?(): void;
    },
    options: WriteOptions = {},
  ): Promise<{ object: ApiObject; isNew: boolean }> {
    const { kind } = place;
    const { manager, force, subresource } = request;
    const config = decodeBody(place, body, options, false);
    config.metadata.name ||= name;
    if (config.metadata.name !== name) throw otherName(config.metadata.name, name);
    if (managedFieldsOf(config)) throw badRequest('metadata.managedFields must be nil');
    const { resourceVersion } = config.metadata;
    const onto = (old: ApiObject): ApiObject => {
      const { object, entries, conflicts } = applyConfiguration(
        old,
        config,
        kind.schema,
        manager,
        this.#now(),
      );
      if (conflicts.length > 0 && !force) throw applyConflict(kind, name, conflicts);
      const version = resourceVersion ?? old.metadata.resourceVersion;
      const next = {
        ...object,
        metadata: { ...object.metadata, name: config.metadata.name, resourceVersion: version },
      };
      setManagedFields(next, entries);
      return next;
    };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const isThere = (await this.objects.find(place, name)) !== undefined;
      try {
        if (isThere)
          return { object: await this.modify(place, name, onto, subresource, options), isNew: false };
        if (subresource || resourceVersion) throw notFound(kind, name);
        request.creates?.();
        const { apiVersion, kind: kindName } = config;
        const blank = { apiVersion, kind: kindName, metadata: { name } };
        return { object: await this.create(place, onto(blank), options), isNew: true };
      } catch (error) {
        // Somebody made it, or took it away, meanwhile.
        const reason = error instanceof ApiError ? error.reason : undefined;
        if (reason !== (isThere ? 'NotFound' : 'AlreadyExists')) throw error;
      }
    }
    throw conflict(kind, name);
  }

  /** Note in an object whose its changed fields are; changes `next`. */
  #record(kind: Kind, old: ApiObject | undefined, next: ApiObject, { manager }: WriteOptions): void {
    if (manager) setManagedFields(next, afterUpdate(old, next, kind.schema, manager, this.#now()));
  }

  /** See {@link Deletion.remove}. */
  remove(
    place: Place,
    name: string,
    options: DeleteOptions = {},
  ): Promise<{ object: ApiObject; isGone: boolean }> {
    return this.#deletion.remove(place, name, options);
  }

  /**
   * Carry out what control decided from a view.
   *
   * @returns false when the object has changed since: then there is a newer view, and control decides again
   */
  async apply({ type, object }: Change): Promise<boolean> {
    const kind = findKind(object.apiVersion, object.kind)!;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const place = { kind, namespace };
    if (type === 'create') {
      await this.create(place, object);
      return true;
    }
    if (type === 'delete') {
      await this.remove(place, name, { preconditions: { uid } });
      return true;
    }
    const found = await this.objects.find(place, name);
    if (!found || found.object.metadata.resourceVersion !== resourceVersion) return false;
    const compares = [{ key: found.stored.key, modRevision: found.stored.modRevision }];
    if (type === 'remove') return (await this.#writer.erase(kind, found.object, compares)) !== undefined;
    const next = clone(object);
    if (!equal(specOf(next), specOf(found.object))) {
      next.metadata.generation = (found.object.metadata.generation ?? 0) + 1;
    }
    return (await this.#writer.write(kind, found.object, next, compares)) !== undefined;
  }
}

/** The rules about a change of one part, or of all but status. */
function checkChange(kind: Kind, next: ApiObject, old: ApiObject, part: ChangedPart | undefined): Problem[] {
  if (part === 'ephemeralcontainers') return kind.checkEphemeral?.(next, old) ?? [];
  const rules =
    part === undefined ? kind.validateUpdate : part === 'binding' ? undefined : kind.validateStatus;
  return rules?.(next, old) ?? [];
}

const otherName = (own: string, name: string): ApiError =>
  badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
