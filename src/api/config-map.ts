/**
 * ConfigMap: the row, and the rules for keys that it shares with Secret.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go, ValidateConfigMap; k8s.io/apimachinery,
 * pkg/util/validation, IsConfigMapKey.
 */
import { base64Length } from './base64.js';
import { equal } from './json.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { at, forbidden, invalid, tooLong, type Problem } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { BOOLEAN, BYTES, mapOf, objectSchema, STRING_MAP } from './schema.js';
import type { ConfigMap } from './types.js';

/** All values of a ConfigMap or a Secret together. */
export const MAX_DATA_BYTES = 1024 * 1024;

export const CONFIG_MAP: Kind<ConfigMap> = {
  group: '',
  versions: ['v1'],
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  namespaced: true,
  subresources: [],
  schema: objectSchema({ binaryData: mapOf(BYTES), data: STRING_MAP, immutable: BOOLEAN }),
  columns: [
    NAME_COLUMN,
    column('Data', ({ data = {}, binaryData = {} }) => Object.keys({ ...data, ...binaryData }).length, {
      type: 'integer',
    }),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: true,
  defaults() {},
  validate({ metadata, data = {}, binaryData = {} }) {
    const problems = metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : [];
    for (const key of Object.keys(data)) {
      problems.push(...checkDataKey(key, at('data', key)));
      if (Object.hasOwn(binaryData, key))
        problems.push(invalid(at('data', key), key, 'duplicate of key present in binaryData'));
    }
    for (const key of Object.keys(binaryData)) problems.push(...checkDataKey(key, at('binaryData', key)));
    const size =
      Object.values(data).reduce((sum, value) => sum + value.length, 0) +
      Object.values(binaryData).reduce((sum, value) => sum + base64Length(value), 0);
    if (size > MAX_DATA_BYTES) problems.push(tooLong('', MAX_DATA_BYTES));
    return problems;
  },
  validateUpdate: (next, old) => checkImmutable(next, old, ['data', 'binaryData']),
};

/** What a key of `data` may be called: it becomes the name of a file. */
export function checkDataKey(key: string, field: string): Problem[] {
  if (key.length > 253) return [tooLong(field, 253)];
  if (key === '.') return [invalid(field, key, "must not be '.'")];
  if (key === '..') return [invalid(field, key, "must not be '..'")];
  if (key.startsWith('..')) return [invalid(field, key, "must not start with '..'")];
  if (/^[-._a-zA-Z0-9]+$/.test(key)) return [];
  return [
    invalid(
      field,
      key,
      "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or " +
        "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    ),
  ];
}

/** An object that was declared immutable stays so, and as it is. */
export function checkImmutable<K extends string>(
  next: { immutable?: boolean } & Partial<Record<K, unknown>>,
  old: { immutable?: boolean } & Partial<Record<K, unknown>>,
  fields: readonly K[],
): Problem[] {
  if (!old.immutable) return [];
  const why = 'field is immutable when `immutable` is set';
  return [
    ...(next.immutable ? [] : [forbidden('immutable', why)]),
    ...fields.filter((field) => !equal(next[field], old[field])).map((field) => forbidden(field, why)),
  ];
}
