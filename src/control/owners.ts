/**
 * Who controls what. Objects are grouped once a run; a controller then finds its own by its uid, and those without a
 * controller by their namespace, to take them in when its selector matches.
 *
 * Source: k8s.io/kubernetes, pkg/controller/controller_ref_manager.go.
 */
import { matchesLabels } from '../api/label-selector.js';
import type { ApiObject, LabelSelector, OwnerReference } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { groupBy } from './group.js';
import { compareCreation } from './order.js';

/** The owner that manages an object; there is at most one. */
export const controllerOf = ({ metadata }: ApiObject): OwnerReference | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller);

/** The reference by which an object is its owner's. The owner must have been stored. */
export const ownedBy = ({ apiVersion, kind, metadata }: ApiObject): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid!,
  controller: true,
  blockOwnerDeletion: true,
});

/** Objects of one kind by who controls them. */
export class Owned<T extends ApiObject> {
  readonly #byController: Map<string | undefined, T[]>;
  readonly #free: Map<string | undefined, T[]>;

  constructor(objects: readonly T[]) {
    this.#byController = groupBy(objects, (object) => controllerOf(object)?.uid);
    this.#free = groupBy(this.#byController.get(undefined) ?? [], ({ metadata }) => metadata.namespace);
  }

  /** Those that an owner controls, whatever their labels. */
  of(owner: ApiObject): readonly T[] {
    return owner.metadata.uid === undefined ? [] : (this.#byController.get(owner.metadata.uid) ?? []);
  }

  /**
   * Those that an owner controls and its selector matches, oldest first. On the way it lets go of those that no longer
   * match, and takes in those that match and are nobody's.
   */
  claim(owner: ApiObject, selector: LabelSelector, agenda: Agenda, isClaimable: (object: T) => boolean): T[] {
    const isLeaving = owner.metadata.deletionTimestamp !== undefined;
    const kept = this.of(owner).filter((object) => {
      if (matchesLabels(selector, object.metadata.labels)) return true;
      if (agenda.isStaying(object) && !isLeaving)
        agenda.update(withOwners(object, (uid) => uid !== owner.metadata.uid));
      return false;
    });
    if (isLeaving) return [...kept].sort(compareCreation);
    const adopted: T[] = [];
    for (const object of this.#free.get(owner.metadata.namespace) ?? []) {
      if (!agenda.isStaying(object) || !isClaimable(object)) continue;
      if (!matchesLabels(selector, object.metadata.labels)) continue;
      // Another controller was first in this very run.
      const latest = agenda.latest(object);
      if (controllerOf(latest)) continue;
      const next = withOwners(latest, () => true, ownedBy(owner));
      agenda.update(next);
      adopted.push(next);
    }
    return [...kept, ...adopted].sort(compareCreation);
  }
}

/** An object with only some of its owners, and perhaps another one. */
export function withOwners<T extends ApiObject>(
  object: T,
  keeps: (uid: string) => boolean,
  ...added: OwnerReference[]
): T {
  const ownerReferences = [
    ...(object.metadata.ownerReferences ?? []).filter(({ uid }) => keeps(uid)),
    ...added,
  ];
  const metadata = { ...object.metadata, ownerReferences };
  if (ownerReferences.length === 0) delete (metadata as ApiObject['metadata']).ownerReferences;
  return { ...object, metadata };
}
