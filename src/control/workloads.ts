/**
 * All that makes pods: Deployments first, whose decisions ReplicaSets then carry out in the same run.
 */
import { keyOf, type ApiObject } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { reconcileDaemonSets } from './daemon-sets.js';
import { reconcileDeployments } from './deployments.js';
import { Owned } from './owners.js';
import { reconcileReplicaSets } from './replica-sets.js';
import { reconcileStatefulSets } from './stateful-sets.js';
import type { ControlView } from './view.js';

/** @param ending  namespaces in which nothing may be made any more */
export function reconcileWorkloads(view: ControlView, ending: ReadonlySet<string>, agenda: Agenda): void {
  const { deployments = [], replicaSets = [], statefulSets = [], daemonSets = [] } = view;
  if (deployments.length + replicaSets.length + statefulSets.length + daemonSets.length === 0) return;
  const living = <T extends ApiObject>(objects: readonly T[]): T[] =>
    objects.filter(({ metadata }) => !ending.has(metadata.namespace ?? ''));
  const pods = new Owned(view.pods);
  const podKeys = new Set(view.pods.map(keyOf));
  const revisionKeys = new Set(view.controllerRevisions?.map(keyOf));
  const byKey = new Map(replicaSets.map((set) => [keyOf(set), set]));
  const isTaken = (key: string): boolean => podKeys.has(key);
  const isRevision = (key: string): boolean => revisionKeys.has(key);
  reconcileDeployments(living(deployments), { sets: new Owned(replicaSets), pods, byKey }, agenda);
  reconcileReplicaSets(living(replicaSets), { pods, isTaken }, agenda);
  const revisions = new Owned(view.controllerRevisions ?? []);
  reconcileStatefulSets(living(statefulSets), { pods, revisions, isRevision }, agenda);
  reconcileDaemonSets(
    living(daemonSets),
    { pods, revisions, isRevision, nodes: view.nodes, isTaken },
    agenda,
  );
}
