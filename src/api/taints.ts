/**
 * Whether a pod may go to a node, as far as the two say so themselves: labels, affinity for nodes, taints.
 *
 * Source: k8s.io/component-helpers, scheduling/corev1; k8s.io/api/core/v1/toleration.go.
 */
import { matchesLabels } from './label-selector.js';
import type { Node, NodeSelectorTerm, PodSpec, Taint, Toleration } from './types.js';

export const NOT_READY_TAINT = 'node.kubernetes.io/not-ready';
export const UNREACHABLE_TAINT = 'node.kubernetes.io/unreachable';
export const UNSCHEDULABLE_TAINT = 'node.kubernetes.io/unschedulable';

export const taintsOf = (node: Node): readonly Taint[] => node.spec?.taints ?? [];

export const tolerates = (toleration: Toleration, taint: Taint): boolean =>
  (!toleration.effect || toleration.effect === taint.effect) &&
  (!toleration.key || toleration.key === taint.key) &&
  (toleration.operator === 'Exists' ||
    ((toleration.operator ?? '') in { '': 0, Equal: 0 } && (toleration.value ?? '') === (taint.value ?? '')));

export const isTolerated = (taint: Taint, tolerations: readonly Toleration[] = []): boolean =>
  tolerations.some((toleration) => tolerates(toleration, taint));

/** Whether a node has the labels that a pod's `nodeSelector` and required affinity ask for. */
export function fitsLabels({ nodeSelector = {}, affinity }: PodSpec, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  if (!Object.entries(nodeSelector).every(([key, value]) => labels[key] === value)) return false;
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return !required || required.nodeSelectorTerms.some((term) => matchesNode(term, node));
}

/** Whether all of a term holds for a node. An empty term holds for none. */
export function matchesNode(
  { matchExpressions = [], matchFields = [] }: NodeSelectorTerm,
  node: Node,
): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  const labels = node.metadata.labels ?? {};
  return (
    matchExpressions.every(({ key, operator, values = [] }) => {
      if (operator !== 'Gt' && operator !== 'Lt')
        return matchesLabels({ matchExpressions: [{ key, operator, values }] }, labels);
      const [has, limit] = [Number.parseInt(labels[key] ?? '', 10), Number.parseInt(values[0] ?? '', 10)];
      return operator === 'Gt' ? has > limit : has < limit;
    }) &&
    matchFields.every(({ key, operator, values = [] }) =>
      matchesLabels({ matchExpressions: [{ key, operator, values }] }, { [key]: node.metadata.name }),
    )
  );
}

/** How long a pod stays bound to a node that is not well, unless it says otherwise. */
const OUTAGE_SECONDS = 300;

/** What every new pod puts up with for a while. k8s.io/kubernetes, plugin/pkg/admission/defaulttolerationseconds. */
export function tolerateOutages(spec: PodSpec): void {
  for (const key of [NOT_READY_TAINT, UNREACHABLE_TAINT]) {
    if (isTolerated({ key, effect: 'NoExecute' }, spec.tolerations)) continue;
    const toleration = { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: OUTAGE_SECONDS };
    spec.tolerations = [...(spec.tolerations ?? []), toleration];
  }
}
