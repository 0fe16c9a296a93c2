/**
 * Objects in the store: what creating, changing and deleting one means. The HTTP side and the control loop both come
 * through here.
 *
 * An object is one key, `/registry/[GROUP/]PLURAL/[NAMESPACE/]NAME`, its JSON without resourceVersion, which is the
 * revision that wrote it. What it holds alone (an address, a prefix) is a key each below `/allocated/`, written and
 * deleted in the object's own transaction, so that no two objects can ever have the same.
 *
 * Every write reads, decides, and writes on the condition that nothing it read has changed; else it begins again. Only
 * a caller who named a resourceVersion gets a Conflict.
 */
import { randomBytes } from 'node:crypto';
import { timestamp } from '../api/age.js';
import { DEFAULT_NAMESPACE, withDefaults } from '../api/defaults.js';
import {
  ApiError,
  alreadyExists,
  badRequest,
  conflict,
  describeDecoding,
  invalidObject,
  isForbidden,
  notFound,
  undecodable,
} from '../api/error.js';
import { clone, equal, isMap } from '../api/json.js';
import {
  apiVersionOf,
  ENDPOINTS,
  findKind,
  LAB,
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  type Kind,
} from '../api/kinds.js';
import { isExternalNode } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import { invalid } from '../api/problem.js';
import { checkSchema, prune } from '../api/schema.js';
import type { ApiObject, Lab, Namespace, Node, Pod, Service } from '../api/types.js';
import { checkRules } from '../api/validate.js';
import { allocations } from '../control/allocations.js';
import { compareCreation } from '../control/order.js';
import type { Change } from '../control/reconcile.js';
import { assignService, checkAssignable, unassigned } from '../control/service-allocation.js';
import type { Compare, KeyValue, Store, StoreEvent, Write } from './store/store.js';
import { createUids } from './uid.js';

export const REGISTRY = '/registry/';
const ALLOCATED = '/allocated/';

/** What is assumed while nobody has made a Lab. */
export const DEFAULT_LAB: Lab = {
  apiVersion: apiVersionOf(LAB),
  kind: LAB.kind,
  metadata: { name: 'default' },
};

/** Namespaces that are always there. */
const STANDARD_NAMESPACES = [DEFAULT_NAMESPACE, 'kube-system'];

/** Times a write begins again before it gives up; each time somebody else's write has succeeded. */
const MAX_ATTEMPTS = 50;

/** Where an object is, or shall be. */
export interface Place {
  readonly kind: Kind;
  /** Undefined for kinds without namespaces, and for all namespaces. */
  readonly namespace: string | undefined;
}

export interface WriteOptions {
  /** Check everything and answer as if, but write nothing. */
  dryRun?: boolean;
  /** What becomes of fields the schema does not know; default: they are left out, and warned of. */
  fieldValidation?: 'Ignore' | 'Warn' | 'Strict';
  /** Told of each warning. */
  warn?(text: string): void;
}

export interface DeleteOptions {
  dryRun?: boolean;
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
}

export interface ObjectList {
  readonly items: readonly ApiObject[];
  readonly revision: number;
  readonly more: boolean;
}

export function prefixOf({ kind, namespace }: Place): string {
  const group = kind.group ? `${kind.group}/` : '';
  return `${REGISTRY}${group}${kind.plural}/${namespace === undefined ? '' : `${namespace}/`}`;
}

const keyOfObject = (kind: Kind, object: ApiObject): string =>
  prefixOf({ kind, namespace: object.metadata.namespace }) + object.metadata.name;

export class Registry {
  readonly store: Store;
  /** Parsed objects by key: an object is parsed once for all who read and watch it. */
  readonly #parsed = new Map<string, { modRevision: number; object: ApiObject }>();
  /** The same for versions that are no longer the newest, as long as somebody holds them. */
  readonly #outdated = new WeakMap<KeyValue, ApiObject>();
  readonly #watch: { close(): void };
  readonly #now: () => number;
  readonly #newUid = createUids();

  /** @param now  milliseconds since 1970 */
  constructor(store: Store, now: () => number = Date.now) {
    this.store = store;
    this.#now = now;
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

  /** Make the namespaces that are always there. */
  async createStandards(): Promise<void> {
    for (const name of STANDARD_NAMESPACES) {
      const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      const place = { kind: NAMESPACE, namespace: undefined };
      if (!(await this.#find(place, name))) await this.create(place, namespace);
    }
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
    return (await this.#get(place, name)).object;
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

  async #find(place: Place, name: string): Promise<{ stored: KeyValue; object: ApiObject } | undefined> {
    const stored = await this.store.get(prefixOf(place) + name);
    return stored && { stored, object: this.decode(stored) };
  }

  async #get(place: Place, name: string): Promise<{ stored: KeyValue; object: ApiObject }> {
    const found = await this.#find(place, name);
    if (!found) throw notFound(place.kind, name);
    return found;
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
    kind.prepareCreate?.(object);
    const asked = complete(kind, object, options);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const compares: Compare[] = [{ key: keyOfObject(kind, asked), modRevision: 0 }];
      if (kind.namespaced) compares.push(await this.#requireNamespace(kind, asked));
      if (await this.#find(place, metadata.name)) throw alreadyExists(kind, metadata.name);
      const full = await this.#assign(kind, asked, undefined);
      const written = await this.#write(kind, undefined, full, compares, options.dryRun);
      if (written) return written;
    }
    throw conflict(kind, metadata.name);
  }

  /** An object with what it did not ask for and gets all the same, such as an address. */
  async #assign(kind: Kind, object: ApiObject, old: ApiObject | undefined): Promise<ApiObject> {
    if (kind.kind !== SERVICE.kind) return object;
    const lab = await this.#lab();
    const problems = checkAssignable(object as Service, old as Service | undefined, lab);
    if (problems.length > 0) throw invalidObject(kind, object.metadata.name, problems);
    const search = assignService(object as Service, lab);
    let step = search.next();
    while (!step.done) step = search.next((await this.store.get(ALLOCATED + step.value)) !== undefined);
    const why = unassigned(step.value);
    if (why) throw new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);
    return step.value;
  }

  async #lab(): Promise<Lab> {
    const { items } = await this.list({ kind: LAB, namespace: undefined });
    return (items as readonly Lab[]).toSorted(compareCreation)[0] ?? DEFAULT_LAB;
  }

  /** The namespace must be there, and still be there when the object is written. */
  async #requireNamespace(kind: Kind, object: ApiObject): Promise<Compare> {
    const name = object.metadata.namespace!;
    const { stored, object: namespace } = await this.#get({ kind: NAMESPACE, namespace: undefined }, name);
    if (namespace.metadata.deletionTimestamp) {
      const why = `unable to create new content in namespace ${name} because it is being terminated`;
      throw isForbidden(kind, object.metadata.name, why);
    }
    return { key: stored.key, modRevision: stored.modRevision };
  }

  /**
   * Change an object.
   *
   * @param change       makes the new object, as a request's body, from the old; called again when another write came first
   * @param subresource  'status' changes nothing but status, undefined everything else
   */
  async modify(
    place: Place,
    name: string,
    change: (old: ApiObject) => unknown,
    subresource: 'status' | undefined,
    options: WriteOptions = {},
  ): Promise<ApiObject> {
    const { kind } = place;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { stored, object: old } = await this.#get(place, name);
      const wanted = decodeBody(place, change(old), options);
      if (wanted.metadata.name !== name) {
        throw badRequest(
          `the name of the object (${wanted.metadata.name}) does not match the name on the URL (${name})`,
        );
      }
      const { uid, resourceVersion } = wanted.metadata;
      if (uid && uid !== old.metadata.uid) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
        throw conflict(kind, name, why);
      }
      if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw conflict(kind, name);
      const asked = complete(kind, merge(kind, wanted, old, subresource), options);
      const problems = subresource ? [] : (kind.validateUpdate?.(asked, old) ?? []);
      if (problems.length > 0) throw invalidObject(kind, name, problems);
      const next = subresource ? asked : await this.#assign(kind, asked, old);
      if (equal(next, old)) return old;
      if (!equal(specOf(next), specOf(old))) next.metadata.generation = (old.metadata.generation ?? 0) + 1;
      const compares = [{ key: stored.key, modRevision: stored.modRevision }];
      const written = hasLostItsLastFinalizer(next, old)
        ? await this.#erase(kind, old, compares, options.dryRun)
        : await this.#write(kind, old, next, compares, options.dryRun);
      if (written) return written;
      if (resourceVersion) throw conflict(kind, name);
    }
    throw conflict(kind, name);
  }

  /**
   * Delete an object as a user asks for it. A pod on a host that has an agent, a namespace and an object with finalizers
   * only get their deletionTimestamp; who looks after them removes them.
   *
   * @returns the object, and whether it is gone
   */
  async remove(
    place: Place,
    name: string,
    options: DeleteOptions = {},
  ): Promise<{ object: ApiObject; isGone: boolean }> {
    const { kind } = place;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { stored, object: old } = await this.#get(place, name);
      const { uid, resourceVersion } = options.preconditions ?? {};
      if (uid && uid !== old.metadata.uid) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
        throw conflict(kind, name, why);
      }
      if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw conflict(kind, name);
      if (kind === NAMESPACE && STANDARD_NAMESPACES.includes(name)) {
        throw isForbidden(kind, name, 'this namespace may not be deleted');
      }
      const compares = [{ key: stored.key, modRevision: stored.modRevision }];
      const grace = await this.#grace(old, options.gracePeriodSeconds);
      const hasKeepers = (old.metadata.finalizers ?? []).length > 0;
      if (grace === 0 && !hasKeepers && kind !== NAMESPACE) {
        const written = await this.#erase(kind, old, compares, options.dryRun);
        if (written) return { object: written, isGone: true };
        continue;
      }
      const leaving = this.#markDeleted(old, grace);
      if (leaving === old) return { object: old, isGone: false };
      const written = await this.#write(kind, old, leaving, compares, options.dryRun);
      if (written) return { object: written, isGone: false };
    }
    throw conflict(kind, name);
  }

  /** Seconds that a deleted object may still live; 0 for all but pods whose agent has to end them. */
  async #grace(object: ApiObject, asked: number | undefined): Promise<number> {
    if (object.kind !== POD.kind) return 0;
    const pod = object as Pod;
    if (!pod.spec.nodeName || isTerminal(pod)) return 0;
    const node = await this.#find({ kind: NODE, namespace: undefined }, pod.spec.nodeName);
    if (!node || isExternalNode(node.object as Node)) return 0;
    return Math.max(
      0,
      asked ?? pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 0,
    );
  }

  #markDeleted(old: ApiObject, grace: number): ApiObject {
    const deletionTimestamp = timestamp(this.#now() + grace * 1000);
    // A second request may only hurry.
    if (old.metadata.deletionTimestamp && old.metadata.deletionTimestamp <= deletionTimestamp) return old;
    const next = clone(old);
    next.metadata.deletionTimestamp = deletionTimestamp;
    next.metadata.deletionGracePeriodSeconds = grace;
    next.metadata.generation = (old.metadata.generation ?? 0) + 1;
    if (next.kind === NAMESPACE.kind) (next as Namespace).status = { phase: 'Terminating' };
    return next;
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
    const found = await this.#find(place, name);
    if (!found || found.object.metadata.resourceVersion !== resourceVersion) return false;
    const compares = [{ key: found.stored.key, modRevision: found.stored.modRevision }];
    if (type === 'remove') return (await this.#erase(kind, found.object, compares)) !== undefined;
    const next = clone(object);
    if (!equal(specOf(next), specOf(found.object))) {
      next.metadata.generation = (found.object.metadata.generation ?? 0) + 1;
    }
    return (await this.#write(kind, found.object, next, compares)) !== undefined;
  }

  /** @returns what was written, or undefined when something it depends on has changed */
  async #write(
    kind: Kind,
    old: ApiObject | undefined,
    next: ApiObject,
    compares: readonly Compare[],
    dryRun = false,
  ): Promise<ApiObject | undefined> {
    const key = keyOfObject(kind, next);
    const { compares: free, writes } = await this.#allocate(kind, old, next, key);
    const { resourceVersion: _, ...metadata } = next.metadata;
    const value = JSON.stringify({ ...next, metadata });
    if (dryRun)
      return { ...next, metadata: { ...next.metadata, resourceVersion: old?.metadata.resourceVersion } };
    const result = await this.store.txn([...compares, ...free], [{ key, value }, ...writes]);
    if (!result.succeeded) return undefined;
    const object = JSON.parse(value) as ApiObject;
    object.metadata.resourceVersion = String(result.revision);
    return object;
  }

  /** @returns the object as it was at its end, or undefined when something it depends on has changed */
  async #erase(
    kind: Kind,
    old: ApiObject,
    compares: readonly Compare[],
    dryRun = false,
  ): Promise<ApiObject | undefined> {
    if (dryRun) return old;
    const keys = [
      keyOfObject(kind, old),
      ...allocations(old).map((allocation) => ALLOCATED + allocation.key),
    ];
    // As in Kubernetes, also when they are hand-made.
    if (kind.kind === SERVICE.kind) keys.push(keyOfObject(ENDPOINTS, old));
    const result = await this.store.txn(
      compares,
      keys.map((key) => ({ key, value: undefined })),
    );
    return result.succeeded ? old : undefined;
  }

  /** The keys by which `next` claims what `old` did not have, and gives up what it no longer has. */
  async #allocate(
    kind: Kind,
    old: ApiObject | undefined,
    next: ApiObject,
    owner: string,
  ): Promise<{ compares: Compare[]; writes: Write[] }> {
    const had = new Set(old ? allocations(old).map(({ key }) => key) : []);
    const wanted = allocations(next);
    const compares: Compare[] = [];
    const writes: Write[] = [];
    for (const { key, field, value, refusal } of wanted) {
      if (had.delete(key)) continue;
      const holder = await this.store.get(ALLOCATED + key);
      if (holder) {
        const detail = refusal ?? `is already allocated to ${holder.value.slice(REGISTRY.length)}`;
        throw invalidObject(kind, next.metadata.name, [invalid(field, value, detail)]);
      }
      compares.push({ key: ALLOCATED + key, modRevision: 0 });
      writes.push({ key: ALLOCATED + key, value: owner });
    }
    for (const key of had) writes.push({ key: ALLOCATED + key, value: undefined });
    return { compares, writes };
  }
}

/** A request's body as an object of the kind and place its path names; a copy. */
function decodeBody({ kind, namespace }: Place, body: unknown, options: WriteOptions): ApiObject {
  if (!isMap(body)) throw badRequest(`the body must be an object of kind ${kind.kind}`);
  const apiVersion = body['apiVersion'] ?? apiVersionOf(kind);
  const kindName = body['kind'] ?? kind.kind;
  if (findKind(String(apiVersion), String(kindName)) !== kind) {
    throw badRequest(
      `the object provided is of ${String(apiVersion)}, kind ${String(kindName)}; this path takes ${apiVersionOf(kind)}, kind ${kind.kind}`,
    );
  }
  const named = { ...body, apiVersion: apiVersionOf(kind), kind: kindName };
  const problems = checkSchema(named, kind.schema);
  const unknown = problems.filter(({ reason }) => reason === 'UnknownField');
  const wrongType = problems.filter(({ reason }) => reason === 'FieldValueTypeInvalid');
  const strict = options.fieldValidation === 'Strict' ? [...wrongType, ...unknown] : wrongType;
  if (strict.length > 0) throw undecodable(kind.kind, apiVersionOf(kind), strict);
  if (options.fieldValidation !== 'Ignore')
    for (const problem of unknown) options.warn?.(describeDecoding(problem));
  const missing = problems.filter(
    ({ reason }) => reason !== 'UnknownField' && reason !== 'FieldValueTypeInvalid',
  );
  const object = prune(named, kind.schema) as ApiObject;
  object.metadata ??= { name: '' };
  const { metadata } = object;
  if (missing.length > 0) throw invalidObject(kind, metadata.name ?? '', missing);
  if (namespace !== undefined) {
    metadata.namespace ||= namespace;
    if (metadata.namespace !== namespace) {
      throw badRequest(
        `the namespace of the provided object does not match the namespace sent on the request (${metadata.namespace} ≠ ${namespace})`,
      );
    }
  }
  if (options.fieldValidation !== 'Ignore' && !kind.hasEffect) {
    options.warn?.(`${kind.plural} are stored, and have no effect yet`);
  }
  return object;
}

/** Defaults and rules. */
function complete(kind: Kind, object: ApiObject, options: WriteOptions): ApiObject {
  const full = withDefaults(object);
  const problems = checkRules(full);
  if (problems.length > 0)
    throw invalidObject(kind, full.metadata.name || full.metadata.generateName || '', problems);
  for (const warning of kind.warnings?.(full) ?? []) options.warn?.(warning);
  return full;
}

type Parts = ApiObject & { spec?: unknown; status?: unknown };
const specOf = (object: ApiObject): unknown => (object as Parts).spec;

/** The new object from what was asked for and what may not be changed that way. */
function merge(kind: Kind, wanted: Parts, old: Parts, subresource: 'status' | undefined): ApiObject {
  if (subresource === 'status') {
    const next: Parts = clone({ ...old, status: wanted.status });
    kind.prepareStatus?.(next, old);
    return next;
  }
  const next: Parts = clone(wanted);
  for (const field of [
    'uid',
    'creationTimestamp',
    'generation',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'resourceVersion',
  ] as const) {
    Object.assign(next.metadata, { [field]: old.metadata[field] });
  }
  if (kind.subresources.includes('status')) next.status = old.status;
  kind.prepareUpdate?.(next, old);
  return next;
}

const hasLostItsLastFinalizer = (next: ApiObject, old: ApiObject): boolean =>
  next.metadata.deletionTimestamp !== undefined &&
  !next.metadata.deletionGracePeriodSeconds &&
  (old.metadata.finalizers ?? []).length > 0 &&
  (next.metadata.finalizers ?? []).length === 0;

/** Five letters and digits that spell no word. k8s.io/apiserver, pkg/storage/names. */
function randomSuffix(): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  return Array.from(randomBytes(5), (byte) => alphabet[byte % alphabet.length]).join('');
}
