/**
 * StatefulSet: the row. volumeClaimTemplates are stored; there are no volumes that they could claim.
 *
 * Source: k8s.io/kubernetes, pkg/apis/apps/v1/defaults.go; pkg/apis/apps/validation/validation.go.
 */
import { checkIntOrPercent } from './int-or-percent.js';
import { equal } from './json.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { checkWorkloadSelector, LABEL_SELECTOR } from './label-selector.js';
import { POD_TEMPLATE } from './pod-schema.js';
import { checkCounts, checkTemplate, defaultTemplate, SCALE, TEMPLATE_COLUMNS } from './pod-template.js';
import { forbidden, invalid } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import {
  ANY,
  CONDITIONS,
  INT32,
  INT64,
  INT_OR_STRING,
  listOf,
  object,
  objectSchema,
  oneOf,
  STRING,
} from './schema.js';
import type { StatefulSet } from './types.js';

export const STATEFUL_SET: Kind<StatefulSet> = {
  group: 'apps',
  versions: ['v1'],
  kind: 'StatefulSet',
  plural: 'statefulsets',
  singular: 'statefulset',
  shortNames: ['sts'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'scale'],
  scale: SCALE,
  schema: objectSchema({
    spec: object(
      {
        minReadySeconds: INT32,
        ordinals: object({ start: INT32 }),
        persistentVolumeClaimRetentionPolicy: object({ whenDeleted: STRING, whenScaled: STRING }),
        podManagementPolicy: oneOf('OrderedReady', 'Parallel'),
        replicas: INT32,
        revisionHistoryLimit: INT32,
        selector: LABEL_SELECTOR,
        serviceName: STRING,
        template: POD_TEMPLATE,
        updateStrategy: object({
          rollingUpdate: object({ maxUnavailable: INT_OR_STRING, partition: INT32 }),
          type: oneOf('OnDelete', 'RollingUpdate'),
        }),
        volumeClaimTemplates: listOf(ANY),
      },
      ['selector', 'template'],
    ),
    status: object({
      availableReplicas: INT32,
      collisionCount: INT32,
      conditions: CONDITIONS,
      currentReplicas: INT32,
      currentRevision: STRING,
      observedGeneration: INT64,
      readyReplicas: INT32,
      replicas: INT32,
      updateRevision: STRING,
      updatedReplicas: INT32,
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`),
    AGE_COLUMN,
    ...TEMPLATE_COLUMNS,
  ],
  selectable: [],
  hasEffect: true,
  defaults({ spec }) {
    spec.replicas ??= 1;
    spec.podManagementPolicy ||= 'OrderedReady';
    spec.updateStrategy ??= {};
    spec.updateStrategy.type ||= 'RollingUpdate';
    if (spec.updateStrategy.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate ??= {};
      spec.updateStrategy.rollingUpdate.partition ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    const claims = spec as { persistentVolumeClaimRetentionPolicy?: object };
    claims.persistentVolumeClaimRetentionPolicy ??= { whenDeleted: 'Retain', whenScaled: 'Retain' };
    defaultTemplate(spec.template);
  },
  validate({ metadata, spec }) {
    const { replicas, minReadySeconds, revisionHistoryLimit, updateStrategy, ordinals } = spec;
    const strategy = 'spec.updateStrategy.rollingUpdate';
    return [
      ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
      ...checkCounts({
        replicas,
        minReadySeconds,
        revisionHistoryLimit,
        'ordinals.start': ordinals?.start,
        'updateStrategy.rollingUpdate.partition': updateStrategy?.rollingUpdate?.partition,
      }),
      ...(updateStrategy?.type === 'OnDelete' && updateStrategy.rollingUpdate
        ? [invalid(strategy, updateStrategy.rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")]
        : checkIntOrPercent(updateStrategy?.rollingUpdate?.maxUnavailable, `${strategy}.maxUnavailable`)),
      ...checkWorkloadSelector(spec.selector, spec.template.metadata?.labels, 'statefulset'),
      ...checkTemplate(spec.template, 'StatefulSet'),
    ];
  },
  prepareCreate(set) {
    delete set.status;
  },
  validateUpdate: (next, old) =>
    equal(fixed(next.spec), fixed(old.spec))
      ? []
      : [
          forbidden(
            'spec',
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', " +
              "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and " +
              "'minReadySeconds' are forbidden",
          ),
        ],
  warnings({ spec }) {
    const { volumeClaimTemplates = [] } = spec as { volumeClaimTemplates?: unknown[] };
    const several = spec.updateStrategy?.rollingUpdate?.maxUnavailable !== undefined;
    return [
      ...(volumeClaimTemplates.length > 0
        ? ['spec.volumeClaimTemplates: stored, but there are no volumes to claim']
        : []),
      ...(several
        ? ['spec.updateStrategy.rollingUpdate.maxUnavailable: stored, but pods are updated one at a time']
        : []),
    ];
  },
};

/** What an update may not change. */
const fixed = (spec: StatefulSet['spec']): unknown => ({
  ...spec,
  replicas: undefined,
  ordinals: undefined,
  template: undefined,
  updateStrategy: undefined,
  revisionHistoryLimit: undefined,
  persistentVolumeClaimRetentionPolicy: undefined,
  minReadySeconds: undefined,
});
