/**
 * ServiceAccount: the row. Control makes one called `default` in every namespace.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { OBJECT_REFERENCE } from './object-reference.js';
import { checkDnsSubdomain } from './rules.js';
import { BOOLEAN, listOf, object, objectSchema, STRING } from './schema.js';
import type { ServiceAccount } from './types.js';

export const SERVICE_ACCOUNT: Kind<ServiceAccount> = {
  group: '',
  versions: ['v1'],
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  singular: 'serviceaccount',
  shortNames: ['sa'],
  namespaced: true,
  subresources: ['token'],
  schema: objectSchema({
    automountServiceAccountToken: BOOLEAN,
    imagePullSecrets: listOf(object({ name: STRING })),
    secrets: listOf(OBJECT_REFERENCE, 'name'),
  }),
  columns: [
    NAME_COLUMN,
    column('Secrets', ({ secrets = [] }) => secrets.length, { type: 'integer' }),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: true,
  defaults() {},
  validate: ({ metadata }) => (metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
};
