/**
 * What a Service gets that it did not ask for: IP families, cluster addresses, node ports, a port for health checks.
 *
 * Theory of operation. Every number has a key ({@link allocations}) that one Service at most holds. A search asks for
 * key after key and takes the first that is free. It begins at a place that the Service's name decides, so that the
 * same manifests get the same addresses wherever they are applied. As in Kubernetes, the lower part of each range is
 * for those who choose by themselves and is searched last (KEP-3070, KEP-3668).
 *
 * The search is a generator: it yields keys, and is told whether each is taken. The server asks its store, control a
 * set; neither needs to know the other.
 */
import { labSpec } from '../api/defaults.js';
import { equal } from '../api/json.js';
import { at, invalid, type Problem } from '../api/problem.js';
import { familyOf } from '../api/service-rules.js';
import {
  hasNodePorts,
  hasSelector,
  isExternalName,
  isHeadless,
  needsHealthCheck,
  NODE_PORTS,
} from '../api/service-type.js';
import { keyOf, type IpFamily, type Lab, type Service, type ServiceSpec } from '../api/types.js';
import { cidrContains, cidrLast, formatIpv4, parseCidr, parseIpv4 } from '../wire/address.js';
import { clusterIpKey, nodePortKey } from './allocations.js';
import { hashText } from './hash.js';

/** The families of a lab's Services. IPv6 packets come later. */
const FAMILIES: readonly IpFamily[] = ['IPv4'];
/** Offsets in serviceCIDR that are nobody's by chance: the network, the API, DNS. */
export const API_OFFSET = 1;
export const DNS_OFFSET = 10;
const RESERVED_OFFSETS = [0, API_OFFSET, DNS_OFFSET];

type Search<T> = Generator<string, T, boolean>;

/**
 * Fill in what a Service lacks.
 *
 * @param service  with its defaults
 * @returns        the very same object when it lacks nothing; what could not be found stays missing
 */
export function* assignService(service: Service, lab: Lab): Search<Service> {
  if (isComplete(service)) return service;
  const spec: ServiceSpec = { ...service.spec, ports: service.spec.ports?.map((port) => ({ ...port })) };
  assignFamilies(spec);
  if (!isHeadless(spec)) yield* assignClusterIps(spec, keyOf(service), lab);
  const isTaken = takenPorts(spec);
  if (hasNodePorts(spec)) yield* assignNodePorts(spec, keyOf(service), isTaken);
  if (needsHealthCheck(spec) && spec.healthCheckNodePort === undefined) {
    spec.healthCheckNodePort = yield* findNodePort(`${keyOf(service)} health`, isTaken);
  }
  return equal(spec, service.spec) ? service : { ...service, spec };
}

const isComplete = (service: Service): boolean =>
  isExternalName(service.spec) ||
  (service.spec.ipFamilies !== undefined &&
    service.spec.ipFamilyPolicy !== undefined &&
    unassigned(service) === undefined);

/** Run a search on a set of keys, asked for only when it is needed; what is found is not added to it. */
export function searchIn<T>(search: Search<T>, taken: () => ReadonlySet<string>): T {
  let step = search.next();
  while (!step.done) step = search.next(taken().has(step.value));
  return step.value;
}

/** A Service without an address and without a selector may name endpoints of both families. */
const isFree = (spec: ServiceSpec): boolean => isHeadless(spec) && !hasSelector(spec);

function assignFamilies(spec: ServiceSpec): void {
  spec.ipFamilyPolicy ??= isFree(spec) ? 'RequireDualStack' : 'SingleStack';
  const families = [...(spec.ipFamilies ?? [])];
  if (!isHeadless(spec)) spec.clusterIPs?.slice(families.length).forEach((ip) => families.push(familyOf(ip)));
  if (families.length === 0) families.push(...FAMILIES);
  if (isFree(spec) && spec.ipFamilyPolicy !== 'SingleStack' && families.length === 1)
    families.push(families[0] === 'IPv4' ? 'IPv6' : 'IPv4');
  spec.ipFamilies = families;
}

function* assignClusterIps(spec: ServiceSpec, name: string, lab: Lab): Search<void> {
  const ips = [...(spec.clusterIPs ?? [])];
  if (ips.length === 0 && spec.ipFamilies![0] === 'IPv4') {
    const ip = yield* findClusterIp(name, lab);
    if (ip) ips.push(ip);
  }
  if (ips.length === 0) return;
  spec.clusterIPs = ips;
  spec.clusterIP = ips[0];
}

function* findClusterIp(name: string, lab: Lab): Search<string | undefined> {
  const range = parseCidr(labSpec(lab).serviceCIDR);
  if (!range) return undefined;
  const size = ((cidrLast(range) - range.base) >>> 0) + 1;
  const lower = Math.min(Math.max(16, Math.floor(size / 16)), 256);
  for (const offset of offsets(name, size - 1, lower)) {
    if (RESERVED_OFFSETS.includes(offset)) continue;
    const ip = formatIpv4((range.base + offset) | 0);
    if (!(yield clusterIpKey(ip))) return ip;
  }
  return undefined;
}

/** The numbers below `size`: from `lower` on first, from a place that depends on the name, then the rest. */
function* offsets(name: string, size: number, lower: number): Generator<number> {
  const upper = Math.max(size - lower, 0);
  const start = upper > 0 ? hashText(name) % upper : 0;
  for (let i = 0; i < upper; i++) yield lower + ((start + i) % upper);
  for (let i = 0; i < Math.min(lower, size); i++) yield i;
}

/** Ports that the Service itself names already: they are its own, whatever the store says. */
function takenPorts(spec: ServiceSpec): Set<number> {
  const ports = (spec.ports ?? []).flatMap(({ nodePort }) => nodePort ?? []);
  return new Set(spec.healthCheckNodePort ? [...ports, spec.healthCheckNodePort] : ports);
}

function* assignNodePorts(spec: ServiceSpec, name: string, taken: Set<number>): Search<void> {
  if (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false) return;
  for (const port of spec.ports ?? []) {
    if (port.nodePort !== undefined) continue;
    // One number on two protocols is one node port too.
    const twin = spec.ports!.find(
      (other) =>
        other.port === port.port &&
        other.nodePort !== undefined &&
        !spec.ports!.some(
          ({ nodePort, protocol }) => nodePort === other.nodePort && protocol === port.protocol,
        ),
    );
    port.nodePort = twin?.nodePort ?? (yield* findNodePort(`${name} ${port.port}`, taken));
  }
}

function* findNodePort(name: string, taken: Set<number>): Search<number | undefined> {
  const size = NODE_PORTS.last - NODE_PORTS.first + 1;
  const lower = Math.min(Math.max(16, Math.floor(size / 32)), 128);
  for (const offset of offsets(name, size, lower)) {
    const port = NODE_PORTS.first + offset;
    if (taken.has(port) || (yield nodePortKey(port))) continue;
    taken.add(port);
    return port;
  }
  return undefined;
}

/**
 * Why a Service cannot have what it asks for in this lab. Whether somebody else has it is for its keys to tell.
 *
 * Source: k8s.io/kubernetes, pkg/registry/core/service/storage/alloc.go.
 *
 * @param service  with its defaults, before {@link assignService}
 */
export function checkAssignable(service: Service, old: Service | undefined, lab: Lab): Problem[] {
  const { spec } = service;
  if (isExternalName(spec)) return [];
  const problems = [...checkFamilies(spec), ...checkRange(spec, old?.spec, lab)];
  const had = old ? takenPorts(old.spec) : new Set<number>();
  const detail = `provided port is not in the valid range. The range of valid ports is ${NODE_PORTS.first}-${NODE_PORTS.last}`;
  const check = (port: number | undefined, field: string): void => {
    if (port === undefined || had.has(port) || (port >= NODE_PORTS.first && port <= NODE_PORTS.last)) return;
    problems.push(invalid(field, port, detail));
  };
  spec.ports?.forEach(({ nodePort }, i) => check(nodePort, `${at('spec.ports', i)}.nodePort`));
  check(spec.healthCheckNodePort, 'spec.healthCheckNodePort');
  return problems;
}

function checkFamilies(spec: ServiceSpec): Problem[] {
  const field = 'spec.ipFamilyPolicy';
  const { clusterIPs = [], ipFamilies = [] } = spec;
  const policy = spec.ipFamilyPolicy ?? (isFree(spec) ? 'RequireDualStack' : 'SingleStack');
  const problems: Problem[] = [];
  if (policy === 'SingleStack') {
    const detail = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
    if (clusterIPs.length === 2) problems.push(invalid(field, policy, `${detail} cluster IPs are specified`));
    if (ipFamilies.length === 2) problems.push(invalid(field, policy, `${detail} IP families are specified`));
  }
  if (isHeadless(spec)) {
    if (isFree(spec)) return problems;
  } else
    clusterIPs.slice(ipFamilies.length).forEach((ip, i) => {
      const family = familyOf(ip);
      if (FAMILIES.includes(family)) return;
      const where = at('spec.clusterIPs', ipFamilies.length + i);
      problems.push(invalid(where, clusterIPs, `${family} is not configured on this cluster`));
    });
  if (policy === 'RequireDualStack')
    problems.push(invalid(field, policy, 'this cluster is not configured for dual-stack services'));
  ipFamilies.forEach((family, i) => {
    if (FAMILIES.includes(family)) return;
    problems.push(invalid(at('spec.ipFamilies', i), family, 'not configured on this cluster'));
  });
  return problems;
}

function checkRange(spec: ServiceSpec, old: ServiceSpec | undefined, lab: Lab): Problem[] {
  const { serviceCIDR } = labSpec(lab);
  const range = parseCidr(serviceCIDR)!;
  return (isHeadless(spec) ? [] : (spec.clusterIPs ?? [])).flatMap((ip) => {
    const word = parseIpv4(ip);
    if (word === undefined || old?.clusterIPs?.includes(ip)) return [];
    if (cidrContains(range, word) && word !== range.base && word !== cidrLast(range)) return [];
    const detail =
      `failed to allocate IP ${ip}: the provided IP (${ip}) is not in the valid range. ` +
      `The range of valid IPs is ${serviceCIDR}`;
    return [invalid('spec.clusterIPs', spec.clusterIPs, detail)];
  });
}

/** What a Service should have and lacks after {@link assignService}, in Kubernetes' words: its range is full. */
export function unassigned({ spec }: Service): string | undefined {
  if (isExternalName(spec)) return undefined;
  if (!spec.clusterIPs?.length) return 'failed to allocate a serviceIP: range is full';
  const mayLack = spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false;
  if (hasNodePorts(spec) && !mayLack && spec.ports?.some(({ nodePort }) => nodePort === undefined))
    return 'failed to allocate a nodePort: range is full';
  if (needsHealthCheck(spec) && spec.healthCheckNodePort === undefined)
    return 'failed to allocate a HealthCheck NodePort: range is full';
  return undefined;
}
