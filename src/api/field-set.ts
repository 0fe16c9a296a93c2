/**
 * Sets of fields, as managedFields have them: which parts of an object somebody owns.
 *
 * A set is a tree. Its edges are path elements in the spelling of FieldsV1: `f:NAME` a field or a map's key, `k:{…}` the item
 * of a list with these keys, `v:VALUE` a value of a set. A node is a member when its own path belongs to the set; scalars,
 * lists that are replaced whole, empty maps, and items of keyed lists are.
 *
 * Source: sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go, typed/tofieldset.go.
 */
import { equal, isMap } from './json.js';
import { ANY, type Schema } from './schema.js';

export interface FieldSet {
  readonly isMember: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

type Children = Map<string, FieldSet>;

export const EMPTY: FieldSet = { isMember: false, children: new Map() };
const LEAF: FieldSet = { isMember: true, children: new Map() };

export const isEmpty = ({ isMember, children }: FieldSet): boolean => !isMember && children.size === 0;

/** The part of a value that a path element names, with its schema; undefined when there is none. */
export interface Part {
  readonly edge: string;
  readonly value: unknown;
  readonly schema: Schema;
}

/** How a value is put together: `undefined` when it is replaced as a whole. */
export function partsOf(value: unknown, schema: Schema): Part[] | undefined {
  if (isMap(value)) {
    if (!schema.properties && !schema.additionalProperties) return undefined;
    return Object.entries(value)
      .filter(([, item]) => item !== undefined && item !== null)
      .map(([key, item]) => ({ edge: `f:${key}`, value: item, schema: fieldSchema(schema, key) }));
  }
  if (!Array.isArray(value) || schema.mergeKey === undefined) return undefined;
  const items = schema.items ?? ANY;
  return value.map((item: unknown) => ({ edge: itemEdge(item, schema), value: item, schema: items }));
}

export const fieldSchema = (schema: Schema, key: string): Schema =>
  schema.additionalProperties ??
  (schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key]! : ANY);

/** The element that names an item of a list: its keys in order of name, or its value. */
function itemEdge(item: unknown, { mergeKey, mapKeys }: Schema): string {
  if (mergeKey === '' || !isMap(item)) return `v:${JSON.stringify(item)}`;
  const keys = mapKeys ?? { [mergeKey!]: undefined };
  const named = Object.keys(keys)
    .sort()
    .map((key): [string, unknown] => [key, item[key] ?? keys[key]]);
  return `k:${JSON.stringify(Object.fromEntries(named))}`;
}

/** All fields of a value. */
export function fieldsOf(value: unknown, schema: Schema): FieldSet {
  const parts = partsOf(value, schema);
  if (!parts || parts.length === 0) return LEAF;
  const children: Children = new Map();
  for (const part of parts) {
    const inner = fieldsOf(part.value, part.schema);
    // An item is itself something that one owns, beside what is in it.
    children.set(part.edge, part.edge.startsWith('k:') ? { ...inner, isMember: true } : inner);
  }
  return { isMember: false, children };
}

/** The fields of `next` that are not in `old`, or are another value there. */
export function changedFields(old: unknown, next: unknown, schema: Schema): FieldSet {
  if (old === undefined) return fieldsOf(next, schema);
  if (equal(old, next)) return EMPTY;
  const after = partsOf(next, schema);
  const before = partsOf(old, schema);
  if (!after || !before || after.length === 0) return LEAF;
  const had = new Map(before.map((part) => [part.edge, part.value]));
  const children: Children = new Map();
  for (const { edge, value, schema: inner } of after) {
    const set = had.has(edge) ? changedFields(had.get(edge), value, inner) : fieldsOf(value, inner);
    const isNewItem = edge.startsWith('k:') && !had.has(edge);
    if (isNewItem) children.set(edge, { ...set, isMember: true });
    else if (!isEmpty(set)) children.set(edge, set);
  }
  return { isMember: false, children };
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (x, y) => x || y);
}

/** What is in `a` and not in `b`. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (x, y) => x && !y);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (x, y) => x && y);
}

function combine(a: FieldSet, b: FieldSet, isIn: (a: boolean, b: boolean) => boolean): FieldSet {
  const children: Children = new Map();
  for (const edge of new Set([...a.children.keys(), ...b.children.keys()])) {
    const set = combine(a.children.get(edge) ?? EMPTY, b.children.get(edge) ?? EMPTY, isIn);
    if (!isEmpty(set)) children.set(edge, set);
  }
  return { isMember: isIn(a.isMember, b.isMember), children };
}

/** Paths of all members, as conflicts name them: `.spec.ports[port=80,protocol="TCP"].name`. */
export function pathsOf({ isMember, children }: FieldSet, prefix = ''): string[] {
  const paths = isMember ? [prefix] : [];
  for (const [edge, set] of children) paths.push(...pathsOf(set, prefix + edgeText(edge)));
  return paths;
}

function edgeText(edge: string): string {
  const rest = edge.slice(2);
  if (edge.startsWith('f:')) return `.${rest}`;
  if (edge.startsWith('v:')) return `[=${rest}]`;
  const keys = Object.entries(JSON.parse(rest) as Record<string, unknown>);
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
}

/** FieldsV1: a leaf is `{}`, a member with something below it has a `.`. */
export function encodeFields({ isMember, children }: FieldSet): Record<string, unknown> {
  const entries = [...children].map(([edge, set]): [string, unknown] => [edge, encodeFields(set)]);
  if (isMember && children.size > 0) entries.unshift(['.', {}]);
  return Object.fromEntries(entries);
}

/** The set that FieldsV1 says; what is no such thing is empty. */
export function decodeFields(fields: unknown): FieldSet {
  if (!isMap(fields)) return EMPTY;
  const keys = Object.keys(fields).filter((key) => key !== '.');
  const children: Children = new Map(keys.map((key) => [key, decodeFields(fields[key])]));
  return { isMember: keys.length === 0 || Object.hasOwn(fields, '.'), children };
}
