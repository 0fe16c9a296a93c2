/**
 * Deployment: the row.
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
import { checkCounts, checkTemplate, defaultTemplate, SCALE, TEMPLATE_COLUMNS } from './pod-template.js';
import { forbidden, invalid, type Problem } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { BOOLEAN, CONDITIONS, INT32, INT64, INT_OR_STRING, object, objectSchema, oneOf } from './schema.js';
import type { Deployment } from './types.js';

export const DEPLOYMENT: Kind<Deployment> = {
  group: 'apps',
  versions: ['v1'],
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'scale'],
  scale: SCALE,
  schema: objectSchema({
    spec: object(
      {
        minReadySeconds: INT32,
        paused: BOOLEAN,
        progressDeadlineSeconds: INT32,
        replicas: INT32,
        revisionHistoryLimit: INT32,
        selector: LABEL_SELECTOR,
        strategy: {
          ...object({
            rollingUpdate: object({ maxSurge: INT_OR_STRING, maxUnavailable: INT_OR_STRING }),
            type: oneOf('Recreate', 'RollingUpdate'),
          }),
          retainKeys: true,
        },
        template: POD_TEMPLATE,
      },
      ['selector', 'template'],
    ),
    status: object({
      availableReplicas: INT32,
      collisionCount: INT32,
      conditions: CONDITIONS,
      observedGeneration: INT64,
      readyReplicas: INT32,
      replicas: INT32,
      terminatingReplicas: INT32,
      unavailableReplicas: INT32,
      updatedReplicas: INT32,
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`),
    column('Up-to-date', ({ status }) => status?.updatedReplicas ?? 0, { type: 'integer' }),
    column('Available', ({ status }) => status?.availableReplicas ?? 0, { type: 'integer' }),
    AGE_COLUMN,
    ...TEMPLATE_COLUMNS,
    column('Selector', ({ spec }) => formatLabelSelector(spec.selector), { priority: 1 }),
  ],
  selectable: [],
  hasEffect: true,
  defaults({ spec }) {
    spec.replicas ??= 1;
    spec.strategy ??= {};
    spec.strategy.type ||= 'RollingUpdate';
    if (spec.strategy.type === 'RollingUpdate') {
      spec.strategy.rollingUpdate ??= {};
      spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
      spec.strategy.rollingUpdate.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    defaultTemplate(spec.template);
  },
  validate: validateDeployment,
  prepareCreate(deployment) {
    delete deployment.status;
  },
  validateUpdate: (next, old) => checkSelectorUpdate(next.spec.selector, old.spec.selector),
};

function validateDeployment({ metadata, spec }: Deployment): Problem[] {
  const { replicas, minReadySeconds, revisionHistoryLimit, progressDeadlineSeconds } = spec;
  const problems = [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...checkCounts({ replicas }),
    ...checkWorkloadSelector(spec.selector, spec.template.metadata?.labels, 'deployment'),
    ...checkTemplate(spec.template, 'ReplicaSet'),
    ...checkStrategy(spec),
    ...checkCounts({ minReadySeconds, revisionHistoryLimit, progressDeadlineSeconds }),
  ];
  if ((progressDeadlineSeconds ?? Infinity) <= (minReadySeconds ?? 0))
    problems.push(
      invalid(
        'spec.progressDeadlineSeconds',
        progressDeadlineSeconds,
        'must be greater than minReadySeconds',
      ),
    );
  return problems;
}

function checkStrategy({ strategy }: Deployment['spec']): Problem[] {
  const field = 'spec.strategy.rollingUpdate';
  const { type, rollingUpdate } = strategy ?? {};
  if (type === 'Recreate')
    return rollingUpdate ? [forbidden(field, "may not be specified when strategy `type` is 'Recreate'")] : [];
  const { maxSurge, maxUnavailable } = rollingUpdate ?? {};
  const problems = [
    ...checkIntOrPercent(maxUnavailable, `${field}.maxUnavailable`),
    ...checkIntOrPercent(maxSurge, `${field}.maxSurge`),
  ];
  if (problems.length === 0 && isZero(maxUnavailable) && isZero(maxSurge))
    problems.push(invalid(`${field}.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0'));
  return problems.concat(checkAtMostAll(maxUnavailable, `${field}.maxUnavailable`));
}
