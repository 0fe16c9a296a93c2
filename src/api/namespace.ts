/**
 * Namespace: the row.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { checkDnsLabel } from './rules.js';
import { CONDITIONS, listOf, object, objectSchema, STRING } from './schema.js';
import type { Namespace } from './types.js';

export const NAMESPACE: Kind<Namespace> = {
  group: '',
  versions: ['v1'],
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  subresources: ['status'],
  schema: objectSchema({
    spec: object({ finalizers: listOf(STRING, '') }),
    status: object({ phase: STRING, conditions: CONDITIONS }),
  }),
  columns: [NAME_COLUMN, column('Status', (namespace) => namespace.status?.phase ?? ''), AGE_COLUMN],
  selectable: ['status.phase'],
  hasEffect: true,
  defaults(namespace) {
    namespace.status ??= {};
    namespace.status.phase ??= 'Active';
    // Kubernetes labels each namespace with its name, so that selectors can name one.
    namespace.metadata.labels = {
      ...namespace.metadata.labels,
      'kubernetes.io/metadata.name': namespace.metadata.name,
    };
  },
  validate: (namespace) =>
    namespace.metadata.name ? checkDnsLabel(namespace.metadata.name, 'metadata.name') : [],
  prepareCreate(namespace) {
    namespace.status = { phase: 'Active' };
  },
};
