/**
 * ClusterRoles that are made of others get the rules of those.
 */
import type { ClusterRole } from '../api/types.js';
import { aggregate } from '../authorization/aggregate.js';
import type { Change } from './change.js';
import type { ControlView } from './view.js';

/** Lists in which all is right: a list that has not changed is not looked at again. */
const settled = new WeakSet<readonly ClusterRole[]>();

/** Make the aggregates right that are not; what is an aggregate of aggregates takes a turn more. */
export function reconcileAggregates({ clusterRoles = [] }: ControlView): Change[] {
  if (settled.has(clusterRoles)) return [];
  const changed = aggregate(clusterRoles);
  if (changed.length === 0) settled.add(clusterRoles);
  return changed.map((object) => ({ type: 'update', object }));
}
