/**
 * Who owns which fields of an object, and what that means when somebody applies a configuration: server-side apply.
 *
 * Theory of operation. metadata.managedFields has an entry for each manager and operation. Whoever updates an object (create,
 * PUT, patch) becomes the owner of the fields that changed, and everybody else loses them. Whoever applies owns exactly the
 * fields of his configuration: they are merged into the object, fields that he had owned alone and no longer mentions are
 * taken away, and a field that another manager owns with another value is a conflict, unless he forces it.
 *
 * Writes without a manager (control, agents) are not recorded.
 *
 * Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/; sigs.k8s.io/structured-merge-diff, merge/update.go.
 */
import { timestamp } from './age.js';
import {
  changedFields,
  decodeFields,
  difference,
  EMPTY,
  encodeFields,
  fieldsOf,
  intersection,
  isEmpty,
  partsOf,
  pathsOf,
  union,
  type FieldSet,
} from './field-set.js';
import { clone, equal, isMap, setKey } from './json.js';
import type { Schema } from './schema.js';
import type { ApiObject } from './types.js';

/** An entry of metadata.managedFields. */
export interface ManagedFields {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  time?: string;
  fieldsType: 'FieldsV1';
  fieldsV1: Record<string, unknown>;
  subresource?: string;
}

export interface Manager {
  readonly name: string;
  readonly apiVersion: string;
  readonly subresource?: string;
}

/** Fields that another manager owns and that an applied configuration would change. */
export interface Conflict {
  readonly entry: ManagedFields;
  readonly paths: readonly string[];
}

/** Nobody owns what names an object, and what the server writes. */
const UNOWNED_METADATA = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
];

type Tree = Record<string, unknown>;

/** An object without what nobody owns; of status, only where it is what is written. */
function ownable(object: ApiObject, subresource: string | undefined): Tree {
  const { apiVersion: _, kind: __, metadata, status, ...rest } = object as ApiObject & { status?: unknown };
  const own: Tree = { ...metadata };
  for (const field of UNOWNED_METADATA) delete own[field];
  if (subresource === 'status' || subresource === 'approval') return status === undefined ? {} : { status };
  return Object.keys(own).length > 0 ? { metadata: own, ...rest } : rest;
}

const ownableFields = (object: ApiObject, schema: Schema, subresource?: string): FieldSet => {
  const tree = ownable(object, subresource);
  return Object.keys(tree).length === 0 ? EMPTY : fieldsOf(tree, schema);
};

type Managed = { managedFields?: ManagedFields[] };

/** The entries of an object; undefined when it says nothing of them. */
export const managedFieldsOf = ({ metadata }: ApiObject): ManagedFields[] | undefined =>
  (metadata as Managed).managedFields;

/** Give an object its entries; changes it. */
export function setManagedFields({ metadata }: ApiObject, entries: ManagedFields[] | undefined): void {
  if (entries && entries.length > 0) (metadata as Managed).managedFields = entries;
  else delete (metadata as Managed).managedFields;
}

/**
 * The entries of an object after an update.
 *
 * @param old  undefined when the object is new
 * @param now  milliseconds since 1970
 */
export function afterUpdate(
  old: ApiObject | undefined,
  next: ApiObject,
  schema: Schema,
  manager: Manager,
  now: number,
): ManagedFields[] {
  const { subresource } = manager;
  const before = old && ownable(old, subresource);
  const after = ownable(next, subresource);
  const changed = Object.keys(after).length === 0 ? EMPTY : changedFields(before ?? {}, after, schema);
  const lost = old
    ? difference(ownableFields(old, schema, subresource), ownableFields(next, schema, subresource))
    : EMPTY;
  const isOwn = (entry: ManagedFields): boolean => isEntryOf(entry, manager, 'Update');
  const entries = managedFieldsOf(next) ?? [];
  const own = entries.find(isOwn);
  const others = entries
    .filter((entry) => !isOwn(entry))
    .flatMap((entry) => without(entry, entry.subresource === subresource ? union(changed, lost) : EMPTY));
  const fields = difference(union(own ? decodeFields(own.fieldsV1) : EMPTY, changed), lost);
  if (isEmpty(fields)) return others;
  return [...others, entryOf(manager, 'Update', fields, own, now)];
}

/** What an applied configuration makes of an object. */
export interface Applied {
  /** The object, without its new entries. */
  readonly object: ApiObject;
  readonly entries: ManagedFields[];
  /** Not empty: it may not be done, unless it is forced. */
  readonly conflicts: readonly Conflict[];
}

/**
 * Apply a configuration to an object.
 *
 * @param config  what the manager wants, and nothing else
 * @param now     milliseconds since 1970
 */
export function applyConfiguration(
  live: ApiObject,
  config: ApiObject,
  schema: Schema,
  manager: Manager,
  now: number,
): Applied {
  const wanted = ownable(config, manager.subresource);
  const applied = ownableFields(config, schema, manager.subresource);
  const isOwn = (entry: ManagedFields): boolean => isEntryOf(entry, manager, 'Apply');
  const entries = managedFieldsOf(live) ?? [];
  const own = entries.find(isOwn);
  const others = entries.filter((entry) => !isOwn(entry));
  const changed = intersection(changedIn(live as unknown as Tree, wanted, schema), applied);
  const conflicts = others.flatMap((entry) => {
    const paths = pathsOf(intersection(decodeFields(entry.fieldsV1), changed));
    return paths.length > 0 ? [{ entry, paths }] : [];
  });
  const merged = merge(live, wanted, schema) as Tree;
  const dropped = own ? difference(decodeFields(own.fieldsV1), applied) : EMPTY;
  const kept = others.reduce((all, entry) => union(all, decodeFields(entry.fieldsV1)), applied);
  prune(merged, dropped, kept, schema);
  return {
    object: merged as unknown as ApiObject,
    entries: [
      ...others.flatMap((entry) => without(entry, changed)),
      entryOf(manager, 'Apply', applied, own, now),
    ],
    conflicts,
  };
}

/** The fields of a configuration that would not be the same afterwards as they are. */
function changedIn(live: unknown, wanted: unknown, schema: Schema): FieldSet {
  if (live === undefined || live === null) return fieldsOf(wanted, schema);
  const parts = partsOf(wanted, schema);
  const there = partsOf(live, schema);
  if (!parts || !there) return equal(live, wanted) ? EMPTY : fieldsOf(wanted, schema);
  const values = new Map(there.map((part) => [part.edge, part.value]));
  const children = new Map<string, FieldSet>();
  for (const part of parts) {
    const set = changedIn(values.get(part.edge), part.value, part.schema);
    const isNewItem = part.edge.startsWith('k:') && !values.has(part.edge);
    if (isNewItem || !isEmpty(set)) children.set(part.edge, isNewItem ? { ...set, isMember: true } : set);
  }
  return { isMember: false, children };
}

/** Put a configuration into an object. @returns a copy */
function merge(live: unknown, wanted: unknown, schema: Schema): unknown {
  const parts = partsOf(wanted, schema);
  if (!parts || live === undefined || live === null) return clone(wanted);
  if (isMap(wanted)) {
    const result: Tree = isMap(live) ? clone(live) : {};
    for (const { edge, value, schema: inner } of parts)
      setKey(result, edge.slice(2), merge(result[edge.slice(2)], value, inner));
    return result;
  }
  const result = Array.isArray(live) ? clone(live as unknown[]) : [];
  const places = new Map((partsOf(result, schema) ?? []).map(({ edge }, i) => [edge, i]));
  for (const { edge, value, schema: inner } of parts) {
    const at = places.get(edge);
    if (at === undefined) result.push(clone(value));
    else result[at] = merge(result[at], value, inner);
  }
  return result;
}

/** Take away what a manager no longer mentions, unless somebody else keeps it. Changes `value`. */
function prune(value: unknown, dropped: FieldSet, kept: FieldSet, schema: Schema): void {
  const parts = partsOf(value, schema) ?? [];
  const gone = new Set<string>();
  for (const part of parts) {
    const set = dropped.children.get(part.edge);
    if (!set) continue;
    const others = kept.children.get(part.edge) ?? EMPTY;
    const isWhole = set.isMember || !partsOf(part.value, part.schema);
    if (isWhole && isEmpty(others)) gone.add(part.edge);
    else {
      prune(part.value, set, others, part.schema);
      // A map of which nothing is left goes with its last entry.
      if (isEmpty(others) && (partsOf(part.value, part.schema) ?? [0]).length === 0) gone.add(part.edge);
    }
  }
  if (isMap(value)) for (const edge of gone) delete value[edge.slice(2)];
  else if (Array.isArray(value)) {
    const left = parts.filter(({ edge }) => !gone.has(edge)).map((part) => part.value);
    value.splice(0, value.length, ...left);
  }
}

const isEntryOf = (entry: ManagedFields, manager: Manager, operation: 'Apply' | 'Update'): boolean =>
  entry.manager === manager.name &&
  entry.operation === operation &&
  entry.apiVersion === manager.apiVersion &&
  entry.subresource === manager.subresource;

/** An entry without some fields, itself when it had none of them; nothing when none are left. */
function without(entry: ManagedFields, fields: FieldSet): ManagedFields[] {
  const set = decodeFields(entry.fieldsV1);
  const left = difference(set, fields);
  if (isEmpty(left)) return [];
  const fieldsV1 = encodeFields(left);
  return [equal(fieldsV1, entry.fieldsV1) ? entry : { ...entry, fieldsV1 }];
}

/** An entry; the old one when it says the same, so that nothing is written for a newer time. */
function entryOf(
  { name, apiVersion, subresource }: Manager,
  operation: 'Apply' | 'Update',
  fields: FieldSet,
  old: ManagedFields | undefined,
  now: number,
): ManagedFields {
  const fieldsV1 = encodeFields(fields);
  if (old && equal(old.fieldsV1, fieldsV1)) return old;
  return {
    manager: name,
    operation,
    apiVersion,
    time: timestamp(now),
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...(subresource !== undefined && { subresource }),
  };
}
