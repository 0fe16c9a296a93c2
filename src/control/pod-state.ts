/**
 * What controllers ask of a pod: whether it counts, since when it is ready, and which of several goes first.
 *
 * Source: k8s.io/kubernetes, pkg/api/v1/pod/util.go; pkg/controller/controller_utils.go, ActivePodsWithRanks.
 */
import { isReady } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import type { Pod } from '../api/types.js';
import { compareCreation } from './order.js';

/** Whether a pod counts among those that its controller has. */
export const isActive = (pod: Pod): boolean =>
  !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined;

const readyTimes = new WeakMap<Pod, number>();

/** Milliseconds since 1970 at which a pod became ready; undefined when it is not. Remembered, as it is asked often. */
export function readySince(pod: Pod): number | undefined {
  const known = readyTimes.get(pod);
  if (known !== undefined) return known;
  const condition = pod.status?.conditions?.find(({ type }) => type === 'Ready');
  if (condition?.status !== 'True') return undefined;
  const since = condition.lastTransitionTime === undefined ? 0 : Date.parse(condition.lastTransitionTime);
  readyTimes.set(pod, since);
  return since;
}

/** When a pod counts as available; undefined when it is not even ready. */
export function availableFrom(pod: Pod, minReadySeconds: number): number | undefined {
  const since = readySince(pod);
  return since === undefined ? undefined : minReadySeconds === 0 ? 0 : since + minReadySeconds * 1000;
}

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const PHASES: readonly (string | undefined)[] = ['Pending', 'Unknown', 'Running'];

const restarts = (pod: Pod): number =>
  (pod.status?.containerStatuses ?? []).reduce((most, { restartCount }) => Math.max(most, restartCount), 0);

/** Whether a pod is available at this moment. */
export const isAvailable = (pod: Pod, minReadySeconds: number, now: number): boolean =>
  (availableFrom(pod, minReadySeconds) ?? Infinity) <= now;

/**
 * Pods in the order in which they are deleted: first those that do least. One that is ready and does not count as
 * available yet goes before one that does, which Kubernetes leaves to chance.
 *
 * @param related  all pods of which a node should not have too many
 */
export function inDeletionOrder(
  pods: readonly Pod[],
  related: readonly Pod[],
  minReadySeconds: number,
  now: number,
): Pod[] {
  const onNode = new Map<string, number>();
  for (const { spec } of related)
    if (spec.nodeName) onNode.set(spec.nodeName, (onNode.get(spec.nodeName) ?? 0) + 1);
  const keys = (pod: Pod): number[] => [
    pod.spec.nodeName ? 1 : 0,
    PHASES.indexOf(pod.status?.phase),
    isReady(pod) ? 1 : 0,
    isAvailable(pod, minReadySeconds, now) ? 1 : 0,
    Number(pod.metadata.annotations?.[DELETION_COST] ?? 0) || 0,
    -(onNode.get(pod.spec.nodeName ?? '') ?? 0),
    -(readySince(pod) ?? 0),
    -restarts(pod),
  ];
  return pods
    .map((pod) => ({ pod, keys: keys(pod) }))
    .sort((a, b) => {
      for (let i = 0; i < a.keys.length; i++) if (a.keys[i] !== b.keys[i]) return a.keys[i]! - b.keys[i]!;
      return compareCreation(b.pod, a.pod);
    })
    .map(({ pod }) => pod);
}
