/**
 * Objects as JSON values: copy, compare, merge. Nothing here knows Kubernetes.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A deep copy that shares nothing with the original. Fields that are undefined are left out. */
export const clone = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Whether two JSON values are equal. The order of keys and fields that are undefined do not count. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => equal(item, b[i]));
  }
  if (!isMap(a) || !isMap(b)) return false;
  for (const key of Object.keys(a)) if (!equal(a[key], b[key])) return false;
  for (const key of Object.keys(b)) if (b[key] !== undefined && a[key] === undefined) return false;
  return true;
}

/** JSON text that is the same for values that are {@link equal}. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isMap(value)) return JSON.stringify(value ?? null);
  const entries = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${entries.join(',')}}`;
}

/**
 * Apply a JSON merge patch: maps merge, null removes, everything else replaces. RFC 7386 §2.
 *
 * @returns the patched value; `target` is unchanged, parts of both are shared with the result
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const result: Record<string, unknown> = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setKey(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/**
 * The merge patch by which `kubectl apply` brings `live` to `wanted`: what stood in `last` and no longer stands in
 * `wanted` is removed, what others added to `live` stays. Lists are replaced whole.
 *
 * @returns an empty map when nothing is to do
 */
export function applyPatch(
  last: unknown,
  wanted: Record<string, unknown>,
  live: unknown,
): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(wanted)) {
    const now = isMap(live) && Object.hasOwn(live, key) ? live[key] : undefined;
    if (isMap(value) && isMap(now)) {
      const inner = applyPatch(isMap(last) ? last[key] : undefined, value, now);
      if (Object.keys(inner).length > 0) setKey(patch, key, inner);
    } else if (!equal(value, now)) setKey(patch, key, value);
  }
  for (const key of isMap(last) ? Object.keys(last) : []) {
    if (Object.hasOwn(wanted, key)) continue;
    if (isMap(live) && Object.hasOwn(live, key)) setKey(patch, key, null);
  }
  return patch;
}

/** Set a key of a map, also when it is called `__proto__`. */
export function setKey(map: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(map, key, { value, writable: true, enumerable: true, configurable: true });
}
