/**
 * The control side, pure: from all objects as they are to the changes that bring them closer to what they should be.
 * The server runs it on every change; an agent that has only files runs it by itself ({@link settle}).
 *
 * Level-triggered: the same view gives the same changes, and no changes when all is well. Everything is decided in the
 * order of creation, see `order.ts`. Not here yet: node health, owners.
 */
import { timestamp } from '../api/age.js';
import { withDefaults } from '../api/defaults.js';
import { equal } from '../api/json.js';
import { isExternalNode, nodeAddress } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import type { ApiObject, ClusterView, Condition, Namespace, Node, Pod } from '../api/types.js';
import { formatCidr, formatIpv4, parseIpv4, type Cidr } from '../wire/address.js';
import { inCreationOrder } from './order.js';
import { assignPodCidrs } from './pod-cidrs.js';
import { AddressPool } from './pod-addresses.js';
import { schedule, type Seat } from './schedule.js';

/** What shall happen to one object. */
export interface Change {
  /** `update`: write it so. `delete`: as a user deletes it, with grace. `remove`: take it away at once. */
  readonly type: 'update' | 'delete' | 'remove';
  readonly object: ApiObject;
}

/**
 * Compare what is with what should be.
 *
 * @param view   all objects, with their defaults
 * @param now    milliseconds since 1970, for timestamps only
 * @param _seed  for names that shall look random; nothing draws from it yet
 * @returns      the changes, each object at most once; the view is unchanged
 */
export function reconcile(view: ClusterView, now: number, _seed: number): Change[] {
  const changes: Change[] = [];
  const cidrs = assignPodCidrs(view.lab, view.nodes);
  const nodes = view.nodes.map((node) => {
    const wanted = wantedNode(node, cidrs.get(node.metadata.name), now);
    if (wanted !== node) changes.push({ type: 'update', object: wanted });
    return wanted;
  });
  const ending = endNamespaces(view.namespaces, view.pods);
  const leaving = new Set(ending.map((change) => change.object));
  return changes.concat(ending, reconcilePods(nodes, cidrs, view.pods, leaving, now));
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

/** A namespace that is being deleted takes its pods along, and goes when they are gone. */
function endNamespaces(namespaces: readonly Namespace[], pods: readonly Pod[]): Change[] {
  return namespaces
    .filter((namespace) => namespace.metadata.deletionTimestamp)
    .flatMap((namespace): Change[] => {
      const inside = pods.filter((pod) => pod.metadata.namespace === namespace.metadata.name);
      if (inside.length === 0) return [{ type: 'remove', object: namespace }];
      return inside
        .filter((pod) => !pod.metadata.deletionTimestamp)
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
      return [node.metadata.name, { node, pods: 0, hasRoom: () => pool !== undefined && !pool.isFull }];
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
    if (seat && !isTerminal(pod)) seat.pods++;
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
      seats.get(placement.node)!.pods++;
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

/** An object with a condition; the very same object when it has it already. */
function withCondition<T extends Node | Pod>(object: T, condition: Condition, now: number): T {
  const conditions = object.status?.conditions ?? [];
  const old = conditions.find(({ type }) => type === condition.type);
  if (
    old &&
    old.status === condition.status &&
    old.reason === condition.reason &&
    old.message === condition.message
  ) {
    return object;
  }
  const lastTransitionTime =
    old?.status === condition.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(now);
  const entry = { ...condition, lastTransitionTime };
  const next = old ? conditions.map((other) => (other === old ? entry : other)) : [...conditions, entry];
  return { ...object, status: { ...object.status, conditions: next } };
}

/** Rounds after which a view must have come to rest; each kind of decision needs one. */
const MAX_ROUNDS = 8;

/**
 * Carry out all changes until none is left, for those who have no server. Defaults are filled in first. The same
 * objects give the same result, in whatever order they stand.
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
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const changes = reconcile(now, 0, 0);
    if (changes.length === 0) return now;
    now = applyChanges(now, changes);
  }
  throw new Error(`control did not come to rest in ${MAX_ROUNDS} rounds`);
}

/** The view after changes. */
export function applyChanges(view: ClusterView, changes: readonly Change[]): ClusterView {
  const id = (object: ApiObject): string =>
    `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
  const byId = new Map(changes.map((change) => [id(change.object), change]));
  const apply = <T extends ApiObject>(objects: readonly T[]): T[] =>
    objects.flatMap((object) => {
      const change = byId.get(id(object));
      if (!change) return [object];
      return change.type === 'update' ? [change.object as T] : [];
    });
  return {
    lab: view.lab,
    namespaces: apply(view.namespaces),
    nodes: apply(view.nodes),
    pods: apply(view.pods),
    services: apply(view.services),
    endpointSlices: apply(view.endpointSlices),
    endpoints: apply(view.endpoints),
  };
}
