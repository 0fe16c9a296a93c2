/**
 * All resources, one row each. A row drives routes, discovery, the store's keys, selectors, printers and the names
 * on the command line. To add a kind: a file beside this one, and a line here.
 */
import { ENDPOINT_SLICE } from './endpoint-slice.js';
import { ENDPOINTS } from './endpoints.js';
import type { Kind } from './kind.js';
import { LAB } from './lab.js';
import { NAMESPACE } from './namespace.js';
import { NODE } from './node.js';
import { POD } from './pod.js';
import { SERVICE } from './service.js';
import type { ApiObject } from './types.js';

export { apiVersionOf, type Column, type Kind } from './kind.js';
export { ENDPOINT_SLICE, ENDPOINTS, LAB, NAMESPACE, NODE, POD, SERVICE };

export const KINDS: readonly Kind[] = [NAMESPACE, NODE, POD, SERVICE, ENDPOINTS, ENDPOINT_SLICE, LAB];

/** The row of an object's kind. */
export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  return KINDS.find((row) => row.kind === kind && row.group === group && row.versions.includes(version));
}

/** The row of an object. */
export const kindOf = (object: ApiObject): Kind | undefined => findKind(object.apiVersion, object.kind);

/** The row that a user means by `pods`, `pod`, `po`, `Pod` or `labs.podwire.dev`. */
export function findPlural(name: string): Kind | undefined {
  const lower = name.toLowerCase();
  return KINDS.find(
    (row) =>
      [row.plural, row.singular, ...row.shortNames].includes(lower) ||
      (row.group !== '' && lower === `${row.plural}.${row.group}`),
  );
}
