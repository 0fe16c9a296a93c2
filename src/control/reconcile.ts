/**
 * The control side, pure: from all objects as they are to the changes that bring them closer to what they should be.
 * The server runs it on every change; an agent that has only files runs it by itself ({@link settle}).
 *
 * Level-triggered: the same view gives the same changes, and no changes when all is well. Everything is decided in the
 * order of creation, see `order.ts`. Not here yet: node health, owners.
 */
import { withDefaults } from '../api/defaults.js';
import { equal } from '../api/json.js';
import { isExternalNode, nodeAddress } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import { isExternalName } from '../api/service-type.js';
import { keyOf, SERVICE_NAME } from '../api/types.js';
import type { ApiObject, ClusterView, Node, Pod } from '../api/types.js';
import { formatCidr, formatIpv4, parseIpv4, type Cidr } from '../wire/address.js';
import type { Change } from './change.js';
import { withCondition } from './conditions.js';
import { packSlices } from './endpoint-slices.js';
import { mirrorGroups, mirrorTemplate } from './endpoints.js';
import { inCreationOrder } from './order.js';
import { assignPodCidrs } from './pod-cidrs.js';
import { AddressPool } from './pod-addresses.js';
import { emptySeat, schedule, sit, type Seat } from './schedule.js';
import { reconcileServices, type ServiceOptions } from './services.js';
import { objectsOf, type ControlView } from './view.js';

export type { Change } from './change.js';

const FROM_REPORTS: ServiceOptions = { assumesReady: false, keeps: new Set() };

/**
 * Compare what is with what should be.
 *
 * @param view   all objects, with their defaults
 * @param now    milliseconds since 1970, for timestamps only
 * @param _seed  for names that shall look random; nothing draws from it yet
 * @param services  how to take what is not known of endpoints
 * @returns      the changes, each object at most once; the view is unchanged
 */
export function reconcile(
  view: ControlView,
  now: number,
  _seed: number,
  services: ServiceOptions = FROM_REPORTS,
): Change[] {
  const changes: Change[] = [];
  const cidrs = assignPodCidrs(view.lab, view.nodes);
  const nodes = view.nodes.map((node) => {
    const wanted = wantedNode(node, cidrs.get(node.metadata.name), now);
    if (wanted !== node) changes.push({ type: 'update', object: wanted });
    return wanted;
  });
  const ending = endNamespaces(view);
  const leaving = new Set(ending.map((change) => change.object));
  return changes.concat(
    ending,
    reconcilePods(nodes, cidrs, view.pods, leaving, now),
    reconcileServices(view, now, services).filter(({ object }) => !leaving.has(object)),
  );
}

function wantedNode(node: Node, cidr: Cidr | undefined, now: number): Node {
  let wanted = node;
  const text = cidr && formatCidr(cidr);
  if (text && node.spec?.podCIDR !== text) {
    const others = (node.spec?.podCIDRs ?? []).filter((other) => other.includes(':'));
    wanted = { ...wanted, spec: { ...wanted.spec, podCIDR: text, podCIDRs: [text, ...others] } };
  }
  if (!isExternalNode(node)) return wanted;
  if (!wanted.spec?.unschedulable) wanted = { ...wanted, spec: { ...wanted.spec, unschedulable: true } };
  return withCondition(
    wanted,
    {
      type: 'Ready',
      status: 'True',
      reason: 'ExternalHost',
      message: 'This host has no agent; it is reached over the overlay by its annotations',
    },
    now,
  );
}

/** A namespace that is being deleted takes along what is in it, and goes when that is gone. */
function endNamespaces(view: ControlView): Change[] {
  const ending = view.namespaces.filter((namespace) => namespace.metadata.deletionTimestamp);
  if (ending.length === 0) return [];
  const objects = objectsOf(view);
  return ending.flatMap((namespace): Change[] => {
    const inside = objects.filter((object) => object.metadata.namespace === namespace.metadata.name);
    if (inside.length === 0) return [{ type: 'remove', object: namespace }];
    return inside
      .filter((object) => !object.metadata.deletionTimestamp)
      .map((object) => ({ type: 'delete', object }));
  });
}

function reconcilePods(
  nodes: readonly Node[],
  cidrs: ReadonlyMap<string, Cidr>,
  pods: readonly Pod[],
  leaving: ReadonlySet<ApiObject>,
  now: number,
): Change[] {
  const changes: Change[] = [];
  const byName = new Map(nodes.map((node) => [node.metadata.name, node]));
  const pools = new Map([...cidrs].map(([name, cidr]) => [name, new AddressPool(cidr)]));
  const seats = new Map(
    nodes.map((node): [string, Seat] => {
      const pool = pools.get(node.metadata.name);
      return [node.metadata.name, emptySeat(node, () => pool !== undefined && !pool.isFull)];
    }),
  );

  const ordered = inCreationOrder(pods).filter((pod) => {
    // A pod that had an address outlived its node.
    if (!pod.spec.nodeName || byName.has(pod.spec.nodeName) || !pod.status?.podIP) return true;
    if (leaving.has(pod)) return false;
    changes.push({ type: 'remove', object: pod });
    return false;
  });
  // First what is set, in the order of age, so that a younger pod never takes an older one's address.
  const holders = new Set<Pod>();
  for (const pod of ordered) {
    const { nodeName } = pod.spec;
    if (!nodeName) continue;
    const seat = seats.get(nodeName);
    if (seat && !isTerminal(pod)) sit(seat, pod);
    const word = parseIpv4(pod.status?.podIP ?? '');
    if (!pod.spec.hostNetwork && word !== undefined && pools.get(nodeName)?.claim(word)) holders.add(pod);
  }
  const list = [...seats.values()];
  for (const pod of ordered) {
    if (isTerminal(pod) || leaving.has(pod)) continue;
    let wanted = pod;
    if (!pod.spec.nodeName) {
      if (pod.metadata.deletionTimestamp) continue;
      const placement = schedule(pod, list);
      if ('why' in placement) {
        wanted = withCondition(wanted, { ...UNSCHEDULABLE, message: placement.why }, now);
        if (wanted !== pod) changes.push({ type: 'update', object: wanted });
        continue;
      }
      sit(seats.get(placement.node)!, pod);
      wanted = { ...wanted, spec: { ...wanted.spec, nodeName: placement.node } };
    }
    const node = byName.get(wanted.spec.nodeName!);
    if (node && !isExternalNode(node)) {
      wanted = withCondition(wanted, SCHEDULED, now);
      wanted = withAddress(wanted, node, pools.get(node.metadata.name), holders.has(pod), now);
    }
    if (wanted !== pod) changes.push({ type: 'update', object: wanted });
  }
  return changes;
}

const SCHEDULED = { type: 'PodScheduled', status: 'True' } as const;
const UNSCHEDULABLE = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable' } as const;
const NO_ADDRESS = { type: 'PodReadyToStartContainers', status: 'False', reason: 'NoAddress' } as const;

function withAddress(
  pod: Pod,
  node: Node,
  pool: AddressPool | undefined,
  isHolder: boolean,
  now: number,
): Pod {
  const hostIP = pod.status?.hostIP ?? nodeAddress(node);
  let podIP = pod.status?.podIP;
  if (pod.spec.hostNetwork) podIP = nodeAddress(node);
  else if (!isHolder) {
    const word = pool?.allocate();
    podIP = word === undefined ? undefined : formatIpv4(word);
  }
  if (podIP === undefined) {
    const prefix = pool ? ` left in ${formatCidr(pool.cidr)}` : ': the node has no pod CIDR';
    const message = pod.spec.hostNetwork
      ? `Node "${node.metadata.name}" has no address yet`
      : `Node "${node.metadata.name}" has no address for a pod${prefix}`;
    const status = { ...pod.status };
    delete status.podIP;
    delete status.podIPs;
    const bare = pod.status?.podIP === undefined ? pod : { ...pod, status };
    return withCondition(bare, { ...NO_ADDRESS, message }, now);
  }
  const conditions = pod.status?.conditions?.filter((condition) => condition.reason !== NO_ADDRESS.reason);
  const status = { ...pod.status, conditions, podIP, podIPs: [{ ip: podIP }], hostIP };
  return equal(status, pod.status) ? pod : { ...pod, status };
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
