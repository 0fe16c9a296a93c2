/**
 * Whether other pods keep a pod from a node: affinity and anti-affinity between pods, and their spread. Only what is
 * required; preferences between pods are not looked at.
 *
 * A domain is the set of nodes that have one value of a label, `topologyKey`.
 *
 * Source: k8s.io/kubernetes, pkg/scheduler/framework/plugins/interpodaffinity and podtopologyspread.
 */
import { isEmptySelector, matchesLabels } from '../api/label-selector.js';
import { fitsLabels } from '../api/taints.js';
import type { Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from '../api/types.js';

export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>>;

interface Place {
  readonly node: Node;
  readonly pods: readonly Pod[];
  /** Those of the pods that {@link keepsOthersAway}. */
  readonly shy: readonly Pod[];
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const domainOf = (node: Node, key: string): string | undefined => node.metadata.labels?.[key];

/** Whether a pod may keep later ones from where it is. */
export const keepsOthersAway = ({ spec }: Pod): boolean =>
  (spec.affinity?.podAntiAffinity?.[REQUIRED] ?? []).length > 0;

/** @returns why not, or undefined */
export function refusalByPods(
  pod: Pod,
  place: Place,
  places: readonly Place[],
  labelsOf: NamespaceLabels,
): string | undefined {
  const { affinity, topologySpreadConstraints = [] } = pod.spec;
  const isMeant = (term: PodAffinityTerm, author: Pod, other: Pod): boolean =>
    isInNamespaces(term, author, other, labelsOf) && matchesLabels(term.labelSelector, other.metadata.labels);
  /** Whether the domain of the place has a pod that passes a test. */
  const hasNear = (key: string, test: (other: Pod) => boolean): boolean => {
    const domain = domainOf(place.node, key);
    return (
      domain !== undefined &&
      places.some(({ node, pods }) => domainOf(node, key) === domain && pods.some(test))
    );
  };
  for (const term of affinity?.podAffinity?.[REQUIRED] ?? []) {
    const isNear = hasNear(term.topologyKey, (other) => isMeant(term, pod, other));
    // The first of a group that wants to be together has nobody to be near.
    const isFirst = (): boolean =>
      isMeant(term, pod, pod) &&
      domainOf(place.node, term.topologyKey) !== undefined &&
      !places.some(({ pods }) => pods.some((other) => isMeant(term, pod, other)));
    if (!isNear && !isFirst()) return "node(s) didn't match pod affinity rules";
  }
  for (const term of affinity?.podAntiAffinity?.[REQUIRED] ?? [])
    if (hasNear(term.topologyKey, (other) => isMeant(term, pod, other)))
      return "node(s) didn't match pod anti-affinity rules";
  for (const { node, shy } of places)
    for (const other of shy)
      for (const term of other.spec.affinity?.podAntiAffinity?.[REQUIRED] ?? []) {
        const domain = domainOf(node, term.topologyKey);
        if (
          domain !== undefined &&
          domain === domainOf(place.node, term.topologyKey) &&
          isMeant(term, other, pod)
        )
          return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
  for (const constraint of topologySpreadConstraints)
    if (constraint.whenUnsatisfiable === 'DoNotSchedule' && !doesSpread(pod, constraint, place, places))
      return "node(s) didn't match pod topology spread constraints";
  return undefined;
}

function isInNamespaces(term: PodAffinityTerm, author: Pod, other: Pod, labelsOf: NamespaceLabels): boolean {
  const namespace = other.metadata.namespace ?? '';
  const { namespaces = [], namespaceSelector } = term;
  if (namespaces.includes(namespace)) return true;
  if (namespaceSelector)
    return isEmptySelector(namespaceSelector) || matchesLabels(namespaceSelector, labelsOf(namespace));
  return namespaces.length === 0 && namespace === author.metadata.namespace;
}

/** Whether one pod more in this place's domain leaves it no more than `maxSkew` above the emptiest. */
function doesSpread(
  pod: Pod,
  { topologyKey, labelSelector, maxSkew }: TopologySpreadConstraint,
  place: Place,
  places: readonly Place[],
): boolean {
  const own = domainOf(place.node, topologyKey);
  if (own === undefined) return false;
  const counts = new Map<string, number>();
  for (const { node, pods } of places) {
    const domain = domainOf(node, topologyKey);
    if (domain === undefined || !fitsLabels(pod.spec, node)) continue;
    const count = pods.filter(
      ({ metadata }) =>
        metadata.namespace === pod.metadata.namespace &&
        metadata.deletionTimestamp === undefined &&
        matchesLabels(labelSelector, metadata.labels),
    ).length;
    counts.set(domain, (counts.get(domain) ?? 0) + count);
  }
  const self = matchesLabels(labelSelector, pod.metadata.labels) ? 1 : 0;
  return (counts.get(own) ?? 0) + self - Math.min(...counts.values()) <= maxSkew;
}
