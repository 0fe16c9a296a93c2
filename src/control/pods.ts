/**
 * Pods: a node for those that have none, an address for those that have a node.
 */
import { equal } from '../api/json.js';
import { isExternalNode, nodeAddress } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import type { Node, Pod } from '../api/types.js';
import { formatCidr, formatIpv4, parseIpv4, type Cidr } from '../wire/address.js';
import type { Change, Note } from './change.js';
import { withCondition } from './conditions.js';
import { inCreationOrder } from './order.js';
import { AddressPool } from './pod-addresses.js';
import type { NamespaceLabels } from './pod-affinity.js';
import { emptySeat, schedule, sit, type Seat } from './schedule.js';

/**
 * @param cidrs    the prefix of each node, by name
 * @param isLeaving  whether a pod is being deleted in this very run
 * @param labelsOf  the labels of a namespace
 */
export function reconcilePods(
  nodes: readonly Node[],
  cidrs: ReadonlyMap<string, Cidr>,
  pods: readonly Pod[],
  isLeaving: (pod: Pod) => boolean,
  labelsOf: NamespaceLabels,
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
    if (isLeaving(pod)) return false;
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
    const word = addressOf(pod);
    if (!pod.spec.hostNetwork && word !== undefined && pools.get(nodeName)?.claim(word)) holders.add(pod);
  }
  const list = [...seats.values()];
  for (const pod of ordered) {
    if (isTerminal(pod) || isLeaving(pod)) continue;
    let wanted = pod;
    let notes: Note[] = [];
    if (!pod.spec.nodeName) {
      if (pod.metadata.deletionTimestamp) continue;
      const placement = schedule(pod, list, labelsOf);
      if ('why' in placement) {
        wanted = withCondition(wanted, { ...UNSCHEDULABLE, message: placement.why }, now);
        const notes = [note(pod, 'Warning', 'FailedScheduling', placement.why)];
        if (wanted !== pod) changes.push({ type: 'update', object: wanted, notes });
        continue;
      }
      sit(seats.get(placement.node)!, pod);
      wanted = { ...wanted, spec: { ...wanted.spec, nodeName: placement.node } };
      const where = `${pod.metadata.namespace}/${pod.metadata.name} to ${placement.node}`;
      notes = [note(pod, 'Normal', 'Scheduled', `Successfully assigned ${where}`)];
    }
    const node = byName.get(wanted.spec.nodeName!);
    if (node && !isExternalNode(node)) {
      wanted = withCondition(wanted, SCHEDULED, now);
      wanted = withAddress(wanted, node, pools.get(node.metadata.name), holders.has(pod), now);
    }
    if (wanted !== pod) changes.push({ type: 'update', object: wanted, ...(notes.length > 0 && { notes }) });
  }
  return changes;
}

const note = (about: Pod, type: Note['type'], reason: string, message: string): Note => ({
  about,
  type,
  reason,
  message,
  component: 'default-scheduler',
});

const SCHEDULED = { type: 'PodScheduled', status: 'True' } as const;
const UNSCHEDULABLE = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable' } as const;
const NO_ADDRESS = { type: 'PodReadyToStartContainers', status: 'False', reason: 'NoAddress' } as const;

/** Whether all that follows from an address stands there: of thousands of pods, in most runs all. */
function hasAddress({ status }: Pod, podIP: string, hostIP: string | undefined): boolean {
  return (
    status?.podIP === podIP &&
    status.hostIP === hostIP &&
    status.podIPs?.length === 1 &&
    status.podIPs[0]!.ip === podIP &&
    status.conditions?.every(({ reason }) => reason !== NO_ADDRESS.reason) === true
  );
}

const words = new WeakMap<Pod, number>();

/** A pod's address as a number, or undefined. Remembered, for a pod that has one keeps it. */
function addressOf(pod: Pod): number | undefined {
  const known = words.get(pod);
  if (known !== undefined) return known;
  const word = parseIpv4(pod.status?.podIP ?? '');
  if (word !== undefined) words.set(pod, word);
  return word;
}

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
  if (hasAddress(pod, podIP, hostIP)) return pod;
  const conditions = pod.status?.conditions?.filter((condition) => condition.reason !== NO_ADDRESS.reason);
  const status = { ...pod.status, conditions, podIP, podIPs: [{ ip: podIP }], hostIP };
  return equal(status, pod.status) ? pod : { ...pod, status };
}
