/**
 * One object, one transaction: the object itself and, below `/allocated/`, a key for each thing that it holds alone
 * (an address, a port, a prefix), so that no two objects can ever have the same.
 */
import { accountNameOf, wantsToken, withAccountVolume } from '../../api/account-volume.js';
import { ApiError, invalidObject } from '../../api/error.js';
import { ENDPOINTS, POD, SERVICE, SERVICE_ACCOUNT, type Kind } from '../../api/kinds.js';
import { invalid } from '../../api/problem.js';
import type { ApiObject, Pod, Service, ServiceAccount } from '../../api/types.js';
import { allocations } from '../../control/allocations.js';
import { assignService, checkAssignable, unassigned } from '../../control/service-allocation.js';
import type { Compare, Write } from '../store/store.js';
import { ALLOCATED, keyOfObject, REGISTRY } from './place.js';
import { randomSuffix } from './random-suffix.js';
import type { StoredObjects } from './stored-objects.js';

export class Writer {
  readonly #objects: StoredObjects;

  constructor(objects: StoredObjects) {
    this.#objects = objects;
  }

  /** An object with what it did not ask for and gets all the same, such as an address. */
  async assign(kind: Kind, object: ApiObject, old: ApiObject | undefined): Promise<ApiObject> {
    if (kind === (POD as Kind) && !old) return this.#withToken(object as Pod);
    if (kind.kind !== SERVICE.kind) return object;
    const lab = await this.#objects.lab();
    const problems = checkAssignable(object as Service, old as Service | undefined, lab);
    if (problems.length > 0) throw invalidObject(kind, object.metadata.name, problems);
    const search = assignService(object as Service, lab);
    let step = search.next();
    while (!step.done)
      step = search.next((await this.#objects.store.get(ALLOCATED + step.value)) !== undefined);
    const why = unassigned(step.value);
    if (why) throw new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);
    return step.value;
  }

  /** A new pod with the token of its account; plugin/pkg/admission/serviceaccount. */
  async #withToken(pod: Pod): Promise<Pod> {
    const place = { kind: SERVICE_ACCOUNT as Kind, namespace: pod.metadata.namespace };
    const account = await this.#objects.find(place, accountNameOf(pod));
    const isWanted = wantsToken(pod, account?.object as ServiceAccount | undefined);
    return isWanted ? withAccountVolume(pod, randomSuffix()) : pod;
  }

  /**
   * Write an object with all it claims.
   *
   * @returns what was written, or undefined when something it depends on has changed
   */
  async write(
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
    const result = await this.#objects.store.txn([...compares, ...free], [{ key, value }, ...writes]);
    if (!result.succeeded) return undefined;
    const object = JSON.parse(value) as ApiObject;
    object.metadata.resourceVersion = String(result.revision);
    return object;
  }

  /**
   * Take an object away with all it claims.
   *
   * @returns the object as it was at its end, or undefined when something it depends on has changed
   */
  async erase(
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
    const result = await this.#objects.store.txn(
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
      const holder = await this.#objects.store.get(ALLOCATED + key);
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
