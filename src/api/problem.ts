/**
 * What can be wrong with an object, in the words Kubernetes uses, so that people find help for them on the web.
 *
 * Source: k8s.io/apimachinery, pkg/util/validation/field/errors.go (the sentences), pkg/apis/meta/v1 (the reasons).
 */

export type ProblemReason =
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueNotFound'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid'
  /** The schema has no such field. Kubernetes calls these strict decoding errors; they have no cause of their own. */
  | 'UnknownField';

/** One thing that is wrong, at one place. */
export interface Problem {
  /** Path of the field: `spec.containers[0].name`. */
  readonly field: string;
  /** What is wrong there and what was expected; reads on after `field: `. */
  readonly message: string;
  readonly reason: ProblemReason;
}

const quote = (value: unknown): string => JSON.stringify(value) ?? String(value);

export const required = (field: string, detail?: string): Problem => ({
  field,
  message: detail ? `Required value: ${detail}` : 'Required value',
  reason: 'FieldValueRequired',
});

export const invalid = (field: string, value: unknown, detail: string): Problem => ({
  field,
  message: `Invalid value: ${quote(value)}: ${detail}`,
  reason: 'FieldValueInvalid',
});

export const duplicate = (field: string, value: unknown): Problem => ({
  field,
  message: `Duplicate value: ${quote(value)}`,
  reason: 'FieldValueDuplicate',
});

export const notSupported = (field: string, value: unknown, supported: readonly string[]): Problem => ({
  field,
  message: `Unsupported value: ${quote(value)}: supported values: ${supported.map(quote).join(', ')}`,
  reason: 'FieldValueNotSupported',
});

/** A name that should be that of something else in the object. */
export const notFoundValue = (field: string, value: unknown): Problem => ({
  field,
  message: `Not found: ${quote(value)}`,
  reason: 'FieldValueNotFound',
});

export const forbidden = (field: string, detail: string): Problem => ({
  field,
  message: `Forbidden: ${detail}`,
  reason: 'FieldValueForbidden',
});

/** A field that an update may not change. */
export const fieldImmutable = (field: string, value: unknown): Problem =>
  invalid(field, value, 'field is immutable');

export const tooLong = (field: string, bytes: number): Problem => ({
  field,
  message: `Too long: may not be more than ${bytes} bytes`,
  reason: 'FieldValueTooLong',
});

export const tooMany = (field: string, items: number, most: number): Problem => ({
  field,
  message: `Too many: ${items}: must have at most ${most} items`,
  reason: 'FieldValueTooMany',
});

/** Path of a map's entry, or of a list's: `labels[app]`, `containers[0]`. */
export const at = (field: string, index: string | number): string => `${field}[${index}]`;

/** A problem as one line. */
export const describeProblem = (problem: Problem): string => `${problem.field}: ${problem.message}`;
