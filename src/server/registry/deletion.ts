/**
 * What deleting an object means: at once, or with a deletionTimestamp until who looks after it has let go.
 */
import { timestamp } from '../../api/age.js';
import { conflict, isForbidden } from '../../api/error.js';
import { clone, equal } from '../../api/json.js';
import { NAMESPACE, NODE, POD, type Kind } from '../../api/kinds.js';
import { isExternalNode } from '../../api/node.js';
import { isTerminal } from '../../api/pod.js';
import type { ApiObject, Namespace, Node, Pod } from '../../api/types.js';
import { MAX_ATTEMPTS, STANDARD_NAMESPACES, type Place } from './place.js';
import type { StoredObjects } from './stored-objects.js';
import type { Writer } from './writer.js';

/** What becomes of the objects that this one owns. */
export const PROPAGATION_POLICIES = ['Background', 'Foreground', 'Orphan'] as const;
export type PropagationPolicy = (typeof PROPAGATION_POLICIES)[number];

/** Keeps an object until all that it owns and that block its deletion are gone. The garbage collector takes it away. */
export const FOREGROUND_FINALIZER = 'foregroundDeletion';
/** Keeps an object until what it owned has no owner any more. */
export const ORPHAN_FINALIZER = 'orphan';

export interface DeleteOptions {
  dryRun?: boolean;
  gracePeriodSeconds?: number;
  propagationPolicy?: PropagationPolicy;
  preconditions?: { uid?: string; resourceVersion?: string };
  /** Asked about the object; throws to refuse. */
  guard?(kind: Kind, object: ApiObject): void;
}

export class Deletion {
  readonly #objects: StoredObjects;
  readonly #writer: Writer;
  readonly #now: () => number;

  constructor(objects: StoredObjects, writer: Writer, now: () => number) {
    this.#objects = objects;
    this.#writer = writer;
    this.#now = now;
  }

  /**
   * Delete an object as a user asks for it. A pod on a host that has an agent, a namespace and an object with finalizers
   * only get their deletionTimestamp; who looks after them removes them. With the policy Foreground or Orphan the object
   * gets a finalizer, which is for the garbage collector.
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
      const { stored, object: old } = await this.#objects.require(place, name);
      const { uid, resourceVersion } = options.preconditions ?? {};
      if (uid && uid !== old.metadata.uid) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
        throw conflict(kind, name, why);
      }
      if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw conflict(kind, name);
      if (kind === NAMESPACE && STANDARD_NAMESPACES.includes(name)) {
        throw isForbidden(kind, name, 'this namespace may not be deleted');
      }
      options.guard?.(kind, old);
      const compares = [{ key: stored.key, modRevision: stored.modRevision }];
      const grace = await this.#grace(old, options.gracePeriodSeconds);
      const finalizers = finalizersFor(old, options.propagationPolicy);
      if (grace === 0 && finalizers.length === 0 && kind !== NAMESPACE) {
        const written = await this.#writer.erase(kind, old, compares, options.dryRun);
        if (written) return { object: written, isGone: true };
        continue;
      }
      const leaving = this.#markDeleted(old, grace, finalizers);
      if (leaving === old) return { object: old, isGone: false };
      const written = await this.#writer.write(kind, old, leaving, compares, options.dryRun);
      if (written) return { object: written, isGone: false };
    }
    throw conflict(kind, name);
  }

  /** Seconds that a deleted object may still live; 0 for all but pods whose agent has to end them. */
  async #grace(object: ApiObject, asked: number | undefined): Promise<number> {
    if (object.kind !== POD.kind) return 0;
    const pod = object as Pod;
    if (!pod.spec.nodeName || isTerminal(pod)) return 0;
    const node = await this.#objects.find({ kind: NODE, namespace: undefined }, pod.spec.nodeName);
    if (!node || isExternalNode(node.object as Node)) return 0;
    return Math.max(
      0,
      asked ?? pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 0,
    );
  }

  #markDeleted(old: ApiObject, grace: number, finalizers: readonly string[]): ApiObject {
    const deletionTimestamp = timestamp(this.#now() + grace * 1000);
    const next = clone(old);
    if (finalizers.length > 0) next.metadata.finalizers = [...finalizers];
    else delete next.metadata.finalizers;
    // A second request may only hurry.
    const isHurried = !old.metadata.deletionTimestamp || old.metadata.deletionTimestamp > deletionTimestamp;
    if (!isHurried && equal(next, old)) return old;
    if (isHurried) {
      next.metadata.deletionTimestamp = deletionTimestamp;
      next.metadata.deletionGracePeriodSeconds = grace;
      next.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
    if (next.kind === NAMESPACE.kind) (next as Namespace).status = { phase: 'Terminating' };
    return next;
  }
}

/** The finalizers an object has while it is being deleted; without a policy those it has now. */
function finalizersFor({ metadata }: ApiObject, policy: PropagationPolicy | undefined): string[] {
  const now = metadata.finalizers ?? [];
  if (!policy) return now;
  const others = now.filter((name) => name !== FOREGROUND_FINALIZER && name !== ORPHAN_FINALIZER);
  if (policy === 'Foreground') return [...others, FOREGROUND_FINALIZER];
  return policy === 'Orphan' ? [...others, ORPHAN_FINALIZER] : others;
}
