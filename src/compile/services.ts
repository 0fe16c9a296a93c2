/**
 * Services and EndpointSlices → frontends, backends, endpoints, source ranges.
 *
 * Which endpoints a frontend offers follows kube-proxy: those that are ready; when there is none, those that still serve while they
 * terminate; under policy Local the same among the endpoints of this node. Topology hints narrow the first list when every endpoint
 * has them. https://kubernetes.io/docs/reference/networking/virtual-ips/
 *
 * An endpoint that left its slices while its pod lives on stays, draining (`compiler.ts`): established connections end with the pod,
 * not before.
 */
import { hostPorts } from '../api/pod.js';
import {
  FLANNEL_PUBLIC_IP,
  SCHEDULER_ANNOTATION,
  type Endpoint,
  type EndpointSlice,
  type Node,
  type Pod,
  type Service,
  type ServicePort,
} from '../api/types.js';
import {
  ENDPOINT_DRAINING,
  ENDPOINT_READY,
  FRONTEND_CLUSTER_IP,
  FRONTEND_EXTERNAL_IP,
  FRONTEND_HOST_PORT,
  FRONTEND_KINDS,
  FRONTEND_LOAD_BALANCER,
  FRONTEND_LOCAL,
  FRONTEND_NODE_PORT,
  FRONTEND_UNSUPPORTED,
  SCHEDULERS,
} from '../tables/services.js';
import { formatIpv4, parseCidr, parseIpv4, V4_MAPPED } from '../wire/address.js';
import { SCTP, TCP, UDP } from '../wire/ipv4.js';
import type { Ids, Part } from './image.js';

const PROTOCOLS: Record<string, number> = { TCP, UDP, SCTP };
/** A Service with this label is another proxy's. https://kubernetes.io/docs/reference/labels-annotations-taints/ */
const OTHER_PROXY = 'service.kubernetes.io/service-proxy-name';
const DEFAULT_AFFINITY_SECONDS = 10_800;

/** What all Services are compiled with: whatever of our node and of the lab they depend on. */
export interface Surroundings {
  /** The name of our node. */
  readonly node: string;
  readonly zone: string | undefined;
  /** The host's own addresses: node ports are served there, at its gateway address, and on loopback. */
  readonly nodeIps: readonly number[];
  readonly gateway: number;
  /** Row of the segment whose router serves them. */
  readonly segment: number;
  /** For Services that do not say. */
  readonly scheduler: string;
}

/** An endpoint of one Service port, as its slice says. */
interface Candidate {
  readonly key: string;
  readonly address: number;
  readonly port: number;
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  readonly isLocal: boolean;
  readonly hints: Endpoint['hints'];
}

/** A host's own IPv4 addresses, the one that peers know first. */
export function nodeIps(node: Node | undefined): number[] {
  const texts = [
    node?.metadata.annotations?.[FLANNEL_PUBLIC_IP],
    ...(node?.status?.addresses ?? [])
      .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
      .map(({ address }) => address),
  ];
  return [...new Set(texts.map((text) => parseIpv4(text ?? '')).filter((ip) => ip !== undefined))];
}

/** @param slices  those of the Service, in whatever order */
export function compileService(
  around: Surroundings,
  ids: Ids,
  part: Part,
  service: Service,
  slices: readonly EndpointSlice[],
): void {
  if (service.spec.type === 'ExternalName' || service.metadata.labels?.[OTHER_PROXY] !== undefined) return;
  const ordered = [...slices].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const port of service.spec.ports ?? []) compilePort(around, ids, part, service, port, ordered);
}

function compilePort(
  around: Surroundings,
  ids: Ids,
  part: Part,
  service: Service,
  port: ServicePort,
  slices: readonly EndpointSlice[],
): void {
  const { spec } = service;
  const protocol = port.protocol ?? 'TCP';
  const key = `${service.metadata.namespace}/${service.metadata.name}:${port.name || port.port}${protocol === 'TCP' ? '' : `/${protocol.toLowerCase()}`}`;
  const candidates = candidatesOf(around.node, key, port, slices);
  const everywhere = withHints(around, usable(candidates));
  const here = usable(candidates.filter(({ isLocal }) => isLocal));
  const isInternalLocal = spec.internalTrafficPolicy === 'Local';
  const isExternalLocal = spec.externalTrafficPolicy === 'Local';

  const chosen = new Set([...everywhere, ...(isInternalLocal || isExternalLocal ? here : [])]);
  for (const one of candidates)
    putEndpoint(
      ids,
      part,
      one.key,
      one.address,
      one.port,
      chosen.has(one) ? ENDPOINT_READY : ENDPOINT_DRAINING,
    );

  const all = putBackends(ids, part, `${key} everywhere`, everywhere);
  const local = isInternalLocal || isExternalLocal ? putBackends(ids, part, `${key} here`, here) : 0;
  const anywhere = Math.max(everywhere.length, here.length);
  const scheduler = schedulerOf(around, service);
  const affinityMs =
    spec.sessionAffinity === 'ClientIP'
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS) * 1000
      : 0;
  const unsupported = protocol === 'SCTP' ? FRONTEND_UNSUPPORTED : 0;

  const put = (kind: number, address: number, number: number, rangesKey?: string): void => {
    const isExternal = kind !== FRONTEND_CLUSTER_IP;
    const isHere = !isExternal && isInternalLocal;
    const rangeList = rangesKey === undefined ? [] : (spec.loadBalancerSourceRanges ?? []);
    putFrontend(around, ids, part, {
      key,
      kind,
      address,
      port: number,
      protocol,
      flags: (isExternal && isExternalLocal ? FRONTEND_LOCAL : 0) | unsupported,
      scheduler,
      affinityMs,
      first: isHere ? local : all,
      count: isHere ? here.length : everywhere.length,
      localFirst: local,
      localCount: isExternalLocal ? here.length : 0,
      all: anywhere,
      firstRange: putRanges(ids, part, rangesKey ?? '', rangeList),
      ranges: rangeList.length,
    });
  };

  for (const ip of ipv4sOf(spec.clusterIPs ?? [spec.clusterIP ?? '']))
    put(FRONTEND_CLUSTER_IP, ip, port.port);
  for (const ip of ipv4sOf(spec.externalIPs ?? [])) put(FRONTEND_EXTERNAL_IP, ip, port.port);
  for (const { ip, ipMode } of service.status?.loadBalancer?.ingress ?? [])
    if (ipMode !== 'Proxy')
      for (const word of ipv4sOf([ip ?? ''])) put(FRONTEND_LOAD_BALANCER, word, port.port, key);
  if (port.nodePort)
    for (const ip of [...around.nodeIps, around.gateway, LOOPBACK])
      put(FRONTEND_NODE_PORT, ip, port.nodePort);
}

const LOOPBACK = 0x7f000001;

/** A row of `services`, with the key of the Service port (or pod) that it is for. */
interface Frontend {
  readonly key: string;
  readonly kind: number;
  readonly address: number;
  readonly port: number;
  readonly protocol: string;
  readonly flags: number;
  readonly scheduler: number;
  readonly affinityMs: number;
  readonly first: number;
  readonly count: number;
  readonly localFirst: number;
  readonly localCount: number;
  readonly all: number;
  readonly firstRange: number;
  readonly ranges: number;
}

function putFrontend({ segment }: Surroundings, ids: Ids, part: Part, one: Frontend): void {
  const name = `${one.key} ${FRONTEND_KINDS[one.kind]} ${formatIpv4(one.address)}:${one.port}`;
  ids.of('services', name);
  part.set(
    'services',
    name,
    Int32Array.of(
      one.kind,
      segment,
      0,
      0,
      V4_MAPPED,
      one.address,
      (one.port << 8) | PROTOCOLS[one.protocol]!,
      one.flags,
      one.scheduler,
      one.affinityMs,
      one.first,
      one.count,
      one.localFirst,
      one.localCount,
      one.all,
      one.firstRange,
      one.ranges,
    ),
  );
}

/** Ports of pods that the host lends its own addresses to: as a node port with one endpoint, whose source stays. */
export function compileHostPorts(around: Surroundings, ids: Ids, part: Part, pods: readonly Pod[]): void {
  for (const pod of pods) {
    for (const { hostIP, hostPort, protocol, podIP, containerPort } of hostPorts(pod)) {
      const address = parseIpv4(podIP);
      if (address === undefined || PROTOCOLS[protocol] === undefined) continue;
      const key = `${pod.metadata.namespace}/${pod.metadata.name}:${hostPort}${protocol === 'TCP' ? '' : `/${protocol.toLowerCase()}`}`;
      // A Service may have the pod's name, and the same port.
      const endpoint = `${key} host-port ${podIP}:${containerPort}`;
      putEndpoint(ids, part, endpoint, address, containerPort, ENDPOINT_READY);
      const first = ids.run('backends', key, 1);
      part.set('backends', ids.keyInRun(key, 1, 0), Int32Array.of(ids.of('endpoints', endpoint)));
      const addresses =
        hostIP === undefined ? [...around.nodeIps, around.gateway, LOOPBACK] : ipv4sOf([hostIP]);
      for (const own of addresses)
        putFrontend(around, ids, part, {
          key,
          kind: FRONTEND_HOST_PORT,
          address: own,
          port: hostPort,
          protocol,
          flags: FRONTEND_LOCAL | (protocol === 'SCTP' ? FRONTEND_UNSUPPORTED : 0),
          scheduler: 0,
          affinityMs: 0,
          first,
          count: 1,
          localFirst: first,
          localCount: 1,
          all: 1,
          firstRange: 0,
          ranges: 0,
        });
    }
  }
}

const ipv4sOf = (texts: readonly string[]): number[] =>
  texts.map(parseIpv4).filter((word) => word !== undefined);

/** Endpoints of a Service port, in the order of their slices, each address and port once. */
function candidatesOf(
  node: string,
  key: string,
  port: ServicePort,
  slices: readonly EndpointSlice[],
): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of slices)
    for (const slicePort of slice.ports ?? []) {
      if ((slicePort.name ?? '') !== (port.name ?? '')) continue;
      if ((slicePort.protocol ?? 'TCP') !== (port.protocol ?? 'TCP')) continue;
      for (const { addresses, conditions, nodeName, hints } of slice.endpoints) {
        const address = parseIpv4(addresses[0] ?? '');
        if (address === undefined) continue;
        const number = slicePort.port ?? port.port;
        const endpointKey = `${key} ${formatIpv4(address)}:${number}`;
        const isReady = conditions?.ready ?? true;
        const before = found.get(endpointKey);
        // Two slices may say different things of one endpoint for a moment: who says ready wins.
        if (before?.isReady) continue;
        found.set(endpointKey, {
          key: endpointKey,
          address,
          port: number,
          isReady,
          isServing: conditions?.serving ?? isReady,
          isTerminating: conditions?.terminating ?? false,
          isLocal: nodeName === node,
          hints,
        });
      }
    }
  return [...found.values()];
}

/** Those that are ready; when there is none, those that serve while they terminate. */
function usable(candidates: readonly Candidate[]): Candidate[] {
  const ready = candidates.filter(({ isReady }) => isReady);
  return ready.length > 0 ? ready : candidates.filter((one) => one.isServing && one.isTerminating);
}

/** Those whose hints name this node, or its zone, when every one has such hints and some fit. */
function withHints({ node, zone }: Surroundings, candidates: Candidate[]): Candidate[] {
  const narrow = (
    names: (one: Candidate) => readonly { name: string }[] | undefined,
    wanted?: string,
  ): Candidate[] =>
    wanted !== undefined && candidates.every((one) => (names(one)?.length ?? 0) > 0)
      ? candidates.filter((one) => names(one)!.some(({ name }) => name === wanted))
      : [];
  const sameNode = narrow((one) => one.hints?.forNodes, node);
  if (sameNode.length > 0) return sameNode;
  const sameZone = narrow((one) => one.hints?.forZones, zone);
  return sameZone.length > 0 ? sameZone : candidates;
}

function schedulerOf({ scheduler }: Surroundings, { metadata }: Service): number {
  const wanted = metadata.annotations?.[SCHEDULER_ANNOTATION] ?? scheduler;
  const known = (SCHEDULERS as readonly string[]).indexOf(wanted);
  return Math.max(known, 0);
}

function putEndpoint(ids: Ids, part: Part, key: string, address: number, port: number, state: number): void {
  ids.of('endpoints', key);
  part.set(
    'endpoints',
    key,
    Int32Array.of(state, 0, 0, V4_MAPPED, address, port, ids.serialOf('endpoints', key)),
  );
}

/** A run of rows that name endpoints. @returns its first row, 0 when it is empty */
function putBackends(ids: Ids, part: Part, key: string, list: readonly Candidate[]): number {
  const first = ids.run('backends', key, list.length);
  for (const [i, one] of list.entries())
    part.set('backends', ids.keyInRun(key, list.length, i), Int32Array.of(ids.of('endpoints', one.key)));
  return first;
}

function putRanges(ids: Ids, part: Part, key: string, list: readonly string[]): number {
  const first = ids.run('ranges', key, list.length);
  for (const [i, text] of list.entries()) {
    // An IPv6 range lets no IPv4 source in: a prefix that nobody is in.
    const cidr = parseCidr(text.trim()) ?? { base: 0, bits: 32 };
    part.set('ranges', ids.keyInRun(key, list.length, i), Int32Array.of(1, cidr.base, cidr.bits));
  }
  return first;
}
