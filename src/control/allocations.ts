/**
 * What an object holds that no other object may hold. The store keeps each as a key of its own, created in the same
 * transaction as its object, so that two writers can never both get it.
 */
import { NODE_CIDR_BITS } from '../api/lab.js';
import { at } from '../api/problem.js';
import { isExternalName, isHeadless } from '../api/service-type.js';
import type { ApiObject, Node, Pod, Service } from '../api/types.js';
import { formatCidr, formatIpv4, netmask, parseCidr, parseIpv4, type Cidr } from '../wire/address.js';

export interface Allocation {
  /** Unique among all objects: `podcidr/10.244.1.0/24`, `podip/10.244.1.2`. */
  readonly key: string;
  /** The field that claims it, and what stands there. */
  readonly field: string;
  readonly value: unknown;
  /** What is said to somebody who wants it too, when it is not that it is allocated to another object. */
  readonly refusal?: string;
}

export const clusterIpKey = (ip: string): string => `clusterip/${ip}`;
export const nodePortKey = (port: number): string => `nodeport/${port}`;
export const loadBalancerKey = (ip: string): string => `loadbalancer/${ip}`;

/** What an object claims, in a stable order. */
export function allocations(object: ApiObject): Allocation[] {
  if (object.kind === 'Node') return nodeAllocations(object as Node);
  if (object.kind === 'Pod') return podAllocations(object as Pod);
  if (object.kind === 'Service') return serviceAllocations(object as Service);
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

const PORT_REFUSAL = 'provided port is already allocated';

/** A node port is one for all protocols, so that a Service can have it on TCP and on UDP and no other Service can. */
function serviceAllocations({ spec, status }: Service): Allocation[] {
  const result = new Map<string, Allocation>();
  const claim = (allocation: Allocation): void => {
    if (!result.has(allocation.key)) result.set(allocation.key, allocation);
  };
  const clusterIPs = isExternalName(spec) || isHeadless(spec) ? [] : (spec.clusterIPs ?? []);
  for (const ip of clusterIPs) {
    claim({
      key: clusterIpKey(ip),
      field: 'spec.clusterIPs',
      value: clusterIPs,
      refusal: `failed to allocate IP ${ip}: provided IP is already allocated`,
    });
  }
  spec.ports?.forEach(({ nodePort }, i) => {
    if (!nodePort) return;
    const field = `${at('spec.ports', i)}.nodePort`;
    claim({ key: nodePortKey(nodePort), field, value: nodePort, refusal: PORT_REFUSAL });
  });
  const { healthCheckNodePort } = spec;
  if (healthCheckNodePort) {
    const field = 'spec.healthCheckNodePort';
    claim({
      key: nodePortKey(healthCheckNodePort),
      field,
      value: healthCheckNodePort,
      refusal: PORT_REFUSAL,
    });
  }
  status?.loadBalancer?.ingress?.forEach(({ ip }, i) => {
    if (!ip || spec.type !== 'LoadBalancer') return;
    const field = `${at('status.loadBalancer.ingress', i)}.ip`;
    claim({ key: loadBalancerKey(ip), field, value: ip });
  });
  return [...result.values()];
}
