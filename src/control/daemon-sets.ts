/**
 * DaemonSets: one pod on every node that takes it.
 *
 * Theory of operation. A pod is bound to its node by an affinity for that node's name, and placed by the scheduler like
 * any other. A node should have one when its labels fit the template and the template tolerates its taints. Pods that
 * have ended are deleted, and made anew. A new template reaches the nodes by RollingUpdate: old pods that serve nobody
 * go at once, others as far as maxUnavailable lets them; with maxSurge a new pod comes first, and the old one goes when
 * the new one is available. By OnDelete it waits until somebody deletes the pods.
 *
 * Source: k8s.io/kubernetes, pkg/controller/daemon/daemon_controller.go and update.go.
 */
import { scaledValue } from '../api/int-or-percent.js';
import { equal } from '../api/json.js';
import { isExternalNode } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import { fitsLabels, isTolerated, taintsOf } from '../api/taints.js';
import type { DaemonSet, Node, Pod, PodSpec, PodTemplate, Toleration } from '../api/types.js';
import type { Agenda } from './agenda.js';
import type { Note } from './change.js';
import { groupBy } from './group.js';
import { compareCreation } from './order.js';
import { freeName, podFromTemplate } from './pod-from-template.js';
import { availableFrom, isActive, isAvailable, readySince } from './pod-state.js';
import { observed } from './replica-sets.js';
import { forgetRevisions, hashOf, historyOf, REVISION_HASH } from './revisions.js';
import type { Histories } from './stateful-sets.js';

const NODE_NAME = 'metadata.name';

/** What a daemon puts up with on its node, whatever its template says. */
const TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];

export interface Daemons extends Histories {
  readonly nodes: readonly Node[];
  /** Whether a pod's `namespace/name` is taken. */
  isTaken(key: string): boolean;
}

export function reconcileDaemonSets(sets: readonly DaemonSet[], daemons: Daemons, agenda: Agenda): void {
  for (const set of sets) if (set.metadata.uid !== undefined) reconcileDaemonSet(set, daemons, agenda);
}

function reconcileDaemonSet(set: DaemonSet, daemons: Daemons, agenda: Agenda): void {
  const pods = daemons.pods.claim(set, set.spec.selector, agenda, isActive);
  const history = historyOf(set, daemons.revisions, daemons.isRevision, agenda);
  const hash = hashOf(history.update);
  const wanted = new Set(
    daemons.nodes.filter((node) => takes(node, set)).map(({ metadata }) => metadata.name),
  );
  const byNode = groupBy(pods, (pod) => nodeOf(pod) ?? '');
  const places = [...wanted].map((node) => new Place(node, byNode.get(node) ?? [], set, hash, agenda.now));
  if (agenda.isStaying(set)) {
    for (const [node, list] of byNode)
      if (!wanted.has(node)) for (const pod of list) if (isActive(pod)) remove(set, pod, agenda);
    let made = 0;
    const make = (node: string): void => createPod(set, node, hash, made++, daemons, agenda);
    for (const place of places) tend(place, set, make, agenda);
    update(places, set, make, agenda);
  }
  for (const pod of pods) {
    const from = availableFrom(pod, set.spec.minReadySeconds ?? 0);
    if (from !== undefined && from > agenda.now) agenda.lookAgain(from);
  }
  const missing = [...byNode.keys()].filter((node) => node !== '' && !wanted.has(node)).length;
  const status = statusOf(set, places, missing);
  if (!equal(status, set.status)) agenda.update({ ...set, status });
  const used = new Set(pods.map((pod) => pod.metadata.labels?.[REVISION_HASH]));
  forgetRevisions(set, history, (revision) => used.has(hashOf(revision)), agenda);
}

/** A node that should have a pod of the set, and those it has. */
class Place {
  readonly node: string;
  /** Also those that are on their way out. */
  readonly pods: readonly Pod[];
  /** The oldest pod of the current template, and of another one, that count. */
  readonly fresh: Pod | undefined;
  readonly old: Pod | undefined;
  readonly isFreshAvailable: boolean;
  readonly isOldAvailable: boolean;

  constructor(node: string, pods: readonly Pod[], set: DaemonSet, hash: string, now: number) {
    const { minReadySeconds = 0 } = set.spec;
    const active = pods.filter(isActive).sort(compareCreation);
    const serves = (pod: Pod | undefined): boolean =>
      pod !== undefined && isAvailable(pod, minReadySeconds, now);
    this.node = node;
    this.pods = pods;
    this.fresh = active.find((pod) => pod.metadata.labels?.[REVISION_HASH] === hash);
    this.old = active.find((pod) => pod.metadata.labels?.[REVISION_HASH] !== hash);
    this.isFreshAvailable = serves(this.fresh);
    this.isOldAvailable = serves(this.old);
  }

  get isAvailable(): boolean {
    return this.isFreshAvailable || this.isOldAvailable;
  }
}

/** Whether a node should have a pod of the set. */
function takes(node: Node, { spec }: DaemonSet): boolean {
  if (isExternalNode(node) || node.metadata.deletionTimestamp !== undefined) return false;
  const { spec: pod } = spec.template;
  if (pod.nodeName !== undefined && pod.nodeName !== '' && pod.nodeName !== node.metadata.name) return false;
  const tolerations = [...(pod.tolerations ?? []), ...TOLERATIONS];
  return (
    fitsLabels(pod, node) &&
    taintsOf(node).every((taint) => taint.effect === 'PreferNoSchedule' || isTolerated(taint, tolerations))
  );
}

/** The node a pod is on, or bound for. */
function nodeOf({ spec }: Pod): string | undefined {
  if (spec.nodeName) return spec.nodeName;
  const terms =
    spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return terms[0]?.matchFields?.find(({ key }) => key === NODE_NAME)?.values?.[0];
}

/** One pod, no more, and none that has ended. */
function tend(place: Place, set: DaemonSet, make: (node: string) => void, agenda: Agenda): void {
  const { pods, fresh, old, node } = place;
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp !== undefined) continue;
    if (isTerminal(pod) || (pod !== fresh && pod !== old)) remove(set, pod, agenda);
  }
  // One that is on its way out still has the host's ports.
  if (pods.length === 0) make(node);
  else if (fresh && old && surgeOf(set, Infinity) === 0) remove(set, old, agenda);
}

/** A limit of the rolling update, of so many nodes. */
function limitOf(set: DaemonSet, field: 'maxSurge' | 'maxUnavailable', nodes: number): number {
  const value = set.spec.updateStrategy?.rollingUpdate?.[field] ?? (field === 'maxSurge' ? 0 : 1);
  return nodes === Infinity ? Number.parseInt(String(value), 10) : scaledValue(value, nodes, 'up');
}
const surgeOf = (set: DaemonSet, nodes: number): number => limitOf(set, 'maxSurge', nodes);

function update(
  places: readonly Place[],
  set: DaemonSet,
  make: (node: string) => void,
  agenda: Agenda,
): void {
  if (set.spec.updateStrategy?.type === 'OnDelete') return;
  const surge = surgeOf(set, places.length);
  const unavailable = surge > 0 ? 0 : Math.max(1, limitOf(set, 'maxUnavailable', places.length));
  let spare =
    surge > 0
      ? surge - places.filter(({ fresh, old }) => fresh && old).length
      : unavailable - places.filter((place) => !place.isAvailable).length;
  for (const { node, old, fresh, isOldAvailable, isFreshAvailable, pods } of places) {
    if (!old) continue;
    if (surge > 0) {
      if (fresh ? isFreshAvailable : false) remove(set, old, agenda);
      else if (!fresh && spare > 0 && pods.every(isActive)) {
        make(node);
        spare--;
      }
    } else if (!isOldAvailable) remove(set, old, agenda);
    else if (spare > 0) {
      remove(set, old, agenda);
      spare--;
    }
  }
}

function createPod(
  set: DaemonSet,
  node: string,
  hash: string,
  index: number,
  { isTaken }: Daemons,
  agenda: Agenda,
): void {
  const { name: base, namespace, uid } = set.metadata;
  const { name, generateName } = freeName(base, `${uid} ${node} ${agenda.seed} ${index}`, (other) =>
    isTaken(`${namespace}/${other}`),
  );
  const pod = podFromTemplate(set, boundTo(set.spec.template, node), name);
  pod.metadata.generateName = generateName;
  pod.metadata.labels = { ...pod.metadata.labels, [REVISION_HASH]: hash };
  agenda.create(pod, note(set, 'SuccessfulCreate', `Created pod: ${name}`));
}

/** A template whose pods go to one node, and stay there. */
function boundTo(template: PodTemplate, node: string): PodTemplate {
  const { spec } = template;
  const term = { matchFields: [{ key: NODE_NAME, operator: 'In', values: [node] }] };
  const own = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const required = {
    nodeSelectorTerms: own && own.length > 0 ? own.map((other) => ({ ...other, ...term })) : [term],
  };
  const bound: PodSpec = {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: required,
      },
    },
    tolerations: [...(spec.tolerations ?? []), ...TOLERATIONS],
  };
  return { ...template, spec: bound };
}

const remove = (set: DaemonSet, pod: Pod, agenda: Agenda): void =>
  agenda.delete(pod, note(set, 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`));

function statusOf(set: DaemonSet, places: readonly Place[], misscheduled: number): DaemonSet['status'] {
  const count = (test: (place: Place) => boolean): number => places.filter(test).length;
  const isReady = ({ fresh, old }: Place): boolean =>
    [fresh, old].some((pod) => pod !== undefined && readySince(pod) !== undefined);
  const available = count((place) => place.isAvailable);
  return {
    ...set.status,
    observedGeneration: observed(set),
    desiredNumberScheduled: places.length,
    currentNumberScheduled: count(({ fresh, old }) => (fresh ?? old) !== undefined),
    numberMisscheduled: misscheduled,
    numberReady: count(isReady),
    updatedNumberScheduled: count(({ fresh }) => fresh !== undefined),
    numberAvailable: available,
    numberUnavailable: places.length - available,
  };
}

const note = (set: DaemonSet, reason: string, message: string): Note => ({
  about: set,
  type: 'Normal',
  reason,
  message,
  component: 'daemonset-controller',
});
