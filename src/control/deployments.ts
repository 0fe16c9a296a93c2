/**
 * Deployments: a ReplicaSet for each template they have had, and rollouts from one to the next.
 *
 * Theory of operation. The ReplicaSet whose template equals the Deployment's is the new one, all others are old. A run
 * makes the new one when it is missing, and takes one step: by RollingUpdate it grows as far as maxSurge lets it, and
 * when it may not grow the old ones shrink as far as maxUnavailable lets them; by Recreate the old ones go to nothing
 * first. Each step is decided from the pods as they are now, never from a status that may be late, so that neither
 * limit is ever broken. A changed number of replicas is spread in proportion before anything else. A Deployment that is
 * paused is scaled and nothing more. Undo is no business of ours: the client writes an old template, whose ReplicaSet is
 * then the new one again and gets the next revision.
 *
 * Source: k8s.io/kubernetes, pkg/controller/deployment.
 */
import { equal } from '../api/json.js';
import { isTerminal } from '../api/pod.js';
import type { Deployment, Pod, PodTemplate, ReplicaSet } from '../api/types.js';
import type { Agenda } from './agenda.js';
import type { Note } from './change.js';
import {
  desiredOf,
  DESIRED_REPLICAS,
  isRolling,
  limits,
  MAX_REPLICAS,
  replicasOf,
  rescale,
  REVISION,
  roll,
  sizeOfNew,
  total,
  type Member,
} from './deployment-sizes.js';
import { deploymentStatus, isComplete } from './deployment-status.js';
import { ownedBy, type Owned } from './owners.js';
import { templateHash, templateText } from './pod-from-template.js';
import { availableFrom, isActive, readySince } from './pod-state.js';

export const HASH_LABEL = 'pod-template-hash';
const HISTORY = 'deployment.kubernetes.io/revision-history';
/** Annotations of a Deployment that are not its ReplicaSets'. */
const OWN_ANNOTATIONS = [
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
];

export interface Rollouts {
  readonly sets: Owned<ReplicaSet>;
  readonly pods: Owned<Pod>;
  /** All ReplicaSets by `namespace/name`. */
  readonly byKey: ReadonlyMap<string, ReplicaSet>;
}

export function reconcileDeployments(
  deployments: readonly Deployment[],
  rollouts: Rollouts,
  agenda: Agenda,
): void {
  for (const deployment of deployments)
    if (deployment.metadata.uid !== undefined) reconcileDeployment(deployment, rollouts, agenda);
}

function reconcileDeployment(deployment: Deployment, rollouts: Rollouts, agenda: Agenda): void {
  const { selector, template, minReadySeconds = 0 } = deployment.spec;
  const sets = rollouts.sets
    .claim(deployment, selector, agenda, () => true)
    .filter((set) => agenda.isStaying(set));
  const members = sets.map((set) => memberOf(set, rollouts.pods.of(set), minReadySeconds, agenda));
  const wanted = templateText(template);
  const fresh = members.find(({ set }) => templateText(withoutHash(set.spec.template!)) === wanted);
  const old = members.filter((member) => member !== fresh);
  let created: ReplicaSet | undefined;
  let collisions = deployment.status?.collisionCount ?? 0;
  const revision = String(Math.max(0, ...old.map(({ set }) => revisionOf(set))) + 1);

  if (agenda.isStaying(deployment)) {
    const isResized = members.some(
      (member) => member.size > 0 && (desiredOf(member) ?? replicasOf(deployment)) !== replicasOf(deployment),
    );
    if (deployment.spec.paused || isResized) rescale(deployment, fresh, old);
    else if (!isRolling(deployment) && !hasEnded(old, rollouts)) for (const member of old) member.size = 0;
    else if (!fresh) {
      while (rollouts.byKey.has(keyOfSet(deployment, wanted, collisions))) collisions++;
      created = newSet(
        deployment,
        wanted,
        collisions,
        total(old, ({ size }) => size),
        revision,
      );
      const { name } = created.metadata;
      const size = created.spec.replicas!;
      agenda.create(created, ...(size > 0 ? [scaled(deployment, name, 0, size)] : []));
    } else if (isRolling(deployment)) roll(deployment, fresh, old);
    else fresh.size = replicasOf(deployment);
  }

  const before = new Map(members.map((member) => [member, member.set.spec.replicas ?? 1]));
  for (const member of members) {
    const next = sized(member, deployment, member === fresh ? revision : undefined);
    if (next === member.set) continue;
    const from = before.get(member)!;
    const { name } = member.set.metadata;
    agenda.update(next, ...(from === member.size ? [] : [scaled(deployment, name, from, member.size)]));
  }
  const status = deploymentStatus(
    deployment,
    { members, fresh, created: created?.metadata.name, collisions },
    agenda,
  );
  const annotations = {
    ...deployment.metadata.annotations,
    ...((fresh ?? created) && !deployment.spec.paused
      ? { [REVISION]: fresh ? newRevision(fresh.set, revision) : revision }
      : {}),
  };
  if (agenda.isStaying(deployment) && isComplete(deployment, status)) forgetOld(deployment, old, agenda);
  const next = {
    ...deployment,
    metadata: { ...deployment.metadata, ...(Object.keys(annotations).length > 0 && { annotations }) },
    status,
  };
  if (!equal(next, deployment)) agenda.update(next);
}

function memberOf(set: ReplicaSet, owned: readonly Pod[], minReadySeconds: number, agenda: Agenda): Member {
  let [pods, ready, available] = [0, 0, 0];
  for (const pod of owned) {
    if (!isActive(pod)) continue;
    pods++;
    if (readySince(pod) === undefined) continue;
    ready++;
    const from = availableFrom(pod, minReadySeconds)!;
    if (from <= agenda.now) available++;
    else agenda.lookAgain(from);
  }
  return { set: agenda.latest(set), pods, ready, available, size: set.spec.replicas ?? 1 };
}

/** Whether no pod of an old template runs any more, nor is about to. */
const hasEnded = (old: readonly Member[], { pods }: Rollouts): boolean =>
  old.every(({ set, size }) => size === 0 && pods.of(set).every(isTerminal));

const cache = new WeakMap<PodTemplate, PodTemplate>();

/** A ReplicaSet's template as its Deployment has it. */
function withoutHash(template: PodTemplate): PodTemplate {
  let bare = cache.get(template);
  if (!bare) {
    const { [HASH_LABEL]: _, ...labels } = template.metadata?.labels ?? {};
    bare = { ...template, metadata: { ...template.metadata, labels } };
    cache.set(template, bare);
  }
  return bare;
}

const keyOfSet = ({ metadata }: Deployment, text: string, collisions: number): string =>
  `${metadata.namespace}/${metadata.name}-${templateHash(text, collisions)}`;

function newSet(
  deployment: Deployment,
  text: string,
  collisions: number,
  others: number,
  revision: string,
): ReplicaSet {
  const { selector, template, minReadySeconds } = deployment.spec;
  const hash = templateHash(text, collisions);
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace,
      labels,
      annotations: { ...inherited(deployment), ...sizeMarks(deployment), [REVISION]: revision },
      ownerReferences: [ownedBy(deployment)],
    },
    spec: {
      replicas: sizeOfNew(deployment, 0, others),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
      ...(minReadySeconds !== undefined && { minReadySeconds }),
    },
  };
}

function inherited({ metadata }: Deployment): Record<string, string> {
  const annotations = { ...metadata.annotations };
  for (const key of OWN_ANNOTATIONS) delete annotations[key];
  return annotations;
}

const sizeMarks = (deployment: Deployment): Record<string, string> => ({
  [DESIRED_REPLICAS]: String(replicasOf(deployment)),
  [MAX_REPLICAS]: String(replicasOf(deployment) + limits(deployment).surge),
});

export const revisionOf = ({ metadata }: ReplicaSet): number =>
  Number(metadata.annotations?.[REVISION] ?? 0) || 0;

/** A revision only ever grows. */
const newRevision = (set: ReplicaSet, revision: string): string =>
  revisionOf(set) < Number(revision) ? revision : String(revisionOf(set));

/** A ReplicaSet with its size; the new one also with what its Deployment hands down. The same one when all is well. */
function sized({ set, size }: Member, deployment: Deployment, revision: string | undefined): ReplicaSet {
  const annotations: Record<string, string> = { ...set.metadata.annotations };
  const isMarked = size > 0 || size !== (set.spec.replicas ?? 1);
  if (isMarked) Object.assign(annotations, sizeMarks(deployment));
  const { minReadySeconds } = deployment.spec;
  const spec = { ...set.spec, replicas: size };
  if (revision !== undefined && !deployment.spec.paused) {
    Object.assign(annotations, inherited(deployment));
    const was = revisionOf(set);
    annotations[REVISION] = newRevision(set, revision);
    if (was > 0 && String(was) !== annotations[REVISION])
      annotations[HISTORY] = [annotations[HISTORY], was].filter((part) => part !== undefined).join(',');
    if (minReadySeconds === undefined) delete spec.minReadySeconds;
    else spec.minReadySeconds = minReadySeconds;
  }
  const next = { ...set, metadata: { ...set.metadata, annotations }, spec };
  return equal(next, set) ? set : next;
}

/** Old templates that nobody can undo to any more. */
function forgetOld({ spec }: Deployment, old: readonly Member[], agenda: Agenda): void {
  const limit = spec.revisionHistoryLimit ?? 10;
  const idle = old
    .filter(({ set, size, pods }) => size === 0 && pods === 0 && (set.status?.replicas ?? 0) === 0)
    .sort((a, b) => revisionOf(a.set) - revisionOf(b.set));
  for (const { set } of idle.slice(0, Math.max(0, old.length - limit))) agenda.delete(set);
}

const scaled = (deployment: Deployment, set: string, from: number, to: number): Note => ({
  about: deployment,
  type: 'Normal',
  reason: 'ScalingReplicaSet',
  message: `Scaled ${to > from ? 'up' : 'down'} replica set ${set} from ${from} to ${to}`,
  component: 'deployment-controller',
});
