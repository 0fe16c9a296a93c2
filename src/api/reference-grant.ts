/**
 * ReferenceGrant: the row. It is stored; no reference across namespaces is followed yet.
 */
import { atMost, checkGroups, GATEWAY_GROUP } from './gateway-schema.js';
import { AGE_COLUMN, NAME_COLUMN, type Kind } from './kind.js';
import { checkDnsSubdomain } from './rules.js';
import { listOf, object, objectSchema, STRING } from './schema.js';
import type { ReferenceGrant } from './types.js';

export const REFERENCE_GRANT: Kind<ReferenceGrant> = {
  group: GATEWAY_GROUP,
  versions: ['v1', 'v1beta1'],
  kind: 'ReferenceGrant',
  plural: 'referencegrants',
  singular: 'referencegrant',
  shortNames: ['refgrant'],
  categories: ['gateway-api'],
  namespaced: true,
  subresources: [],
  schema: objectSchema({
    spec: object(
      {
        from: atMost(
          16,
          listOf(object({ group: STRING, kind: STRING, namespace: STRING }, ['kind', 'namespace'])),
          1,
        ),
        to: atMost(16, listOf(object({ group: STRING, kind: STRING, name: STRING }, ['kind'])), 1),
      },
      ['from', 'to'],
    ),
  }),
  columns: [NAME_COLUMN, AGE_COLUMN],
  selectable: [],
  isCustom: true,
  hasEffect: false,
  defaults() {},
  validate: ({ metadata, spec }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...checkGroups(spec.from, 'spec.from'),
    ...checkGroups(spec.to, 'spec.to'),
  ],
};
