/**
 * Garbage: what goes when its owner has gone.
 *
 * An object whose owners are all gone is deleted. An owner that is deleted in the foreground (finalizer
 * `foregroundDeletion`) stays until those of its dependents are gone that block it; one that orphans (finalizer `orphan`)
 * until none names it any more. A reference to an owner that is gone, beside one to an owner that is there, is taken
 * out. Owners of kinds that are not served count as being there.
 *
 * Theory of operation. Who owns what is remembered from run to run, by what has changed in the lists. An object is due
 * when it is new, when one of its owners has gone, or begins to go by a finalizer of ours; it stays due until a run finds
 * nothing to do. So a run costs what has changed. All objects must be in sight, or owners would seem to be gone that are
 * not.
 *
 * Source: k8s.io/kubernetes, pkg/controller/garbagecollector/garbagecollector.go.
 */
import { findKind } from '../api/kinds.js';
import { TrackedObjects } from '../api/tracked-objects.js';
import type { ApiObject, Pod } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { withOwners } from './owners.js';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

const isDeletedBy = ({ metadata }: ApiObject, finalizer: string): boolean =>
  metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).includes(finalizer);

/** Objects by their owners. */
export class GarbageIndex {
  readonly #tracked: TrackedObjects<ApiObject>[] = [];
  readonly #byUid = new Map<string, ApiObject>();
  readonly #owned = new Map<string, Set<ApiObject>>();
  /** Owners that wait for their dependents, and those that let theirs go. */
  readonly waiting = new Map<string, ApiObject>();
  readonly orphaning = new Map<string, ApiObject>();
  readonly due = new Set<ApiObject>();

  /** Take in what has changed. @param lists  of one kind each, always the same kinds in the same order */
  sync(lists: readonly (readonly ApiObject[])[]): void {
    const touched = new Set<string>();
    lists.forEach((list, i) => {
      (this.#tracked[i] ??= new TrackedObjects()).sync(list, (object, by) => {
        const { uid } = object.metadata;
        if (uid === undefined) return;
        if (by > 0) this.#add(uid, object);
        else this.#remove(uid, object);
        touched.add(uid);
      });
    });
    for (const uid of touched)
      if (!this.#byUid.has(uid) || this.waiting.has(uid) || this.orphaning.has(uid))
        for (const object of this.ownedBy(uid)) this.due.add(object);
  }

  #add(uid: string, object: ApiObject): void {
    this.#byUid.set(uid, object);
    for (const { uid: owner } of object.metadata.ownerReferences ?? []) {
      const owned = this.#owned.get(owner);
      if (owned) owned.add(object);
      else this.#owned.set(owner, new Set([object]));
      this.due.add(object);
    }
    if (isDeletedBy(object, FOREGROUND)) this.waiting.set(uid, object);
    if (isDeletedBy(object, ORPHAN)) this.orphaning.set(uid, object);
  }

  #remove(uid: string, object: ApiObject): void {
    for (const map of [this.#byUid, this.waiting, this.orphaning])
      if (map.get(uid) === object) map.delete(uid);
    for (const { uid: owner } of object.metadata.ownerReferences ?? []) {
      const owned = this.#owned.get(owner);
      if (owned?.delete(object) && owned.size === 0) this.#owned.delete(owner);
    }
    this.due.delete(object);
  }

  has(uid: string): boolean {
    return this.#byUid.has(uid);
  }

  ownedBy(uid: string): Iterable<ApiObject> {
    return this.#owned.get(uid) ?? [];
  }
}

/**
 * @param lists  all objects there are, a list a kind
 * @param index  of the same objects, perhaps as they were before; taken to what they are now
 */
export function collectGarbage(
  lists: readonly (readonly ApiObject[])[],
  agenda: Agenda,
  index: GarbageIndex,
): void {
  index.sync(lists);
  const { waiting, orphaning } = index;
  for (const object of [...index.due]) {
    const references = object.metadata.ownerReferences!;
    const solid = references.filter(
      ({ uid, apiVersion, kind }) => index.has(uid) || !findKind(apiVersion, kind),
    );
    const freed = solid.filter(({ uid }) => !orphaning.has(uid));
    if (freed.length < solid.length) {
      agenda.update(withOwners(agenda.latest(object), (uid) => !orphaning.has(uid)));
      continue;
    }
    const staying = solid.filter(({ uid }) => !waiting.has(uid));
    if (staying.length === 0) agenda.delete(object);
    else if (staying.length < references.length) {
      const kept = new Set(staying.map(({ uid }) => uid));
      agenda.update(withOwners(agenda.latest(object), (uid) => kept.has(uid)));
    } else index.due.delete(object);
  }
  for (const [uid, owner] of waiting) {
    const isHeld = [...index.ownedBy(uid)].some(({ metadata }) =>
      metadata.ownerReferences!.some((reference) => reference.uid === uid && reference.blockOwnerDeletion),
    );
    if (!isHeld) release(owner, FOREGROUND, agenda);
  }
  for (const [uid, owner] of orphaning)
    if ([...index.ownedBy(uid)].length === 0) release(owner, ORPHAN, agenda);
}

/** Take a finalizer off, and the object away when that was the last. */
function release(object: ApiObject, finalizer: string, agenda: Agenda): void {
  const finalizers = (object.metadata.finalizers ?? []).filter((other) => other !== finalizer);
  const metadata = { ...object.metadata, finalizers };
  // A pod's programs are its agent's to end.
  const hasAgent = object.kind === 'Pod' && (object.metadata.deletionGracePeriodSeconds ?? 0) > 0;
  if (finalizers.length > 0 || (hasAgent && (object as Pod).spec.nodeName))
    agenda.update({ ...agenda.latest(object), metadata });
  else agenda.remove(object);
}
