/**
 * Strategic merge patch: a merge patch that knows from the schema which lists are lists of things with names. Items of such
 * a list are merged by their key, a set of plain values is united, every other list is replaced.
 *
 *     $patch: replace | delete | merge       what to do with this map, or with this item of a list
 *     $retainKeys: [a, b]                    of this map nothing else stays
 *     $deleteFromPrimitiveList/x: [v]        take values out of the set x
 *     $setElementOrder/x: [{name: b}, …]     the order of the list x
 *
 * Source: k8s.io/apimachinery, pkg/util/strategicpatch/patch.go (mergeMap, mergeSlice, normalizeElementOrder).
 */
import { equal, isMap, setKey } from './json.js';
import { ANY, type Schema } from './schema.js';

/** A patch that says nothing that can be done. */
export class StrategicMergeError extends Error {}

const DIRECTIVE = '$patch';
const RETAIN = '$retainKeys';
const ORDER = '$setElementOrder/';
const DELETE_FROM = '$deleteFromPrimitiveList/';

type Map_ = Record<string, unknown>;

/**
 * Apply a patch.
 *
 * @param schema  of `target`
 * @returns       the patched value; `target` is unchanged, parts of both are shared with the result
 * @throws StrategicMergeError
 */
export const strategicMerge = (target: Map_, patch: Map_, schema: Schema): Map_ =>
  mergeMap(target, patch, schema);

function mergeMap(target: Map_, patch: Map_, schema: Schema): Map_ {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') return plainMap(without(patch, DIRECTIVE), schema);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge')
    throw new StrategicMergeError(
      `unknown patch type "${String(directive)}" found in ${JSON.stringify(patch)}`,
    );
  const result: Map_ = retain({ ...target }, patch[RETAIN]);
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN) continue;
    if (key.startsWith(DELETE_FROM)) deleteFromSet(result, key.slice(DELETE_FROM.length), value);
    else if (!key.startsWith(ORDER)) mergeField(result, key, value, fieldOf(schema, key));
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(ORDER)) continue;
    const name = key.slice(ORDER.length);
    const list = result[name];
    if (!Array.isArray(list)) continue;
    if (!Array.isArray(value)) throw new StrategicMergeError(`${key} must be a list`);
    const before = Array.isArray(target[name]) ? target[name] : [];
    setKey(result, name, inOrder(list, value, before, fieldOf(schema, name).mergeKey));
  }
  return result;
}

function mergeField(result: Map_, key: string, value: unknown, schema: Schema): void {
  const old = Object.hasOwn(result, key) ? result[key] : undefined;
  if (value === null) delete result[key];
  else if (isMap(value) && isMap(old)) setKey(result, key, mergeMap(old, value, schema));
  else if (Array.isArray(value) && Array.isArray(old)) setKey(result, key, mergeList(old, value, schema));
  else setKey(result, key, plain(value, schema));
}

function mergeList(old: readonly unknown[], patch: readonly unknown[], schema: Schema): unknown[] {
  const { mergeKey, items = ANY } = schema;
  if (mergeKey === undefined) return patch.map((item) => plain(item, items));
  if (mergeKey === '') {
    const all = [...new Set([...old, ...patch])];
    return inOrder(all, patch, old, mergeKey);
  }
  const keyed = patch.map((item) => {
    if (!isMap(item))
      throw new StrategicMergeError(`${JSON.stringify(item)} must be an object with "${mergeKey}"`);
    return item;
  });
  if (keyed.some((item) => item[DIRECTIVE] === 'replace')) {
    return keyed.filter((item) => item[DIRECTIVE] === undefined).map((item) => plain(item, items));
  }
  let result = [...old];
  const kept: Map_[] = [];
  for (const item of keyed) {
    if (!Object.hasOwn(item, mergeKey))
      throw new StrategicMergeError(
        `map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`,
      );
    const isSame = (other: unknown): boolean => isMap(other) && equal(other[mergeKey], item[mergeKey]);
    if (item[DIRECTIVE] === 'delete') {
      result = result.filter((other) => !isSame(other));
      continue;
    }
    kept.push(item);
    const at = result.findIndex(isSame);
    if (at < 0) result.push(plain(item, items));
    else result[at] = mergeMap(result[at] as Map_, item, items);
  }
  return inOrder(result, kept, old, mergeKey);
}

/**
 * Put a list in order: what the patch names as the patch has it, and between that, what it does not name, as close as
 * possible to where it was.
 */
function inOrder(
  list: readonly unknown[],
  wanted: readonly unknown[],
  before: readonly unknown[],
  mergeKey: string | undefined,
): unknown[] {
  const keyOf = (item: unknown): unknown => (mergeKey && isMap(item) ? item[mergeKey] : item);
  const positions = (items: readonly unknown[]): Map<unknown, number> =>
    new Map(items.map((item, i): [unknown, number] => [keyOf(item), i]));
  const order = positions(wanted);
  const was = positions(before);
  const rank = (item: unknown): number => order.get(keyOf(item))!;
  const named = list.filter((item) => order.has(keyOf(item))).sort((a, b) => rank(a) - rank(b));
  const others = list.filter((item) => !order.has(keyOf(item)));
  const result: unknown[] = [];
  let next = 0;
  for (const item of named) {
    const place = was.get(keyOf(item));
    // What stood in front of it and is not named goes in front of it.
    while (place !== undefined && next < others.length && (was.get(keyOf(others[next])) ?? Infinity) < place)
      result.push(others[next++]);
    result.push(item);
  }
  return result.concat(others.slice(next));
}

function deleteFromSet(result: Map_, key: string, values: unknown): void {
  const old = result[key];
  if (Array.isArray(old) && Array.isArray(values))
    setKey(
      result,
      key,
      old.filter((item) => !values.includes(item)),
    );
}

function retain(map: Map_, keys: unknown): Map_ {
  if (keys === undefined) return map;
  if (!Array.isArray(keys)) throw new StrategicMergeError(`${RETAIN} must be a list of names`);
  for (const key of Object.keys(map)) if (!keys.includes(key)) delete map[key];
  return map;
}

/** A value of a patch where there is nothing to merge it with: itself, without directives. */
function plain(value: unknown, schema: Schema): unknown {
  if (isMap(value)) return plainMap(value, schema);
  if (Array.isArray(value)) return mergeList([], value, schema);
  return value;
}

const plainMap = (value: Map_, schema: Schema): Map_ => mergeMap({}, value, schema);

function without(map: Map_, key: string): Map_ {
  const { [key]: _, ...rest } = map;
  return rest;
}

const fieldOf = (schema: Schema, key: string): Schema =>
  schema.additionalProperties ??
  (schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key]! : ANY);
