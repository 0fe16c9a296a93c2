/**
 * Addresses of LoadBalancer Services, and which host answers for them.
 *
 * An address comes from the lab's pool: `spec.loadBalancers.cidr`, or .200 to .250 of the underlay. Older Services
 * choose first, the lowest free address wins, and what a Service has it keeps.
 *
 * One host at a time answers ARP for such an address, and for `externalIPs`. Every host works out the same one by
 * rendezvous hashing of the Service's uid (Thaler and Ravishankar, 1998): when a host comes or goes, only the Services
 * it has won or lost move.
 */
import { labSpec } from '../api/defaults.js';
import { equal } from '../api/json.js';
import { isExternalNode, isReady, nodeAddress } from '../api/node.js';
import { isExternallyAccessible, isLoadBalancer } from '../api/service-type.js';
import {
  keyOf,
  OWNER_ANNOTATION,
  type EndpointSlice,
  type Lab,
  type LoadBalancerIngress,
  type Node,
  type Service,
} from '../api/types.js';
import { cidrLast, formatIpv4, parseCidr, parseIpv4 } from '../wire/address.js';
import { loadBalancerKey } from './allocations.js';
import { withCondition } from './conditions.js';
import { hashText } from './hash.js';

/** Says of a Service which address it has and who answers for it, or why it has none. */
export const LOAD_BALANCER_CONDITION = 'podwire.dev/LoadBalancer';
const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';
/** The underlay's part that is a pool when the lab names none. */
const DEFAULT_POOL = { first: 200, last: 250 };

export interface Pool {
  /** In words, for people. */
  readonly name: string;
  has(word: number): boolean;
  words(): Iterable<number>;
}

/** Where LoadBalancer addresses come from, or undefined when nobody has said. */
export function poolOf(lab: Lab, nodes: readonly Node[]): Pool | undefined {
  const { loadBalancers, underlay } = labSpec(lab);
  const net = parseCidr(underlay.cidr ?? '');
  const own = parseCidr(loadBalancers.cidr ?? '');
  let first: number;
  let last: number;
  if (own) [first, last] = [own.base >>> 0, cidrLast(own) >>> 0];
  else if (net && cidrLast(net) >>> 0 > (net.base >>> 0) + DEFAULT_POOL.last + 1)
    [first, last] = [(net.base >>> 0) + DEFAULT_POOL.first, (net.base >>> 0) + DEFAULT_POOL.last];
  else return undefined;
  const used = new Set(nodes.flatMap((node) => parseIpv4(nodeAddress(node) ?? '') ?? []));
  // The network, broadcast, and the machine's own address.
  if (net) for (const word of [net.base, cidrLast(net), (cidrLast(net) - 1) | 0]) used.add(word);
  const has = (word: number): boolean => word >>> 0 >= first && word >>> 0 <= last && !used.has(word);
  return {
    name: `${formatIpv4(first | 0)} to ${formatIpv4(last | 0)}`,
    has,
    *words() {
      for (let word = first; word <= last; word++) if (has(word | 0)) yield word | 0;
    },
  };
}

const hasOwnBalancer = ({ spec }: Service): boolean => isLoadBalancer(spec) && !spec.loadBalancerClass;

/**
 * Give a LoadBalancer Service its address, and take it from one that is none any more.
 *
 * @param taken  gives the keys of all addresses that are given; the new one is added to them
 * @returns      the Service, and why it has no address, if it should have one
 */
export function withIngress(
  service: Service,
  pool: Pool | undefined,
  taken: () => Set<string>,
): { service: Service; why?: { reason: string; message: string } } {
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  if (!isLoadBalancer(service.spec)) return { service: withIngressList(service, []) };
  if (!hasOwnBalancer(service)) return { service };
  const asked = service.spec.loadBalancerIP;
  const [current] = ingress;
  if (current && (!asked || !current.ip || current.ip === asked)) return { service };
  const give = (ip: string): { service: Service } => {
    if (current?.ip) taken().delete(loadBalancerKey(current.ip));
    taken().add(loadBalancerKey(ip));
    return { service: withIngressList(service, [{ ip, ipMode: 'VIP' }]) };
  };
  const refuse = (reason: string, message: string) => ({
    service: withIngressList(service, []),
    why: { reason, message },
  });
  if (!pool)
    return refuse(
      'NoPool',
      'The Lab has neither spec.loadBalancers.cidr nor an underlay with room for a pool',
    );
  if (asked) {
    const word = parseIpv4(asked);
    if (word === undefined || !pool.has(word))
      return refuse('AddressOutsidePool', `loadBalancerIP ${asked} is not in the pool ${pool.name}`);
    if (taken().has(loadBalancerKey(asked)))
      return refuse('AddressTaken', `loadBalancerIP ${asked} is another Service's`);
    return give(asked);
  }
  for (const word of pool.words()) {
    const ip = formatIpv4(word);
    if (!taken().has(loadBalancerKey(ip))) return give(ip);
  }
  return refuse('PoolExhausted', `No address is left in the pool ${pool.name}`);
}

function withIngressList(service: Service, ingress: LoadBalancerIngress[]): Service {
  const loadBalancer = ingress.length > 0 ? { ingress } : {};
  if (equal(service.status?.loadBalancer ?? {}, loadBalancer)) return service;
  return { ...service, status: { ...service.status, loadBalancer } };
}

/**
 * Choose who answers for a Service's addresses, and say so in annotation and condition.
 *
 * @param slices  the Service's endpoints
 * @param why     why it has no address, see {@link withIngress}
 */
export function withOwner(
  service: Service,
  slices: readonly EndpointSlice[],
  nodes: readonly Node[],
  why: { reason: string; message: string } | undefined,
  now: number,
): Service {
  const { spec, status } = service;
  const ingress = hasOwnBalancer(service)
    ? (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip || [])
    : [];
  const addresses = isExternallyAccessible(spec) ? [...ingress, ...(spec.externalIPs ?? [])] : [];
  const name = addresses.length > 0 ? chooseOwner(service, slices, nodes) : undefined;
  const next = withAnnotation(service, name);
  if (!hasOwnBalancer(service)) return withoutCondition(next);
  if (why) return withCondition(next, { type: LOAD_BALANCER_CONDITION, status: 'False', ...why }, now);
  const condition = name
    ? {
        status: 'True' as const,
        reason: 'Owned',
        message: `Node "${name}" answers for ${addresses.join(', ')}`,
      }
    : {
        status: 'False' as const,
        reason: 'NoOwner',
        message:
          spec.externalTrafficPolicy === 'Local'
            ? 'No ready node has an endpoint of this Service'
            : 'No node is ready',
      };
  return withCondition(next, { type: LOAD_BALANCER_CONDITION, ...condition }, now);
}

function withAnnotation(service: Service, name: string | undefined): Service {
  const { annotations, ...metadata } = service.metadata;
  if (annotations?.[OWNER_ANNOTATION] === name) return service;
  const others = { ...annotations };
  delete others[OWNER_ANNOTATION];
  const next = name === undefined ? others : { ...others, [OWNER_ANNOTATION]: name };
  return { ...service, metadata: { ...metadata, annotations: next } };
}

function withoutCondition(service: Service): Service {
  const conditions = service.status?.conditions;
  if (!conditions?.some(({ type }) => type === LOAD_BALANCER_CONDITION)) return service;
  const left = conditions.filter(({ type }) => type !== LOAD_BALANCER_CONDITION);
  return { ...service, status: { ...service.status, conditions: left } };
}

function chooseOwner(
  service: Service,
  slices: readonly EndpointSlice[],
  nodes: readonly Node[],
): string | undefined {
  let names = answeringNodes(nodes);
  if (service.spec.externalTrafficPolicy === 'Local') {
    const local = localNodes(slices);
    names = names.filter((name) => local.has(name));
  }
  const id = service.metadata.uid ?? keyOf(service);
  let best: string | undefined;
  let bestScore = -1;
  for (const name of names) {
    const score = hashText(`${id} ${name}`);
    if (score > bestScore || (score === bestScore && name < best!)) [best, bestScore] = [name, score];
  }
  return best;
}

/** Nodes that can answer. Where nobody has reported on any node, as in files, all of ours can. */
function answeringNodes(nodes: readonly Node[]): string[] {
  const ours = nodes.filter(
    (node) =>
      !isExternalNode(node) &&
      !node.metadata.deletionTimestamp &&
      node.metadata.labels?.[EXCLUDE_LABEL] === undefined,
  );
  const hasReports = ours.some((node) => node.status?.conditions?.some(({ type }) => type === 'Ready'));
  return ours.filter((node) => !hasReports || isReady(node)).map(({ metadata }) => metadata.name);
}

/** Nodes with a ready endpoint; when no endpoint is ready, those with one that still serves. */
function localNodes(slices: readonly EndpointSlice[]): Set<string> {
  const all = slices.flatMap(({ endpoints }) => endpoints);
  const ready = all.filter(({ conditions }) => conditions?.ready !== false);
  const found = ready.length > 0 ? ready : all.filter(({ conditions }) => conditions?.serving);
  return new Set(found.flatMap(({ nodeName }) => nodeName ?? []));
}
