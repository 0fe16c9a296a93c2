/**
 * The arithmetic of a Deployment: how many pods its ReplicaSets may have at a moment of a rollout.
 *
 * Source: k8s.io/kubernetes, pkg/controller/deployment/util/deployment_util.go; rolling.go; sync.go, scale.
 */
import { scaledValue } from '../api/int-or-percent.js';
import type { Deployment, ReplicaSet } from '../api/types.js';
import { compareCreation } from './order.js';

export const REVISION = 'deployment.kubernetes.io/revision';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';

/** A ReplicaSet of a Deployment with what its pods do now, and the size it shall get. */
export interface Member {
  readonly set: ReplicaSet;
  /** Pods that have neither ended nor are about to. */
  readonly pods: number;
  readonly ready: number;
  readonly available: number;
  size: number;
}

export const replicasOf = ({ spec }: Deployment): number => spec.replicas ?? 1;
export const isRolling = ({ spec }: Deployment): boolean => spec.strategy?.type !== 'Recreate';
export const total = (members: readonly Member[], value: (member: Member) => number): number =>
  members.reduce((sum, member) => sum + value(member), 0);

/** How many pods above and below the number asked for there may be. */
export function limits(deployment: Deployment): { surge: number; unavailable: number } {
  const replicas = replicasOf(deployment);
  if (!isRolling(deployment) || replicas === 0) return { surge: 0, unavailable: 0 };
  const { maxSurge = '25%', maxUnavailable = '25%' } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, replicas, 'up');
  const unavailable = Math.min(scaledValue(maxUnavailable, replicas, 'down'), replicas);
  // Both may have been rounded to nothing; then nothing could move.
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

/** The size of the new ReplicaSet: as large as the others leave room for. */
export function sizeOfNew(deployment: Deployment, current: number, all: number): number {
  const replicas = replicasOf(deployment);
  if (!isRolling(deployment) || current >= replicas) return replicas;
  const room = replicas + limits(deployment).surge - all;
  return room <= 0 ? current : current + Math.min(room, replicas - current);
}

/** One step of a rollout: grow the new ReplicaSet, or when it may not, shrink the old ones. Changes sizes. */
export function roll(deployment: Deployment, fresh: Member, old: readonly Member[]): void {
  const all = [...old, fresh];
  const wanted = sizeOfNew(
    deployment,
    fresh.size,
    total(all, ({ size }) => size),
  );
  if (wanted !== fresh.size) {
    fresh.size = wanted;
    return;
  }
  const least = replicasOf(deployment) - limits(deployment).unavailable;
  const notYet = fresh.size - fresh.available;
  let spare = total(all, ({ size }) => size) - least - notYet;
  if (spare <= 0) return;
  const oldest = [...old].sort((a, b) => compareCreation(a.set, b.set));
  // Pods that serve nobody first.
  for (const member of oldest) {
    const broken = Math.min(spare, Math.max(0, member.size - member.available));
    member.size -= broken;
    spare -= broken;
  }
  let surplus = Math.min(spare, total(all, ({ available }) => available) - least);
  for (const member of oldest) {
    if (surplus <= 0) return;
    const cut = Math.min(surplus, member.size);
    member.size -= cut;
    surplus -= cut;
  }
}

/** Spread a new number of replicas over the ReplicaSets, outside of a rollout or in the middle of one. */
export function rescale(deployment: Deployment, fresh: Member | undefined, old: readonly Member[]): void {
  const replicas = replicasOf(deployment);
  const all = fresh ? [...old, fresh] : [...old];
  const active = all.filter(({ size }) => size > 0);
  if (active.length <= 1) {
    const newest = [...old].sort((a, b) => compareCreation(b.set, a.set))[0];
    const only = active[0] ?? fresh ?? newest;
    if (only) only.size = replicas;
    return;
  }
  if (fresh && fresh.size === replicas && fresh.available === replicas && desiredOf(fresh) === replicas) {
    for (const member of old) member.size = 0;
    return;
  }
  if (!isRolling(deployment)) return;
  const allowed = replicas > 0 ? replicas + limits(deployment).surge : 0;
  const change = allowed - total(active, ({ size }) => size);
  if (change === 0) return;
  active.sort(
    (a, b) => b.size - a.size || (change > 0 ? compareCreation(b.set, a.set) : compareCreation(a.set, b.set)),
  );
  let added = 0;
  const parts = active.map((member) => {
    const part = proportion(deployment, member, change - added);
    added += part;
    return part;
  });
  active.forEach((member, i) => {
    const leftover = i === 0 ? change - added : 0;
    member.size = Math.max(0, member.size + parts[i]! + leftover);
  });
}

function proportion(deployment: Deployment, { set, size }: Member, left: number): number {
  if (size === 0 || left === 0) return 0;
  const replicas = replicasOf(deployment);
  const before = Number(set.metadata.annotations?.[MAX_REPLICAS] ?? deployment.status?.replicas ?? 0);
  const max = replicas + limits(deployment).surge;
  const part = replicas === 0 ? -size : before > 0 ? Math.round((size * max) / before) - size : 0;
  return left > 0 ? Math.min(part, left) : Math.max(part, left);
}

/** The replicas for which a ReplicaSet was last sized. */
export const desiredOf = ({ set }: Member): number | undefined => {
  const text = set.metadata.annotations?.[DESIRED_REPLICAS];
  return text === undefined ? undefined : Number(text);
};
