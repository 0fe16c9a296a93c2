/**
 * Templates of pods, which all workloads have: their defaults, rules and columns.
 *
 * Source: k8s.io/kubernetes, pkg/apis/apps/validation/validation.go, ValidatePodTemplateSpecForReplicaSet.
 */
import { column, type Column } from './kind.js';
import { checkPodSpec, defaultPodSpec } from './pod.js';
import { forbidden, invalid, notSupported, type Problem } from './problem.js';
import { checkLabels } from './rules.js';
import type { ApiObject, PodTemplate } from './types.js';

export function defaultTemplate(template: PodTemplate): void {
  template.metadata ??= {};
  defaultPodSpec(template.spec);
}

/** @param kind  as the rule about activeDeadlineSeconds calls it: `ReplicaSet` */
export function checkTemplate({ metadata, spec }: PodTemplate, kind: string): Problem[] {
  const field = 'spec.template';
  const problems = [
    ...checkLabels(metadata?.labels ?? {}, `${field}.metadata.labels`),
    ...checkPodSpec(spec, `${field}.spec`),
  ];
  if (spec.ephemeralContainers?.length)
    problems.push(
      forbidden(`${field}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'),
    );
  if (spec.restartPolicy !== 'Always')
    problems.push(notSupported(`${field}.spec.restartPolicy`, spec.restartPolicy, ['Always']));
  if ((spec as { activeDeadlineSeconds?: number }).activeDeadlineSeconds !== undefined)
    problems.push(
      forbidden(`${field}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kind} is not Supported`),
    );
  return problems;
}

/** Numbers that count things. */
export const checkCounts = (counts: Readonly<Record<string, number | undefined>>): Problem[] =>
  Object.entries(counts).flatMap(([name, value]) =>
    value === undefined || value >= 0
      ? []
      : [invalid(`spec.${name}`, value, 'must be greater than or equal to 0')],
  );

type Templated = ApiObject & { spec: { template?: PodTemplate } };

const containers = ({ spec }: Templated): { name: string; image?: string }[] =>
  spec.template?.spec.containers ?? [];

/** What `-o wide` shows of a template. */
export const TEMPLATE_COLUMNS: readonly Column<Templated>[] = [
  column(
    'Containers',
    (object) =>
      containers(object)
        .map(({ name }) => name)
        .join(','),
    { priority: 1 },
  ),
  column(
    'Images',
    (object) =>
      containers(object)
        .map(({ image = '' }) => image)
        .join(','),
    { priority: 1 },
  ),
];

/** What kubectl scale reads and writes: see {@link Kind.scale}. */
export const SCALE = {
  specReplicas: ['spec', 'replicas'],
  statusReplicas: ['status', 'replicas'],
  selector: ['spec', 'selector'],
} as const;
