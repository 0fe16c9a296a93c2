/**
 * What a Deployment's status says: its numbers, and the conditions Available and Progressing.
 *
 * Source: k8s.io/kubernetes, pkg/controller/deployment/sync.go, calculateStatus; progress.go, syncRolloutStatus.
 */
import { timestamp } from '../api/age.js';
import { equal } from '../api/json.js';
import type { Condition, Deployment } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { limits, replicasOf, total, type Member } from './deployment-sizes.js';
import { observed } from './replica-sets.js';

type Status = NonNullable<Deployment['status']>;

/** What a run did to the rollout, beside sizes. */
export interface Progress {
  readonly members: readonly Member[];
  readonly fresh: Member | undefined;
  /** The name of a ReplicaSet that this run makes. */
  readonly created: string | undefined;
  readonly collisions: number;
}

/** Why a Deployment's Progressing is True for good. */
const DONE = 'NewReplicaSetAvailable';
const TIMED_OUT = 'ProgressDeadlineExceeded';

export function deploymentStatus(deployment: Deployment, progress: Progress, agenda: Agenda): Status {
  const old = deployment.status ?? {};
  const { members, fresh, collisions } = progress;
  const available = total(members, (member) => member.available);
  const counts: Status = {
    observedGeneration: observed(deployment),
    replicas: total(members, ({ pods }) => pods),
    updatedReplicas: fresh?.pods ?? 0,
    readyReplicas: total(members, ({ ready }) => ready),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total(members, ({ size }) => size) - available),
    ...(collisions > 0 && { collisionCount: collisions }),
  };
  let conditions = old.conditions ?? [];
  const say = (condition: Condition): void => {
    conditions = withDeploymentCondition(conditions, condition, agenda.now);
  };
  say(availability(deployment, available));
  const progressing = progressOf(deployment, progress, counts, agenda);
  if (progressing) say(progressing);
  const status = { ...counts, conditions };
  return equal(status, old) ? old : status;
}

function availability(deployment: Deployment, available: number): Condition {
  const isEnough = available >= replicasOf(deployment) - limits(deployment).unavailable;
  return {
    type: 'Available',
    status: isEnough ? 'True' : 'False',
    reason: isEnough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: `Deployment ${isEnough ? 'has' : 'does not have'} minimum availability.`,
  };
}

/** Whether all pods are of the newest template, and serve. */
export const isComplete = (deployment: Deployment, status: Status): boolean =>
  status.updatedReplicas === replicasOf(deployment) &&
  status.replicas === replicasOf(deployment) &&
  status.availableReplicas === replicasOf(deployment) &&
  (status.observedGeneration ?? 0) >= observed(deployment);

function progressOf(
  deployment: Deployment,
  { fresh, created }: Progress,
  next: Status,
  agenda: Agenda,
): Condition | undefined {
  const old = deployment.status ?? {};
  const now = old.conditions?.find(({ type }) => type === 'Progressing');
  const say = (status: Condition['status'], reason: string, message: string): Condition => ({
    type: 'Progressing',
    status,
    reason,
    message,
  });
  if (deployment.spec.paused) return say('Unknown', 'DeploymentPaused', 'Deployment is paused');
  if (created !== undefined)
    return say('True', 'NewReplicaSetCreated', `Created new replica set "${created}"`);
  const name = fresh ? `ReplicaSet "${fresh.set.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  if (now?.reason === 'DeploymentPaused') return say('Unknown', 'DeploymentResumed', 'Deployment is resumed');
  if (next.replicas === next.updatedReplicas && now?.reason === DONE) return undefined;
  if (isComplete(deployment, next)) return say('True', DONE, `${name} has successfully progressed.`);
  const got = (field: 'updatedReplicas' | 'readyReplicas' | 'availableReplicas'): boolean =>
    (next[field] ?? 0) > (old[field] ?? 0);
  const rest = (status: Status): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  if (got('updatedReplicas') || got('readyReplicas') || got('availableReplicas') || rest(next) < rest(old))
    return say('True', 'ReplicaSetUpdated', `${name} is progressing.`);
  // A rollout begins anew also when its ReplicaSet is one of old.
  if (!now || (now.reason === DONE && rest(next) > 0))
    return say('True', 'FoundNewReplicaSet', `Found new replica set "${fresh?.set.metadata.name ?? ''}"`);
  if (now.reason === DONE || now.reason === TIMED_OUT) return undefined;
  const { progressDeadlineSeconds } = deployment.spec;
  if (progressDeadlineSeconds === undefined || now.lastUpdateTime === undefined) return undefined;
  const deadline = Date.parse(now.lastUpdateTime) + progressDeadlineSeconds * 1000;
  if (deadline <= agenda.now) return say('False', TIMED_OUT, `${name} has timed out progressing.`);
  agenda.lookAgain(deadline);
  return undefined;
}

/** Conditions of a Deployment know, beside when they changed, when they were last said anew. */
function withDeploymentCondition(conditions: Condition[], said: Condition, now: number): Condition[] {
  const old = conditions.find(({ type }) => type === said.type);
  const isProgress = said.reason === 'ReplicaSetUpdated';
  if (old && old.status === said.status && old.reason === said.reason && !isProgress) return conditions;
  const next = {
    ...said,
    lastUpdateTime: timestamp(now),
    lastTransitionTime: old?.status === said.status ? old.lastTransitionTime : timestamp(now),
  };
  return old ? conditions.map((other) => (other === old ? next : other)) : [...conditions, next];
}
