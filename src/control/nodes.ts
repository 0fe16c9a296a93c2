/**
 * Nodes: the prefix of their pods' addresses, and what stands in for the agent that an external host does not have.
 */
import { isExternalNode } from '../api/node.js';
import type { Node } from '../api/types.js';
import { formatCidr, type Cidr } from '../wire/address.js';
import { withCondition } from './conditions.js';

/** A node as it should be; the very same object when it is so. @param cidr  the prefix it has or gets */
export function wantedNode(node: Node, cidr: Cidr | undefined, now: number): Node {
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
