/**
 * Garbage: what goes when its owner has gone.
 *
 * Theory of operation. An object whose owners are all gone is deleted. An owner that is deleted in the foreground
 * (finalizer `foregroundDeletion`) stays until those of its dependents are gone that block it; one that orphans
 * (finalizer `orphan`) until none names it any more. A reference to an owner that is gone, beside one to an owner that
 * is there, is taken out. Owners of kinds that are not served count as being there.
 *
 * All objects must be in sight, or owners would seem to be gone that are not.
 *
 * Source: k8s.io/kubernetes, pkg/controller/garbagecollector/garbagecollector.go.
 */
import { findKind } from '../api/kinds.js';
import type { ApiObject, Pod } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { withOwners } from './owners.js';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

const isDeletedBy = ({ metadata }: ApiObject, finalizer: string): boolean =>
  metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).includes(finalizer);

/** @param objects  all there are */
export function collectGarbage(objects: readonly ApiObject[], agenda: Agenda): void {
  const byUid = new Map<string, ApiObject>();
  const owned: ApiObject[] = [];
  const waiting = new Map<string, ApiObject>();
  const orphaning = new Map<string, ApiObject>();
  for (const object of objects) {
    const { uid, ownerReferences, deletionTimestamp } = object.metadata;
    if (uid === undefined) continue;
    byUid.set(uid, object);
    if (ownerReferences && ownerReferences.length > 0) owned.push(object);
    if (deletionTimestamp === undefined) continue;
    if (isDeletedBy(object, FOREGROUND)) waiting.set(uid, object);
    if (isDeletedBy(object, ORPHAN)) orphaning.set(uid, object);
  }
  /** Owners that something still hangs on. */
  const held = new Set<string>();
  for (const object of owned) {
    const references = object.metadata.ownerReferences!;
    for (const { uid, blockOwnerDeletion } of references) {
      if (orphaning.has(uid) || (blockOwnerDeletion && waiting.has(uid))) held.add(uid);
    }
    const solid = references.filter(
      ({ uid, apiVersion, kind }) => byUid.has(uid) || !findKind(apiVersion, kind),
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
    }
  }
  for (const [uid, owner] of waiting) if (!held.has(uid)) release(owner, FOREGROUND, agenda);
  for (const [uid, owner] of orphaning) if (!held.has(uid)) release(owner, ORPHAN, agenda);
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
