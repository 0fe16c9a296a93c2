/**
 * Where objects stand in the store. An object is one key, `/registry/[GROUP/]PLURAL/[NAMESPACE/]NAME`; what it holds
 * alone (an address, a prefix) is a key each below `/allocated/`.
 */
import { DEFAULT_NAMESPACE } from '../../api/defaults.js';
import type { Kind } from '../../api/kinds.js';
import type { ApiObject } from '../../api/types.js';

export const REGISTRY = '/registry/';
export const ALLOCATED = '/allocated/';

/** Namespaces that are always there. */
export const STANDARD_NAMESPACES = [DEFAULT_NAMESPACE, 'kube-node-lease', 'kube-public', 'kube-system'];

/** Times a write begins again before it gives up; each time somebody else's write has succeeded. */
export const MAX_ATTEMPTS = 50;

/** Where an object is, or shall be. */
export interface Place {
  readonly kind: Kind;
  /** Undefined for kinds without namespaces, and for all namespaces. */
  readonly namespace: string | undefined;
}

/** The key below which all objects of a place are. */
export function prefixOf({ kind, namespace }: Place): string {
  const group = kind.group ? `${kind.group}/` : '';
  return `${REGISTRY}${group}${kind.plural}/${namespace === undefined ? '' : `${namespace}/`}`;
}

/** The key of an object that has its name and namespace. */
export const keyOfObject = (kind: Kind, object: ApiObject): string =>
  prefixOf({ kind, namespace: object.metadata.namespace }) + object.metadata.name;
