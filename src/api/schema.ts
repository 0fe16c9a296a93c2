/**
 * Schemas as data, in the subset of JSON Schema that OpenAPI and Kubernetes share, and the walk that holds an object
 * against one. A schema says which fields exist and of which type they are; what values make sense together is for
 * the rules of each kind.
 *
 * The walk finds what Kubernetes' strict decoding finds: unknown fields and wrong types; and required fields.
 */
import { base64Fault } from './base64.js';
import { clone, isMap } from './json.js';
import { at, invalid, notSupported, required, tooMany, type Problem } from './problem.js';

export interface Schema {
  /** Absent: any JSON value. */
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly format?: 'int32' | 'int64' | 'int-or-string' | 'quantity' | 'date-time' | 'byte';
  readonly properties?: Readonly<Record<string, Schema>>;
  /** The values of a map with free keys. */
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly minItems?: number;
  readonly maxItems?: number;
  /** What stands there when it is left out: see {@link fillIn}. */
  readonly default?: unknown;
  /** The field that names an item of this list when two lists are merged; '' for a set of plain values. */
  readonly mergeKey?: string;
  /**
   * The fields that name an item when somebody applies the list on the server, with what counts where one is left out; by
   * default the merge key alone.
   */
  readonly mapKeys?: Readonly<Record<string, unknown>>;
  /** A strategic merge leaves of this map, or of this list's items, only the fields that the patch names in `$retainKeys`. */
  readonly retainKeys?: boolean;
  readonly description?: string;
  /** What Kubernetes calls it, where several places have it: a document then says it once. */
  readonly title?: string;
}

export const STRING: Schema = { type: 'string' };
export const BOOLEAN: Schema = { type: 'boolean' };
export const INT32: Schema = { type: 'integer', format: 'int32' };
export const INT64: Schema = { type: 'integer', format: 'int64' };
/** Bytes, in base64. */
export const BYTES: Schema = { type: 'string', format: 'byte' };
export const TIME: Schema = { type: 'string', format: 'date-time' };
export const QUANTITY: Schema = { format: 'quantity' };
export const INT_OR_STRING: Schema = { format: 'int-or-string' };
/** Stored as it comes, unread by us. */
export const ANY: Schema = {};

export const object = (
  properties: Readonly<Record<string, Schema>>,
  requiredFields: readonly string[] = [],
): Schema => ({ type: 'object', properties, required: requiredFields });
export const named = (title: string, ...parts: Parameters<typeof object>): Schema => ({
  ...object(...parts),
  title,
});
export const mapOf = (values: Schema): Schema => ({ type: 'object', additionalProperties: values });
export const listOf = (items: Schema, mergeKey?: string, mapKeys?: Schema['mapKeys']): Schema => ({
  type: 'array',
  items,
  mergeKey,
  mapKeys,
});
export const oneOf = (...values: string[]): Schema => ({ type: 'string', enum: values });

export const STRINGS = listOf(STRING);
export const STRING_MAP = mapOf(STRING);

/** metadata of every object. */
export const METADATA = named('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', {
  name: STRING,
  generateName: STRING,
  namespace: STRING,
  uid: STRING,
  resourceVersion: STRING,
  generation: INT64,
  creationTimestamp: TIME,
  deletionTimestamp: TIME,
  deletionGracePeriodSeconds: INT64,
  labels: STRING_MAP,
  annotations: STRING_MAP,
  ownerReferences: listOf(
    object(
      {
        apiVersion: STRING,
        kind: STRING,
        name: STRING,
        uid: STRING,
        controller: BOOLEAN,
        blockOwnerDeletion: BOOLEAN,
      },
      ['apiVersion', 'kind', 'name', 'uid'],
    ),
    'uid',
  ),
  finalizers: listOf(STRING, ''),
  managedFields: listOf(ANY),
  selfLink: STRING,
});

export const CONDITIONS = listOf(
  object(
    {
      type: STRING,
      status: STRING,
      reason: STRING,
      message: STRING,
      lastTransitionTime: TIME,
      lastUpdateTime: TIME,
      lastProbeTime: TIME,
      lastHeartbeatTime: TIME,
      observedGeneration: INT64,
    },
    ['type', 'status'],
  ),
  'type',
);

/** The schema of a whole object, from those of its parts. */
export const objectSchema = (parts: Readonly<Record<string, Schema>>): Schema =>
  object({ apiVersion: STRING, kind: STRING, metadata: METADATA, ...parts }, [
    'apiVersion',
    'kind',
    'metadata',
  ]);

const TYPE_NAMES = { object: 'map', array: 'array', string: 'string', boolean: 'boolean', number: 'number' };

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return TYPE_NAMES[typeof value as keyof typeof TYPE_NAMES] ?? typeof value;
}

/** The type `schema` asks for, in words, or undefined when `value` is of it. */
function wrongType(value: unknown, schema: Schema): string | undefined {
  switch (schema.type) {
    case undefined:
      if (schema.format === 'int-or-string') {
        return typeof value === 'string' || Number.isInteger(value) ? undefined : 'integer or string';
      }
      if (schema.format === 'quantity') {
        return typeof value === 'string' || typeof value === 'number' ? undefined : 'quantity';
      }
      return undefined;
    case 'object':
      return isMap(value) ? undefined : 'map';
    case 'array':
      return Array.isArray(value) ? undefined : 'array';
    case 'integer':
      return Number.isSafeInteger(value) && (schema.format !== 'int32' || value === (value as number) >> 0)
        ? undefined
        : schema.format === 'int32'
          ? '32-bit integer'
          : 'integer';
    default:
      return typeof value === schema.type ? undefined : schema.type;
  }
}

/**
 * Hold a value against a schema.
 *
 * @param field  path of `value`, '' for a whole object
 * @returns      every difference, in the order of the value's fields; a null counts as absent
 */
export function checkSchema(value: unknown, schema: Schema, field = ''): Problem[] {
  const expected = wrongType(value, schema);
  if (expected) {
    const got = value === null ? 'null' : typeName(value);
    return [
      {
        field,
        message: `Invalid value: ${JSON.stringify(got)}: must be of type ${expected}, not ${got}`,
        reason: 'FieldValueTypeInvalid',
      },
    ];
  }
  if (schema.format === 'byte') {
    const fault = base64Fault(value as string);
    if (fault >= 0)
      return [
        { field, message: `illegal base64 data at input byte ${fault}`, reason: 'FieldValueTypeInvalid' },
      ];
  }
  if (schema.enum && value !== '' && !schema.enum.includes(value as string)) {
    return [notSupported(field, value, schema.enum)];
  }
  if (Array.isArray(value) && schema.items) {
    const { items } = schema;
    const { minItems = 0, maxItems = Infinity } = schema;
    if (value.length < minItems)
      return [invalid(field, value.length, `${field} in body should have at least ${minItems} items`)];
    if (value.length > maxItems) return [tooMany(field, value.length, maxItems)];
    return value.flatMap((item, i) => checkSchema(item, items, at(field, i)));
  }
  if (!isMap(value)) return [];
  const problems: Problem[] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === null || item === undefined) continue;
    const path = schema.properties ? (field ? `${field}.${key}` : key) : at(field, key);
    const part = schema.additionalProperties ?? ownProperty(schema, key);
    if (part) problems.push(...checkSchema(item, part, path));
    else if (schema.properties)
      problems.push({ field: path, message: 'unknown field', reason: 'UnknownField' });
  }
  for (const key of schema.required ?? []) {
    const item = value[key];
    if (item === null || item === undefined || item === '')
      problems.push(required(field ? `${field}.${key}` : key));
  }
  return problems;
}

/** Fill in what a schema says stands in a value where it was left out; changes `value`. */
export function fillIn(value: unknown, schema: Schema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) fillIn(item, schema.items);
    return;
  }
  if (!isMap(value)) return;
  for (const [key, part] of Object.entries(schema.properties ?? {})) {
    if (part.default !== undefined && value[key] === undefined) value[key] = clone(part.default);
    fillIn(value[key], part);
  }
}

/**
 * Leave out what the schema does not know, and nulls.
 *
 * @returns a copy
 */
export function prune(value: unknown, schema: Schema): unknown {
  if (Array.isArray(value)) return value.map((item) => prune(item, schema.items ?? ANY));
  if (!isMap(value)) return value;
  const entries: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    const part = schema.additionalProperties ?? (schema.properties ? ownProperty(schema, key) : ANY);
    if (part && item !== null && item !== undefined) entries.push([key, prune(item, part)]);
  }
  return Object.fromEntries(entries);
}

const ownProperty = (schema: Schema, key: string): Schema | undefined =>
  schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
