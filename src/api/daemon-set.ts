/**
 * DaemonSet: the row.
 *
 * Source: k8s.io/kubernetes, pkg/apis/apps/v1/defaults.go; pkg/apis/apps/validation/validation.go.
 */
import { checkAtMostAll, checkIntOrPercent, isZero } from './int-or-percent.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import {
  checkSelectorUpdate,
  checkWorkloadSelector,
  formatLabelSelector,
  LABEL_SELECTOR,
} from './label-selector.js';
import { POD_TEMPLATE } from './pod-schema.js';
import { checkCounts, checkTemplate, defaultTemplate, TEMPLATE_COLUMNS } from './pod-template.js';
import { invalid, required, type Problem } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { CONDITIONS, INT32, INT64, INT_OR_STRING, object, objectSchema, oneOf } from './schema.js';
import { formatSelector } from './service-type.js';
import type { DaemonSet } from './types.js';

const count = { type: 'integer' as const };

export const DAEMON_SET: Kind<DaemonSet> = {
  group: 'apps',
  versions: ['v1'],
  kind: 'DaemonSet',
  plural: 'daemonsets',
  singular: 'daemonset',
  shortNames: ['ds'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status'],
  schema: objectSchema({
    spec: object(
      {
        minReadySeconds: INT32,
        revisionHistoryLimit: INT32,
        selector: LABEL_SELECTOR,
        template: POD_TEMPLATE,
        updateStrategy: object({
          rollingUpdate: object({ maxSurge: INT_OR_STRING, maxUnavailable: INT_OR_STRING }),
          type: oneOf('OnDelete', 'RollingUpdate'),
        }),
      },
      ['selector', 'template'],
    ),
    status: object({
      collisionCount: INT32,
      conditions: CONDITIONS,
      currentNumberScheduled: INT32,
      desiredNumberScheduled: INT32,
      numberAvailable: INT32,
      numberMisscheduled: INT32,
      numberReady: INT32,
      numberUnavailable: INT32,
      observedGeneration: INT64,
      updatedNumberScheduled: INT32,
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Desired', ({ status }) => status?.desiredNumberScheduled ?? 0, count),
    column('Current', ({ status }) => status?.currentNumberScheduled ?? 0, count),
    column('Ready', ({ status }) => status?.numberReady ?? 0, count),
    column('Up-to-date', ({ status }) => status?.updatedNumberScheduled ?? 0, count),
    column('Available', ({ status }) => status?.numberAvailable ?? 0, count),
    column('Node Selector', ({ spec }) => formatSelector(spec.template.spec.nodeSelector)),
    AGE_COLUMN,
    ...TEMPLATE_COLUMNS,
    column('Selector', ({ spec }) => formatLabelSelector(spec.selector), { priority: 1 }),
  ],
  selectable: [],
  hasEffect: true,
  defaults({ spec }) {
    spec.updateStrategy ??= {};
    spec.updateStrategy.type ||= 'RollingUpdate';
    if (spec.updateStrategy.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate ??= {};
      spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
      spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    defaultTemplate(spec.template);
  },
  validate: ({ metadata, spec }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...checkWorkloadSelector(spec.selector, spec.template.metadata?.labels, 'daemonset'),
    ...checkTemplate(spec.template, 'DaemonSet'),
    ...checkCounts({
      minReadySeconds: spec.minReadySeconds,
      revisionHistoryLimit: spec.revisionHistoryLimit,
    }),
    ...checkStrategy(spec),
  ],
  prepareCreate(set) {
    delete set.status;
  },
  validateUpdate: (next, old) => checkSelectorUpdate(next.spec.selector, old.spec.selector),
};

function checkStrategy({ updateStrategy }: DaemonSet['spec']): Problem[] {
  const { type, rollingUpdate } = updateStrategy ?? {};
  if (type !== 'RollingUpdate' || !rollingUpdate) return [];
  const field = 'spec.updateStrategy.rollingUpdate';
  const { maxSurge, maxUnavailable } = rollingUpdate;
  const problems = [
    ...checkIntOrPercent(maxUnavailable, `${field}.maxUnavailable`),
    ...checkIntOrPercent(maxSurge, `${field}.maxSurge`),
  ];
  if (problems.length > 0) return problems;
  if (isZero(maxUnavailable) && isZero(maxSurge))
    problems.push(required(`${field}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'));
  if (!isZero(maxUnavailable) && !isZero(maxSurge))
    problems.push(invalid(`${field}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'));
  return [
    ...problems,
    ...checkAtMostAll(maxUnavailable, `${field}.maxUnavailable`),
    ...checkAtMostAll(maxSurge, `${field}.maxSurge`),
  ];
}
