/**
 * Nodes that are not well, and what becomes of their pods.
 *
 * Theory of operation. An agent renews the Lease of its node's name in `kube-node-lease`. One that has run out makes the
 * node's Ready Unknown (a server that sees connections close says so itself, much earlier). A node that never had a
 * Lease is believed whatever it says. What Ready says becomes taints: `not-ready` when it is False, `unreachable` when it
 * is Unknown, both with NoSchedule and NoExecute. A node whose agent starts, or of which nobody has said anything yet, has
 * none, so that pods can be placed before agents have come up. A cordon is a taint too. Pods of a node that is not well are
 * no longer Ready, which takes them out of endpoints; those that do not tolerate a NoExecute taint, or no longer, are deleted.
 *
 * Source: k8s.io/kubernetes, pkg/controller/nodelifecycle and tainteviction.
 */
import { timestamp } from '../api/age.js';
import { equal } from '../api/json.js';
import { LEASE_NAMESPACE } from '../api/lease.js';
import { isExternalNode } from '../api/node.js';
import {
  NOT_READY_TAINT,
  taintsOf,
  tolerates,
  UNREACHABLE_TAINT,
  UNSCHEDULABLE_TAINT,
} from '../api/taints.js';
import { NODE_LOST, NODE_STARTING, type Lease, type Node, type Pod, type Taint } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { withCondition } from './conditions.js';

const DEFAULT_LEASE_SECONDS = 40;
const KEPT_BY_US = [NOT_READY_TAINT, UNREACHABLE_TAINT, UNSCHEDULABLE_TAINT];

/** Leases of nodes, by the node's name. */
export const nodeLeases = (leases: readonly Lease[]): Map<string, Lease> =>
  new Map(
    leases
      .filter(({ metadata }) => metadata.namespace === LEASE_NAMESPACE)
      .map((lease) => [lease.metadata.name, lease]),
  );

/** A node with what follows from its Lease and its Ready condition; the very same object when it is so. */
export function withHealth(node: Node, lease: Lease | undefined, agenda: Agenda): Node {
  if (isExternalNode(node)) return node;
  const judged = withLease(node, lease, agenda);
  const taints = [
    ...taintsOf(judged)
      .filter(({ key }) => !KEPT_BY_US.includes(key))
      .map((taint) => timed(taint, agenda.now)),
    ...healthTaints(judged, agenda.now),
  ];
  if (equal(taints, taintsOf(judged))) return judged;
  const spec = { ...judged.spec, taints };
  if (taints.length === 0) delete (spec as Partial<typeof spec>).taints;
  return { ...judged, spec };
}

function withLease(node: Node, lease: Lease | undefined, agenda: Agenda): Node {
  const { renewTime, leaseDurationSeconds = DEFAULT_LEASE_SECONDS } = lease?.spec ?? {};
  if (renewTime === undefined) return node;
  const end = Date.parse(renewTime) + leaseDurationSeconds * 1000;
  if (end > agenda.now) {
    agenda.lookAgain(end);
    return node;
  }
  return withCondition(
    node,
    {
      type: 'Ready',
      status: 'Unknown',
      reason: NODE_LOST,
      message: 'The agent of this node has stopped renewing its lease',
    },
    agenda.now,
    // Whoever said so first need not say it in our words.
    (old) => old.status === 'Unknown',
  );
}

/** Since when pods are driven away, which their tolerations count from. */
const timed = (taint: Taint, now: number): Taint =>
  taint.effect === 'NoExecute' && taint.timeAdded === undefined
    ? { ...taint, timeAdded: timestamp(now) }
    : taint;

function healthTaints(node: Node, now: number): Taint[] {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const keep = (taint: Taint): Taint =>
    taintsOf(node).find(({ key, effect }) => key === taint.key && effect === taint.effect) ?? taint;
  const isDown = ready?.status === 'False' && ready.reason !== NODE_STARTING;
  const key = ready?.status === 'Unknown' ? UNREACHABLE_TAINT : isDown ? NOT_READY_TAINT : undefined;
  return [
    ...(node.spec?.unschedulable
      ? [keep({ key: UNSCHEDULABLE_TAINT, effect: 'NoSchedule', timeAdded: timestamp(now) })]
      : []),
    ...(key === undefined
      ? []
      : [
          keep({ key, effect: 'NoSchedule', timeAdded: timestamp(now) }),
          keep({ key, effect: 'NoExecute', timeAdded: timestamp(now) }),
        ]),
  ];
}

/** Take pods out of service whose node is lost, and delete those that a taint drives away. */
export function reconcileNodePods(nodes: readonly Node[], pods: readonly Pod[], agenda: Agenda): void {
  const sick = new Map(
    nodes
      .filter((node) => taintsOf(node).some(({ effect }) => effect === 'NoExecute'))
      .map((node) => [node.metadata.name, node]),
  );
  if (sick.size === 0) return;
  for (const pod of pods) {
    const node = sick.get(pod.spec.nodeName ?? '');
    if (!node || !agenda.isStaying(pod)) continue;
    const at = evictionTime(node, pod, agenda.now);
    if (at !== undefined && at > agenda.now) agenda.lookAgain(at);
    if (at !== undefined && at <= agenda.now)
      agenda.delete(pod, {
        about: pod,
        type: 'Normal',
        reason: 'TaintManagerEviction',
        message: `Marking for deletion Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
        component: 'taint-eviction-controller',
      });
    else if (taintsOf(node).some(({ key }) => key === UNREACHABLE_TAINT || key === NOT_READY_TAINT)) {
      const isReady = pod.status?.conditions?.some(
        ({ type, status }) => type === 'Ready' && status === 'True',
      );
      if (!isReady) continue;
      const status = { type: 'Ready', status: 'False', reason: 'NodeLost' } as const;
      const latest = agenda.latest(pod);
      agenda.update(withCondition(latest, { ...status, message: 'Node is not ready' }, agenda.now), {
        about: pod,
        type: 'Warning',
        reason: 'NodeNotReady',
        message: 'Node is not ready',
        component: 'node-controller',
      });
    }
  }
}

/** When a pod has to leave its node, in milliseconds since 1970; undefined: never. */
function evictionTime(node: Node, pod: Pod, now: number): number | undefined {
  const times = taintsOf(node)
    .filter(({ effect }) => effect === 'NoExecute')
    .flatMap((taint) => {
      const tolerations = (pod.spec.tolerations ?? []).filter((toleration) => tolerates(toleration, taint));
      if (tolerations.length === 0) return now;
      const seconds = tolerations.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
      if (seconds.length === 0) return [];
      const since = taint.timeAdded === undefined ? now : Date.parse(taint.timeAdded);
      return since + Math.max(0, Math.min(...seconds)) * 1000;
    });
  return times.length === 0 ? undefined : Math.min(...times);
}
