/**
 * ReplicaSet: the row.
 *
 * Source: k8s.io/kubernetes, pkg/apis/apps/validation/validation.go, ValidateReplicaSetSpec.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import {
  checkSelectorUpdate,
  checkWorkloadSelector,
  formatLabelSelector,
  LABEL_SELECTOR,
} from './label-selector.js';
import { POD_TEMPLATE } from './pod-schema.js';
import { checkCounts, checkTemplate, defaultTemplate, SCALE, TEMPLATE_COLUMNS } from './pod-template.js';
import { required } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { CONDITIONS, INT32, INT64, object, objectSchema } from './schema.js';
import type { ReplicaSet } from './types.js';

const count = { type: 'integer' as const };

export const REPLICA_SET: Kind<ReplicaSet> = {
  group: 'apps',
  versions: ['v1'],
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'scale'],
  scale: SCALE,
  schema: objectSchema({
    spec: object(
      { minReadySeconds: INT32, replicas: INT32, selector: LABEL_SELECTOR, template: POD_TEMPLATE },
      ['selector'],
    ),
    status: object({
      availableReplicas: INT32,
      conditions: CONDITIONS,
      fullyLabeledReplicas: INT32,
      observedGeneration: INT64,
      readyReplicas: INT32,
      replicas: INT32,
      terminatingReplicas: INT32,
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Desired', ({ spec }) => spec.replicas ?? 1, count),
    column('Current', ({ status }) => status?.replicas ?? 0, count),
    column('Ready', ({ status }) => status?.readyReplicas ?? 0, count),
    AGE_COLUMN,
    ...TEMPLATE_COLUMNS,
    column('Selector', ({ spec }) => formatLabelSelector(spec.selector), { priority: 1 }),
  ],
  selectable: ['status.replicas'],
  hasEffect: true,
  defaults({ spec }) {
    spec.replicas ??= 1;
    if (spec.template) defaultTemplate(spec.template);
  },
  validate: ({ metadata, spec: { replicas, minReadySeconds, selector, template } }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...checkCounts({ replicas, minReadySeconds }),
    ...(template
      ? [
          ...checkWorkloadSelector(selector, template.metadata?.labels, 'deployment'),
          ...checkTemplate(template, 'ReplicaSet'),
        ]
      : [required('spec.template')]),
  ],
  prepareCreate(set) {
    delete set.status;
  },
  validateUpdate: (next, old) => checkSelectorUpdate(next.spec.selector, old.spec.selector),
};
