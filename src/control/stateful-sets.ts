/**
 * StatefulSets: pods with numbers. Each has a name of its own that it keeps, and a host name under the set's Service.
 *
 * Theory of operation. By OrderedReady one thing happens at a time: a pod is made when all with lower numbers are
 * available, the highest goes first when there are too many, and while any pod is on its way in or out nothing else
 * happens. By Parallel making and deleting wait for nobody. A new template reaches the pods from the highest number down
 * to `partition`, one at a time, each when the one before is available; by OnDelete it waits until somebody deletes
 * them. A pod that has ended is deleted, and made anew.
 *
 * Not here: volume claims; updates of several pods at a time (maxUnavailable).
 *
 * Source: k8s.io/kubernetes, pkg/controller/statefulset/stateful_set_control.go.
 */
import { equal } from '../api/json.js';
import { isTerminal } from '../api/pod.js';
import type { ControllerRevision, Pod, StatefulSet } from '../api/types.js';
import type { Agenda } from './agenda.js';
import type { Note } from './change.js';
import type { Owned } from './owners.js';
import { podFromTemplate } from './pod-from-template.js';
import { availableFrom, readySince } from './pod-state.js';
import { observed } from './replica-sets.js';
import { forgetRevisions, historyOf, REVISION_HASH, templateOf, type History } from './revisions.js';

export interface Histories {
  readonly pods: Owned<Pod>;
  readonly revisions: Owned<ControllerRevision>;
  /** Whether a ControllerRevision's `namespace/name` is taken. */
  isRevision(key: string): boolean;
}

export function reconcileStatefulSets(
  sets: readonly StatefulSet[],
  histories: Histories,
  agenda: Agenda,
): void {
  for (const set of sets) {
    if (set.metadata.uid === undefined) continue;
    const pods = new Map<number, Pod>();
    const isMine = (pod: Pod): boolean => ordinalOf(set, pod) !== undefined;
    for (const pod of histories.pods.claim(set, set.spec.selector, agenda, isMine)) {
      const ordinal = ordinalOf(set, pod);
      if (ordinal !== undefined) pods.set(ordinal, pod);
    }
    const history = historyOf(set, histories.revisions, histories.isRevision, agenda);
    if (agenda.isStaying(set)) step(set, pods, history, agenda);
    const status = statusOf(set, [...pods.values()], history, agenda);
    if (!equal(status, set.status)) agenda.update({ ...set, status });
    const used = new Set([...pods.values()].map(revisionOf));
    used.add(status.currentRevision);
    forgetRevisions(set, history, ({ metadata }) => used.has(metadata.name), agenda);
  }
}

/** The number in a pod's name, if the set would call a pod so. */
function ordinalOf({ metadata: { name } }: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${name}-`;
  const text = pod.metadata.name.slice(prefix.length);
  return pod.metadata.name.startsWith(prefix) && /^(0|[1-9]\d*)$/.test(text) ? Number(text) : undefined;
}

const revisionOf = (pod: Pod): string | undefined => pod.metadata.labels?.[REVISION_HASH];
const isTerminating = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;

function step(set: StatefulSet, pods: ReadonlyMap<number, Pod>, history: History, agenda: Agenda): void {
  const { replicas = 1, podManagementPolicy, updateStrategy, minReadySeconds = 0 } = set.spec;
  const isOrdered = podManagementPolicy !== 'Parallel';
  const start = set.spec.ordinals?.start ?? 0;
  const isServing = (pod: Pod): boolean => {
    const from = availableFrom(pod, minReadySeconds);
    if (from !== undefined && from > agenda.now) agenda.lookAgain(from);
    return !isTerminating(pod) && !isTerminal(pod) && from !== undefined && from <= agenda.now;
  };
  const remove = (pod: Pod): void => {
    const message = `delete Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name} successful`;
    agenda.delete(pod, note(set, 'SuccessfulDelete', message));
  };

  for (let ordinal = start; ordinal < start + replicas; ordinal++) {
    const pod = pods.get(ordinal);
    if (!pod) createPod(set, ordinal, history, agenda);
    else if (isTerminal(pod) && !isTerminating(pod)) remove(pod);
    else if (!isOrdered || isServing(pod)) continue;
    if (isOrdered) return;
  }
  const numbered = [...pods].sort(([a], [b]) => b - a);
  const excess = numbered.filter(([ordinal]) => ordinal < start || ordinal >= start + replicas);
  const unhealthy = numbered.findLast(([, pod]) => !isServing(pod))?.[1];
  for (const [, pod] of excess) {
    if (isTerminating(pod)) {
      if (isOrdered) return;
      continue;
    }
    // A sick pod does not go before a sick one that is first in line.
    if (isOrdered && !isServing(pod) && pod !== unhealthy) return;
    remove(pod);
    if (isOrdered) return;
  }
  if (excess.length > 0 || updateStrategy?.type === 'OnDelete') return;
  const partition = updateStrategy?.rollingUpdate?.partition ?? 0;
  for (const [ordinal, pod] of numbered) {
    if (ordinal < Math.max(start, partition)) return;
    if (revisionOf(pod) !== history.update.metadata.name && !isTerminating(pod)) return remove(pod);
    if (!isServing(pod)) return;
  }
}

function createPod(set: StatefulSet, ordinal: number, history: History, agenda: Agenda): void {
  const { template, serviceName, updateStrategy } = set.spec;
  const { update, revisions } = history;
  const current = revisions.find(({ metadata }) => metadata.name === set.status?.currentRevision);
  const partition = updateStrategy?.type === 'OnDelete' ? 0 : (updateStrategy?.rollingUpdate?.partition ?? 0);
  const revision = current && ordinal < partition ? current : update;
  const name = `${set.metadata.name}-${ordinal}`;
  const pod = podFromTemplate(set, revision === update ? template : templateOf(revision), name);
  pod.metadata.labels = {
    ...pod.metadata.labels,
    [REVISION_HASH]: revision.metadata.name,
    'statefulset.kubernetes.io/pod-name': name,
    'apps.kubernetes.io/pod-index': String(ordinal),
  };
  pod.spec.hostname = name;
  if (serviceName) pod.spec.subdomain = serviceName;
  const message = `create Pod ${name} in StatefulSet ${set.metadata.name} successful`;
  agenda.create(pod, note(set, 'SuccessfulCreate', message));
}

function statusOf(
  set: StatefulSet,
  pods: readonly Pod[],
  { update, revisions }: History,
  agenda: Agenda,
): NonNullable<StatefulSet['status']> {
  const { minReadySeconds = 0, updateStrategy } = set.spec;
  const updateRevision = update.metadata.name;
  const known = set.status?.currentRevision;
  let currentRevision = revisions.some(({ metadata }) => metadata.name === known) ? known! : updateRevision;
  const there = pods.filter((pod) => !isTerminating(pod) && !isTerminal(pod));
  const ready = there.filter((pod) => readySince(pod) !== undefined);
  const available = ready.filter((pod) => availableFrom(pod, minReadySeconds)! <= agenda.now).length;
  const updated = there.filter((pod) => revisionOf(pod) === updateRevision).length;
  let current = there.filter((pod) => revisionOf(pod) === currentRevision).length;
  const isDone = updated === pods.length && ready.length === pods.length;
  if (updateStrategy?.type !== 'OnDelete' && isDone) [currentRevision, current] = [updateRevision, updated];
  return {
    ...(set.status?.conditions && { conditions: set.status.conditions }),
    observedGeneration: observed(set),
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: available,
    currentReplicas: current,
    updatedReplicas: updated,
    currentRevision,
    updateRevision,
    collisionCount: set.status?.collisionCount ?? 0,
  };
}

const note = (set: StatefulSet, reason: string, message: string): Note => ({
  about: set,
  type: 'Normal',
  reason,
  message,
  component: 'statefulset-controller',
});
