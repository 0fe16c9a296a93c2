/**
 * Secret: the row. `stringData` is for writing only: what stands there goes to `data`, in base64.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go, ValidateSecret; pkg/registry/core/secret.
 */
import { base64Length, encodeBase64 } from './base64.js';
import { checkDataKey, checkImmutable, MAX_DATA_BYTES } from './config-map.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { at, fieldImmutable, required, tooLong, type Problem } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { BOOLEAN, BYTES, mapOf, objectSchema, STRING, STRING_MAP } from './schema.js';
import type { Secret } from './types.js';

/** What must stand in `data`, by type. */
const REQUIRED_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};
const ACCOUNT_NAME = 'kubernetes.io/service-account.name';

export const SECRET: Kind<Secret> = {
  group: '',
  versions: ['v1'],
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  namespaced: true,
  subresources: [],
  schema: objectSchema({ data: mapOf(BYTES), immutable: BOOLEAN, stringData: STRING_MAP, type: STRING }),
  columns: [
    NAME_COLUMN,
    column('Type', (secret) => secret.type ?? ''),
    column('Data', ({ data = {} }) => Object.keys(data).length, { type: 'integer' }),
    AGE_COLUMN,
  ],
  selectable: ['type'],
  hasEffect: true,
  defaults(secret) {
    secret.type ||= 'Opaque';
    for (const [key, value] of Object.entries(secret.stringData ?? {})) {
      secret.data ??= {};
      Object.defineProperty(secret.data, key, {
        value: encodeBase64(value),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    delete secret.stringData;
  },
  validate: validateSecret,
  prepareUpdate(next, old) {
    next.type ||= old.type;
  },
  validateUpdate: (next, old) => [
    ...(next.type === old.type ? [] : [fieldImmutable('type', next.type)]),
    ...checkImmutable(next, old, ['data']),
  ],
};

function validateSecret({ metadata, type = '', data = {} }: Secret): Problem[] {
  const problems = metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : [];
  for (const key of Object.keys(data)) problems.push(...checkDataKey(key, at('data', key)));
  const size = Object.values(data).reduce((sum, value) => sum + base64Length(value), 0);
  if (size > MAX_DATA_BYTES) problems.push(tooLong('data', MAX_DATA_BYTES));
  for (const key of REQUIRED_KEYS[type] ?? [])
    if (!Object.hasOwn(data, key)) problems.push(required(at('data', key)));
  if (
    type === 'kubernetes.io/basic-auth' &&
    !Object.hasOwn(data, 'username') &&
    !Object.hasOwn(data, 'password')
  )
    problems.push(required(at('data', 'username')), required(at('data', 'password')));
  if (type === 'kubernetes.io/service-account-token' && !metadata.annotations?.[ACCOUNT_NAME])
    problems.push(required(at('metadata.annotations', ACCOUNT_NAME)));
  return problems;
}
