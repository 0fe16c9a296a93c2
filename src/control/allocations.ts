/**
 * What an object holds that no other object may hold. The store keeps each as a key of its own, created in the same
 * transaction as its object, so that two writers can never both get it.
 */
import { NODE_CIDR_BITS } from '../api/lab.js';
import type { ApiObject, Node, Pod } from '../api/types.js';
import { formatCidr, formatIpv4, netmask, parseCidr, parseIpv4, type Cidr } from '../wire/address.js';

export interface Allocation {
  /** Unique among all objects: `podcidr/10.244.1.0/24`, `podip/10.244.1.2`. */
  readonly key: string;
  /** The field that claims it, and what stands there. */
  readonly field: string;
  readonly value: string;
}

/** What an object claims, in a stable order. */
export function allocations(object: ApiObject): Allocation[] {
  if (object.kind === 'Node') return nodeAllocations(object as Node);
  if (object.kind === 'Pod') return podAllocations(object as Pod);
  return [];
}

/** A shorter prefix claims every /24 in it, a longer one the /24 around it: prefixes that overlap share a key. */
function nodeAllocations(node: Node): Allocation[] {
  const value = node.spec?.podCIDR;
  const cidr = parseCidr(value ?? '');
  if (value === undefined || !cidr) return [];
  return [...blocksOf(cidr)].map((block) => ({
    key: `podcidr/${formatCidr(block)}`,
    field: 'spec.podCIDR',
    value,
  }));
}

function* blocksOf({ base, bits }: Cidr): Generator<Cidr> {
  const first = base & netmask(NODE_CIDR_BITS);
  const count = bits >= NODE_CIDR_BITS ? 1 : 2 ** (NODE_CIDR_BITS - bits);
  for (let i = 0; i < count; i++) yield { base: (first + i * 256) | 0, bits: NODE_CIDR_BITS };
}

function podAllocations(pod: Pod): Allocation[] {
  const value = pod.status?.podIP;
  const word = parseIpv4(value ?? '');
  // A pod on the host's own network has the host's address, as all of its kind on that host do.
  if (value === undefined || word === undefined || pod.spec.hostNetwork) return [];
  return [{ key: `podip/${formatIpv4(word)}`, field: 'status.podIP', value }];
}
