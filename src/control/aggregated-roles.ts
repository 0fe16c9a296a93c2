/**
 * ClusterRoles that are made of others get the rules of those.
 */
import { aggregate } from '../authorization/aggregate.js';
import type { Change } from './change.js';
import type { ControlView } from './view.js';

/** Make the aggregates right that are not; what is an aggregate of aggregates takes a turn more. */
export const reconcileAggregates = ({ clusterRoles = [] }: ControlView): Change[] =>
  aggregate(clusterRoles).map((object) => ({ type: 'update', object }));
