/**
 * The shape of a row of {@link KINDS}: everything the API, the store, the printers and the command line need to know
 * of one resource.
 */
import { age } from './age.js';
import type { Problem } from './problem.js';
import type { Schema } from './schema.js';
import type { ApiObject } from './types.js';
import type { User } from './user.js';

/** A column of `podwire get` and of the API's tables. */
export interface Column<T extends ApiObject = ApiObject> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** 0 is always shown, 1 with `-o wide`. */
  readonly priority: 0 | 1;
  /** @param now  milliseconds since 1970 */
  value(object: T, now: number): string | number;
}

/** Paths of the fields that autoscaling/v1 Scale shows; `selector` is a LabelSelector, which Scale has as text. */
export interface Scale {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  readonly selector: readonly string[];
}

/** Subresources that change an object's status, or a part of it. */
export type StatusPart = 'status' | 'approval';

export interface Kind<T extends ApiObject = ApiObject> {
  /** '' for the core group. */
  readonly group: string;
  /** Served versions; the first is preferred, and the one that is stored. */
  readonly versions: readonly string[];
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** Groups of resources that `kubectl get` knows by one name; `all` is the one people type. */
  readonly categories?: readonly string[];
  readonly namespaced: boolean;
  readonly subresources: readonly string[];
  /** For kinds with a subresource `scale`: where its numbers stand. */
  readonly scale?: Scale;
  readonly schema: Schema;
  readonly columns: readonly Column<T>[];
  /** Fields that a field selector may name, beside metadata.name and metadata.namespace. */
  readonly selectable: readonly string[];
  /**
   * Kubernetes itself does not have this kind: there it would come from a CustomResourceDefinition. Clients know nothing of
   * its lists, so a strategic merge patch is refused.
   */
  readonly isCustom?: boolean;
  /** Whether an object of this kind changes anything yet; if not, a write is answered with a warning. */
  readonly hasEffect: boolean;
  /** Fill in what was left out. Changes `object`, which is the caller's own copy. */
  defaults(object: T): void;
  /** Rules beyond the schema, for an object that fits it and has its defaults. */
  validate(object: T): Problem[];
  /**
   * What a new object begins with, whatever its author wrote; changes `object`. The server alone calls this.
   *
   * @param user  who asks; none when it is the server itself
   */
  prepareCreate?(object: T, user?: User): void;
  /** Rules about what a new object may not have yet. */
  validateCreate?(object: T): Problem[];
  /** Carry over from `old` what an update left out or made pointless, before defaults; changes `next`. */
  prepareUpdate?(next: T, old: T): void;
  /** Merge what may not be taken away by an update of status; changes `next`. @param part  what alone is changed */
  prepareStatus?(next: T, old: T, part: StatusPart): void;
  /** Rules about a change of status. */
  validateStatus?(next: T, old: T): Problem[];
  /** Rules about a change of spec. */
  validateUpdate?(next: T, old: T): Problem[];
  /** A copy of `old` with what the subresource `ephemeralcontainers` changes. */
  mergeEphemeral?(old: T, wanted: T): ApiObject;
  /** Rules about such a change. */
  checkEphemeral?(next: T, old: T): Problem[];
  /** What is stored but has no effect, in sentences, for an object with its defaults. */
  warnings?(object: T): string[];
}

/** `v1` or `podwire.dev/v1alpha1`: the preferred version of a kind as objects spell it. */
export const apiVersionOf = (kind: Kind): string =>
  kind.group ? `${kind.group}/${kind.versions[0]!}` : kind.versions[0]!;

export function column<T extends ApiObject>(
  name: string,
  value: (object: T, now: number) => string | number,
  options: { priority?: 0 | 1; type?: Column['type'] } = {},
): Column<T> {
  return { name, type: options.type ?? 'string', priority: options.priority ?? 0, value };
}

export const NAME_COLUMN: Column = column('Name', (object) => object.metadata.name);
export const AGE_COLUMN: Column = column(
  'Age',
  (object, now) => age(object.metadata.creationTimestamp, now),
  { type: 'date' },
);
