/**
 * Which node a pod goes to: among those that can take it, the one with the fewest pods; of equals, the first by name.
 */
import { isExternalNode } from '../api/node.js';
import { isEveryAddress } from '../api/pod.js';
import type { ContainerPort, Node, Pod } from '../api/types.js';
import { compareNatural } from './order.js';

/** A node as the scheduler sees it. */
export interface Seat {
  readonly node: Node;
  /** Pods on this node that have not ended. */
  pods: number;
  /** The host ports of these pods. */
  readonly hostPorts: ContainerPort[];
  /** Whether the node has a free pod address. */
  hasRoom(): boolean;
}

/** A node on which no pod is yet. */
export const emptySeat = (node: Node, hasRoom: () => boolean): Seat => ({
  node,
  pods: 0,
  hostPorts: [],
  hasRoom,
});

/** Count a pod among those of a node. */
export function sit(seat: Seat, pod: Pod): void {
  seat.pods++;
  seat.hostPorts.push(...hostPortsOf(pod));
}

export type Placement = { node: string } | { why: string };

/** Find a node for a pod; `why` is the sentence `kubectl describe pod` shows. */
export function schedule(pod: Pod, seats: readonly Seat[]): Placement {
  let best: Seat | undefined;
  const refusals = new Map<string, number>();
  for (const seat of seats) {
    const refusal = refuse(pod, seat);
    if (refusal) refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
    else if (!best || seat.pods < best.pods || (seat.pods === best.pods && precedes(seat, best))) best = seat;
  }
  if (best) return { node: best.node.metadata.name };
  if (seats.length === 0) return { why: 'no nodes available to schedule pods' };
  const reasons = [...refusals].map(([reason, count]) => `${count} ${reason}`).sort();
  return { why: `0/${seats.length} nodes are available: ${reasons.join(', ')}.` };
}

const precedes = (a: Seat, b: Seat): boolean =>
  compareNatural(a.node.metadata.name, b.node.metadata.name) < 0;

function refuse(pod: Pod, seat: Seat): string | undefined {
  const { node } = seat;
  if (isExternalNode(node)) return 'node(s) were external hosts';
  if (node.spec?.unschedulable || node.metadata.deletionTimestamp) return 'node(s) were unschedulable';
  const labels = node.metadata.labels ?? {};
  const selector = Object.entries(pod.spec.nodeSelector ?? {});
  if (!selector.every(([key, value]) => labels[key] === value)) {
    return "node(s) didn't match Pod's node affinity/selector";
  }
  const wanted = hostPortsOf(pod);
  if (wanted.some((port) => seat.hostPorts.some((taken) => doCollide(port, taken)))) {
    return "node(s) didn't have free ports for the requested pod ports";
  }
  return pod.spec.hostNetwork || seat.hasRoom() ? undefined : 'node(s) had no free pod address';
}

/** Also those of a pod on the host's network, which are its very ports. */
const hostPortsOf = (pod: Pod): ContainerPort[] =>
  pod.spec.containers.flatMap(({ ports = [] }) => ports.filter((port) => port.hostPort));

const doCollide = (a: ContainerPort, b: ContainerPort): boolean =>
  a.hostPort === b.hostPort &&
  (a.protocol ?? 'TCP') === (b.protocol ?? 'TCP') &&
  (a.hostIP === b.hostIP || isEveryAddress(a.hostIP) || isEveryAddress(b.hostIP));
