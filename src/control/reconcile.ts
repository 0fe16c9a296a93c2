/**
 * The control side, pure: from all objects as they are to the changes that bring them closer to what they should be.
 * The server runs it on every change; an agent that has only files runs it by itself ({@link settle}).
 *
 * Level-triggered: the same view gives the same changes, and no changes when all is well. Everything is decided in the
 * order of creation, see `order.ts`.
 */
import { withDefaults } from '../api/defaults.js';
import { isExternalName } from '../api/service-type.js';
import { keyOf, SERVICE_NAME } from '../api/types.js';
import type { ApiObject, ClusterView, Pod } from '../api/types.js';
import { Agenda } from './agenda.js';
import { forgetTokens } from './bootstrap-tokens.js';
import type { Change } from './change.js';
import { forgetRequests } from './certificate-requests.js';
import { packSlices } from './endpoint-slices.js';
import { mirrorGroups, mirrorTemplate } from './endpoints.js';
import { forgetEvents } from './events.js';
import { collectGarbage } from './garbage.js';
import { nodeLeases, reconcileNodePods, withHealth } from './node-health.js';
import { wantedNode } from './nodes.js';
import { assignPodCidrs } from './pod-cidrs.js';
import { reconcilePods } from './pods.js';
import { ControlMemo } from './memo.js';
import { reconcileServices, type ServiceOptions } from './services.js';
import { listsOf, type ControlView } from './view.js';
import { reconcileWorkloads } from './workloads.js';

export type { Change } from './change.js';

const FROM_REPORTS: ServiceOptions = { assumesReady: false, keeps: new Set() };

/** What a run of control comes to. */
export interface Decision {
  /** Each object at most once. */
  readonly changes: Change[];
  /** When to look again though nothing has changed, in milliseconds since 1970. */
  readonly again: number | undefined;
}

/**
 * Compare what is with what should be.
 *
 * @param view  objects with their defaults; all there are, or, without `others`, those that a host needs
 * @param now   milliseconds since 1970
 * @param seed  for names that shall look random: another one for every state of the objects
 * @param services  how to take what is not known of endpoints
 * @param memo  for who runs again and again on objects that mostly stay the same
 * @returns     what to do; the view is unchanged
 */
export function decide(
  view: ControlView,
  now: number,
  seed: number,
  services: ServiceOptions = FROM_REPORTS,
  memo = new ControlMemo(),
): Decision {
  const agenda = new Agenda(now, seed);
  const cidrs = assignPodCidrs(view.lab, view.nodes);
  const leases = nodeLeases(view.leases ?? []);
  const nodes = view.nodes.map((node) => {
    const { name } = node.metadata;
    const wanted = withHealth(wantedNode(node, cidrs.get(name), now), leases.get(name), agenda);
    if (wanted !== node) agenda.update(wanted);
    return wanted;
  });
  agenda.add(endNamespaces(view));
  /** Pods as this run leaves them; the view's own list as long as it has decided nothing of any. */
  const podsBy = (see: (pod: Pod) => Pod): readonly Pod[] =>
    agenda.hasDecidedOn('Pod') ? view.pods.map(see) : view.pods;
  const { lab, namespaces, deployments, replicaSets, statefulSets, daemonSets, controllerRevisions } = view;
  const sets = [deployments, replicaSets, statefulSets, daemonSets, controllerRevisions];
  memo.unlessAtRest('workloads', [view.pods, namespaces, ...sets, ...nodes], agenda, () => {
    // First, for a rollout must not count on pods of a node that is lost.
    reconcileNodePods(nodes, view.pods, agenda);
    const survivors = podsBy((pod) => agenda.foreseen(pod));
    reconcileWorkloads({ ...view, pods: survivors }, endingNamespaces(view), agenda);
  });
  if (view.others) collectGarbage(listsOf(view), agenda, memo.garbage);
  forgetEvents(view.events ?? [], agenda, memo.events);
  memo.unlessAtRest('tokens', [view.secrets], agenda, () => forgetTokens(view.secrets ?? [], agenda));
  forgetRequests(view.certificateRequests ?? [], agenda);
  // With the pods of a node that is lost, endpoints leave together with who answers for their addresses.
  const served = { ...view, nodes, pods: podsBy((pod) => agenda.foreseen(pod)) };
  const pods = podsBy((pod) => agenda.latest(pod));
  memo.unlessAtRest('pods', [lab, pods, namespaces, ...nodes], agenda, () => {
    const labels = new Map(namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]));
    const labelsOf = (namespace: string): Record<string, string> => labels.get(namespace) ?? {};
    agenda.add(reconcilePods(nodes, cidrs, pods, (pod) => agenda.isLeaving(pod), labelsOf, now));
  });
  agenda.add(reconcileServices(served, now, services, memo.services));
  return { changes: agenda.changes, again: agenda.again };
}

/** The changes of {@link decide}. */
export const reconcile = (...parameters: Parameters<typeof decide>): Change[] =>
  decide(...parameters).changes;

const endingNamespaces = ({ namespaces }: ControlView): Set<string> =>
  new Set(
    namespaces.flatMap(({ metadata }) => (metadata.deletionTimestamp === undefined ? [] : metadata.name)),
  );

/** A namespace that is being deleted takes along what is in it, and goes when that is gone. */
function endNamespaces(view: ControlView): Change[] {
  const ending = view.namespaces.filter((namespace) => namespace.metadata.deletionTimestamp);
  if (ending.length === 0) return [];
  const objects = listsOf(view).flat();
  return ending.flatMap((namespace): Change[] => {
    const inside = objects.filter((object) => object.metadata.namespace === namespace.metadata.name);
    if (inside.length === 0) return [{ type: 'remove', object: namespace }];
    return inside
      .filter((object) => !object.metadata.deletionTimestamp)
      .map((object) => ({ type: 'delete', object }));
  });
}

/** Rounds after which a view must have come to rest; each kind of decision needs one. */
const MAX_ROUNDS = 8;

/**
 * Carry out all changes until none is left, for those who have no server. Defaults are filled in first. The same
 * objects give the same result, in whatever order they stand.
 *
 * What is written down of a Service's endpoints holds: slices, else Endpoints, else the pods, of which those that
 * nobody has reported on count as ready.
 */
export function settle(view: ClusterView): ClusterView {
  let now: ClusterView = {
    lab: withDefaults(view.lab),
    namespaces: view.namespaces.map(withDefaults),
    nodes: view.nodes.map(withDefaults),
    pods: view.pods.map(withDefaults),
    services: view.services.map(withDefaults),
    endpointSlices: view.endpointSlices.map(withDefaults),
    endpoints: view.endpoints.map(withDefaults),
  };
  const keeps = new Set(
    now.endpointSlices.map(
      ({ metadata }) => `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME] ?? ''}`,
    ),
  );
  now = withGivenEndpoints(now, keeps);
  const services: ServiceOptions = { assumesReady: true, keeps };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const changes = reconcile(now, 0, 0, services);
    if (changes.length === 0) return now;
    now = applyChanges(now, changes);
  }
  throw new Error(`control did not come to rest in ${MAX_ROUNDS} rounds`);
}

/** Slices from Endpoints that are given for a Service of which no slices are; adds the Service's key to `keeps`. */
function withGivenEndpoints(view: ClusterView, keeps: Set<string>): ClusterView {
  const services = new Map(view.services.map((service) => [keyOf(service), service]));
  const added = view.endpoints.flatMap((endpoints) => {
    const service = services.get(keyOf(endpoints));
    if (!service || keeps.has(keyOf(endpoints)) || isExternalName(service.spec)) return [];
    keeps.add(keyOf(endpoints));
    return packSlices({
      service,
      groups: mirrorGroups(endpoints),
      template: mirrorTemplate(endpoints),
      existing: [],
      hasPlaceholder: false,
      isNamed: () => false,
    }).slices;
  });
  return { ...view, endpointSlices: [...view.endpointSlices, ...added] };
}

/** The view after changes. */
export function applyChanges(view: ClusterView, changes: readonly Change[]): ClusterView {
  const id = (object: ApiObject): string =>
    `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
  const byId = new Map(changes.map((change) => [id(change.object), change]));
  const apply = <T extends ApiObject>(objects: readonly T[], kind?: string): T[] => {
    const result = objects.flatMap((object) => {
      const change = byId.get(id(object));
      if (!change || change.type === 'create') return [object];
      return change.type === 'update' ? [change.object as T] : [];
    });
    for (const { type, object } of changes)
      if (type === 'create' && object.kind === kind) result.push(object as T);
    return result;
  };
  return {
    lab: view.lab,
    namespaces: apply(view.namespaces),
    nodes: apply(view.nodes),
    pods: apply(view.pods),
    services: apply(view.services, 'Service'),
    endpointSlices: apply(view.endpointSlices, 'EndpointSlice'),
    endpoints: apply(view.endpoints, 'Endpoints'),
  };
}
