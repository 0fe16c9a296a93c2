/**
 * ReplicaSets: as many pods as asked for. Too few: more are made from the template; too many: those that do least go.
 *
 * Pods that have ended, or are on their way out, do not count. A pod whose labels no longer match is let go, one that
 * matches and is nobody's is taken in.
 *
 * Source: k8s.io/kubernetes, pkg/controller/replicaset/replica_set.go.
 */
import { equal } from '../api/json.js';
import { matchesLabels } from '../api/label-selector.js';
import type { Pod, ReplicaSet } from '../api/types.js';
import type { Agenda } from './agenda.js';
import type { Note } from './change.js';
import { controllerOf, type Owned } from './owners.js';
import { freeName, podFromTemplate } from './pod-from-template.js';
import { availableFrom, inDeletionOrder, isActive, readySince } from './pod-state.js';

/** Pods made or deleted for one ReplicaSet in one run. */
const BURST = 500;

export interface Workers {
  readonly pods: Owned<Pod>;
  /** Whether a pod's `namespace/name` is taken. */
  isTaken(key: string): boolean;
}

/** @param sets  as their Deployments want them */
export function reconcileReplicaSets(sets: readonly ReplicaSet[], workers: Workers, agenda: Agenda): void {
  const siblings = new Map<string, Pod[]>();
  for (const set of sets) {
    const uid = controllerOf(set)?.uid ?? set.metadata.uid ?? '';
    siblings.set(uid, [...(siblings.get(uid) ?? []), ...workers.pods.of(set).filter(isActive)]);
  }
  for (const original of sets) {
    const set = agenda.latest(original);
    const { selector, template, replicas = 1, minReadySeconds = 0 } = set.spec;
    if (set.metadata.uid === undefined || !template) continue;
    const pods = workers.pods.claim(set, selector, agenda, isActive).filter(isActive);
    if (agenda.isStaying(original)) {
      const missing = replicas - pods.length;
      if (missing > 0) createPods(set, Math.min(missing, BURST), workers, agenda);
      if (missing < 0) {
        const related = siblings.get(controllerOf(set)?.uid ?? set.metadata.uid) ?? pods;
        for (const pod of inDeletionOrder(pods, related, minReadySeconds, agenda.now).slice(
          0,
          Math.min(-missing, BURST),
        ))
          agenda.delete(pod, note(set, 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`));
      }
    }
    const status = statusOf(set, pods, agenda);
    if (!equal(status, set.status)) agenda.update({ ...set, status });
  }
}

function createPods(set: ReplicaSet, count: number, workers: Workers, agenda: Agenda): void {
  const { namespace, uid } = set.metadata;
  const made = new Set<string>();
  for (let i = 0; i < count; i++) {
    const { name, generateName } = freeName(
      set.metadata.name,
      `${uid} ${agenda.seed} ${i}`,
      (other) => made.has(other) || workers.isTaken(`${namespace}/${other}`),
    );
    made.add(name);
    const pod = podFromTemplate(set, set.spec.template!, name);
    pod.metadata.generateName = generateName;
    agenda.create(pod, note(set, 'SuccessfulCreate', `Created pod: ${name}`));
  }
}

function statusOf(set: ReplicaSet, pods: readonly Pod[], agenda: Agenda): ReplicaSet['status'] {
  const { minReadySeconds = 0, template } = set.spec;
  let [labeled, ready, available] = [0, 0, 0];
  for (const pod of pods) {
    if (matchesLabels({ matchLabels: template!.metadata?.labels }, pod.metadata.labels)) labeled++;
    if (readySince(pod) === undefined) continue;
    ready++;
    const from = availableFrom(pod, minReadySeconds)!;
    if (from <= agenda.now) available++;
    else agenda.lookAgain(from);
  }
  return {
    ...set.status,
    replicas: pods.length,
    fullyLabeledReplicas: labeled,
    readyReplicas: ready,
    availableReplicas: available,
    observedGeneration: observed(set),
  };
}

/** The generation that this run acts on. */
export const observed = ({ metadata }: { metadata: { generation?: number } }): number =>
  metadata.generation ?? 0;

const note = (set: ReplicaSet, reason: string, message: string): Note => ({
  about: set,
  type: 'Normal',
  reason,
  message,
  component: 'replicaset-controller',
});
