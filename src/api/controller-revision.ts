/**
 * ControllerRevision: the row. `kubectl rollout history` of StatefulSets and DaemonSets lists these.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { checkDnsSubdomain } from './rules.js';
import { ANY, INT64, objectSchema } from './schema.js';
import type { ControllerRevision } from './types.js';

export const CONTROLLER_REVISION: Kind<ControllerRevision> = {
  group: 'apps',
  versions: ['v1'],
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  singular: 'controllerrevision',
  shortNames: [],
  namespaced: true,
  subresources: [],
  schema: objectSchema({ data: ANY, revision: INT64 }),
  columns: [
    NAME_COLUMN,
    column('Controller', ({ metadata }) => {
      const owner = metadata.ownerReferences?.find(({ controller }) => controller);
      if (!owner) return '<none>';
      const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]!}` : '';
      return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
    }),
    column('Revision', ({ revision }) => revision, { type: 'integer' }),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: true,
  defaults() {},
  validate: ({ metadata }) => (metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
};
