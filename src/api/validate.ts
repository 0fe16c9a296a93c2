/**
 * Is this an object, and is it one we can take? The whole answer, for the command line, the agent and the server.
 */
import { withDefaults } from './defaults.js';
import { isMap } from './json.js';
import { findKind, KINDS, apiVersionOf } from './kinds.js';
import { notSupported, required, type Problem } from './problem.js';
import { checkMetadata } from './rules.js';
import { checkSchema } from './schema.js';
import type { ApiObject } from './types.js';

export { describeProblem, type Problem } from './problem.js';

/**
 * Check a value as it was parsed from JSON or YAML.
 *
 * @returns what is wrong, the first field first; empty when `value` is an {@link ApiObject} of a kind we know
 */
export function validate(value: unknown): Problem[] {
  if (!isMap(value)) {
    const got = value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`;
    return [
      {
        field: '',
        message: `must be an object with apiVersion and kind, not ${got}`,
        reason: 'FieldValueTypeInvalid',
      },
    ];
  }
  const { apiVersion, kind } = value;
  if (typeof apiVersion !== 'string' || apiVersion === '') return [required('apiVersion')];
  if (typeof kind !== 'string' || kind === '') return [required('kind')];
  const row = findKind(apiVersion, kind);
  if (!row) {
    const known = KINDS.find((other) => other.kind === kind);
    return known
      ? [notSupported('apiVersion', apiVersion, [apiVersionOf(known)])]
      : [
          notSupported(
            'kind',
            kind,
            KINDS.map((other) => other.kind),
          ),
        ];
  }
  const problems = checkSchema(value, row.schema);
  return problems.length > 0 ? problems : checkRules(value as unknown as ApiObject);
}

/**
 * The rules beyond the schema.
 *
 * @param object  of a kind we know; fits its schema
 */
export function checkRules(object: ApiObject): Problem[] {
  const kind = findKind(object.apiVersion, object.kind)!;
  const full = withDefaults(object);
  return [...checkMetadata(full, kind.namespaced), ...kind.validate(full)];
}
