/**
 * Which node has which pod addresses. Every node of ours gets a /24 of the lab's podCIDR; what a node already has it
 * keeps, also when it lies elsewhere or has another size.
 */
import { labSpec } from '../api/defaults.js';
import { NODE_CIDR_BITS } from '../api/lab.js';
import { isExternalNode } from '../api/node.js';
import type { Lab, Node } from '../api/types.js';
import { cidrLast, cidrsOverlap, parseCidr, type Cidr } from '../wire/address.js';
import { inCreationOrder } from './order.js';

/**
 * Decide every node's pod prefix.
 *
 * Two nodes that claim the same addresses: an external host wins, for we cannot change it, then the older node; the
 * other one gets a free prefix. The n-th node of the lab's spec gets the n-th /24 when it is free; any other node the
 * lowest free one. The 0th /24 comes last, so that node1 has 10.244.1.0/24.
 *
 * @returns the prefix by the node's name; a node for which there is none left is missing
 */
export function assignPodCidrs(lab: Lab, nodes: readonly Node[]): Map<string, Cidr> {
  const spec = labSpec(lab);
  const range = parseCidr(spec.podCIDR);
  const slots = range && range.bits <= NODE_CIDR_BITS ? 2 ** (NODE_CIDR_BITS - range.bits) : 0;
  const result = new Map<string, Cidr>();
  const taken = new Set<number>();
  const outside: Cidr[] = [];

  const isFree = (cidr: Cidr): boolean =>
    !outside.some((other) => cidrsOverlap(other, cidr)) &&
    ![...slotsOf(range, cidr)].some((slot) => taken.has(slot));
  const take = (name: string, cidr: Cidr): void => {
    result.set(name, cidr);
    // Only what is no whole number of slots needs to be compared bit by bit.
    if (!range || cidr.bits > NODE_CIDR_BITS || !cidrsOverlap(range, cidr)) outside.push(cidr);
    if (cidr.bits <= NODE_CIDR_BITS) for (const slot of slotsOf(range, cidr)) taken.add(slot);
  };
  const slotCidr = (slot: number): Cidr => ({ base: (range!.base + slot * 256) | 0, bits: NODE_CIDR_BITS });

  const ordered = inCreationOrder(nodes);
  const keepers = [...ordered.filter(isExternalNode), ...ordered.filter((node) => !isExternalNode(node))];
  for (const node of keepers) {
    const cidr = parseCidr(node.spec?.podCIDR ?? '');
    if (cidr && (isFree(cidr) || isExternalNode(node))) take(node.metadata.name, cidr);
  }
  const wanting = new Map(
    ordered.filter((node) => !result.has(node.metadata.name)).map((node) => [node.metadata.name, node]),
  );
  spec.nodes.forEach(({ name }, i) => {
    const slot = i + 1;
    if (slot >= slots || !wanting.has(name) || !isFree(slotCidr(slot))) return;
    take(name, slotCidr(slot));
    wanting.delete(name);
  });
  let next = 1;
  for (const name of wanting.keys()) {
    while (next < slots && !isFree(slotCidr(next))) next++;
    if (next < slots) take(name, slotCidr(next));
    else if (slots > 0 && isFree(slotCidr(0))) take(name, slotCidr(0));
  }
  return result;
}

/** The numbers of the /24s of `range` that a prefix touches. */
function* slotsOf(range: Cidr | undefined, cidr: Cidr): Generator<number> {
  if (!range || !cidrsOverlap(range, cidr)) return;
  const first = Math.max(cidr.base >>> 0, range.base >>> 0);
  const last = Math.min(cidrLast(cidr) >>> 0, cidrLast(range) >>> 0);
  const start = range.base >>> 0;
  for (let slot = Math.floor((first - start) / 256); slot <= Math.floor((last - start) / 256); slot++)
    yield slot;
}
