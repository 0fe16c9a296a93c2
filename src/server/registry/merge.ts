/**
 * The new object from what a request asks for and what it may not change.
 */
import { clone } from '../../api/json.js';
import type { StatusPart } from '../../api/kind.js';
import type { Kind } from '../../api/kinds.js';
import { managedFieldsOf, setManagedFields } from '../../api/managed-fields.js';
import type { ApiObject } from '../../api/types.js';

type Parts = ApiObject & { spec?: unknown; status?: unknown };
/** What a change of counts as a new generation. */
export const specOf = (object: ApiObject): unknown => (object as Parts).spec;

/** The subresources that change one part of an object and nothing else. */
export type ChangedPart = StatusPart | 'binding' | 'ephemeralcontainers';

/** The new object from what was asked for and what may not be changed that way. */
export function merge(
  kind: Kind,
  wanted: Parts,
  old: Parts,
  subresource: ChangedPart | undefined,
): ApiObject {
  if (subresource === 'status' || subresource === 'approval') {
    const next: Parts = clone({ ...old, status: wanted.status });
    setManagedFields(next, managedFieldsOf(wanted) ?? managedFieldsOf(old));
    kind.prepareStatus?.(next, old, subresource);
    return next;
  }
  if (subresource === 'binding') return clone({ ...old, spec: wanted.spec } as Parts);
  if (subresource === 'ephemeralcontainers') {
    const next: Parts = clone(kind.mergeEphemeral!(old, wanted));
    setManagedFields(next, managedFieldsOf(wanted) ?? managedFieldsOf(old));
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
  // An empty list takes them all away.
  setManagedFields(next, managedFieldsOf(wanted) ?? managedFieldsOf(old));
  if (kind.subresources.includes('status')) next.status = old.status;
  kind.prepareUpdate?.(next, old);
  return next;
}

/** Whether an update of an object that is being deleted takes away what kept it. */
export const hasLostItsLastFinalizer = (next: ApiObject, old: ApiObject): boolean =>
  next.metadata.deletionTimestamp !== undefined &&
  !next.metadata.deletionGracePeriodSeconds &&
  (old.metadata.finalizers ?? []).length > 0 &&
  (next.metadata.finalizers ?? []).length === 0;
