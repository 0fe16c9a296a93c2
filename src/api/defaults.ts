/**
 * Objects with nothing left out.
 */
import { clone } from './json.js';
import { kindOf } from './kinds.js';
import type { ApiObject } from './types.js';

export { LAB_DEFAULTS, labSpec, type FullLabSpec } from './lab.js';

/** Where a namespaced object goes that names no namespace. */
export const DEFAULT_NAMESPACE = 'default';

/**
 * A copy of an object with its defaults filled in. An object of a kind we do not know is copied as it is.
 *
 * @param object  fits its schema
 */
export function withDefaults<T extends ApiObject>(object: T): T {
  const result = clone(object);
  const kind = kindOf(result);
  if (!kind) return result;
  if (kind.namespaced) result.metadata.namespace ||= DEFAULT_NAMESPACE;
  kind.defaults(result);
  return result;
}
