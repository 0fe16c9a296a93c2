/**
 * Which node a pod goes to: among those that can take it, the one it prefers, then the one with the fewest pods; of
 * equals, the first by name.
 *
 * Not here: requests of CPU and memory, preemption.
 *
 * Source: k8s.io/kubernetes, pkg/scheduler/framework/plugins (the sentences).
 */
import { isExternalNode } from '../api/node.js';
import { isEveryAddress } from '../api/pod.js';
import { fitsLabels, isTolerated, matchesNode, taintsOf, UNSCHEDULABLE_TAINT } from '../api/taints.js';
import type { ContainerPort, Node, Pod, Taint } from '../api/types.js';
import { compareNatural } from './order.js';
import { keepsOthersAway, refusalByPods, type NamespaceLabels } from './pod-affinity.js';

/** A node as the scheduler sees it. */
export interface Seat {
  readonly node: Node;
  /** Pods on this node that have not ended. */
  readonly pods: Pod[];
  /** Those of them that keep others away. */
  readonly shy: Pod[];
  /** The host ports of these pods. */
  readonly hostPorts: ContainerPort[];
  /** Whether the node has a free pod address. */
  hasRoom(): boolean;
}

/** A node on which no pod is yet. */
export const emptySeat = (node: Node, hasRoom: () => boolean): Seat => ({
  node,
  pods: [],
  shy: [],
  hostPorts: [],
  hasRoom,
});

/** Count a pod among those of a node. */
export function sit(seat: Seat, pod: Pod): void {
  seat.pods.push(pod);
  for (const port of hostPortsOf(pod)) seat.hostPorts.push(port);
  if (keepsOthersAway(pod)) seat.shy.push(pod);
}

export type Placement = { node: string } | { why: string };

const NO_LABELS: NamespaceLabels = () => ({});

/**
 * Find a node for a pod; `why` is the sentence `kubectl describe pod` shows.
 *
 * @param labelsOf  the labels of a namespace, for affinity that names namespaces by them
 */
export function schedule(pod: Pod, seats: readonly Seat[], labelsOf: NamespaceLabels = NO_LABELS): Placement {
  let best: Seat | undefined;
  let bestRank: readonly number[] = [];
  const refusals = new Map<string, number>();
  for (const seat of seats) {
    const refusal = refuse(pod, seat) ?? refusalByPods(pod, seat, seats, labelsOf);
    if (refusal) {
      refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
      continue;
    }
    const rank = [-preference(pod, seat.node), seat.pods.length];
    const difference = best ? compareRanks(rank, bestRank) : -1;
    if (difference > 0 || (difference === 0 && !precedes(seat, best!))) continue;
    [best, bestRank] = [seat, rank];
  }
  if (best) return { node: best.node.metadata.name };
  if (seats.length === 0) return { why: 'no nodes available to schedule pods' };
  const reasons = [...refusals].map(([reason, count]) => `${count} ${reason}`).sort();
  return { why: `0/${seats.length} nodes are available: ${reasons.join(', ')}.` };
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}

const precedes = (a: Seat, b: Seat): boolean =>
  compareNatural(a.node.metadata.name, b.node.metadata.name) < 0;

function refuse(pod: Pod, seat: Seat): string | undefined {
  const { node } = seat;
  if (isExternalNode(node)) return 'node(s) were external hosts';
  const cordon: Taint = { key: UNSCHEDULABLE_TAINT, effect: 'NoSchedule' };
  const isCordoned = node.spec?.unschedulable && !isTolerated(cordon, pod.spec.tolerations);
  if (isCordoned || node.metadata.deletionTimestamp) return 'node(s) were unschedulable';
  if (!fitsLabels(pod.spec, node)) return "node(s) didn't match Pod's node affinity/selector";
  const taint = taintsOf(node).find(
    (one) => one.effect !== 'PreferNoSchedule' && !isTolerated(one, pod.spec.tolerations),
  );
  if (taint) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  const wanted = hostPortsOf(pod);
  if (wanted.some((port) => seat.hostPorts.some((taken) => doCollide(port, taken)))) {
    return "node(s) didn't have free ports for the requested pod ports";
  }
  return pod.spec.hostNetwork || seat.hasRoom() ? undefined : 'node(s) had no free pod address';
}

/** How much a pod would like to be on a node: what it prefers, less what it had rather not. */
function preference({ spec }: Pod, node: Node): number {
  const preferred = spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const liked = preferred.reduce(
    (sum, { weight, preference: term }) => sum + (matchesNode(term, node) ? weight : 0),
    0,
  );
  const shunned = taintsOf(node).some(
    (taint) => taint.effect === 'PreferNoSchedule' && !isTolerated(taint, spec.tolerations),
  );
  return liked - (shunned ? 100 : 0);
}

const portsOf = new WeakMap<Pod, readonly ContainerPort[]>();

/** The host ports of a pod, also those of one on the host's network, which are its very ports. Remembered. */
function hostPortsOf(pod: Pod): readonly ContainerPort[] {
  let ports = portsOf.get(pod);
  if (!ports) {
    ports = pod.spec.containers.flatMap(({ ports: all = [] }) => all.filter((port) => port.hostPort));
    portsOf.set(pod, ports);
  }
  return ports;
}

const doCollide = (a: ContainerPort, b: ContainerPort): boolean =>
  a.hostPort === b.hostPort &&
  (a.protocol ?? 'TCP') === (b.protocol ?? 'TCP') &&
  (a.hostIP === b.hostIP || isEveryAddress(a.hostIP) || isEveryAddress(b.hostIP));
