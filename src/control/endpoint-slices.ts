/**
 * EndpointSlices: which pods answer for a Service, and on which ports; and how they are spread over objects.
 *
 * A group is a set of endpoints that share a family and their ports; a named targetPort that is 3000 in one pod and
 * 3001 in another makes two. A slice holds endpoints of one group, at most {@link MAX_ENDPOINTS}. An endpoint stays in
 * its slice while it can, a new one fills the first that has room, so that one changed pod changes one slice.
 *
 * Source: k8s.io/kubernetes, pkg/controller/endpointslice; k8s.io/endpointslice, reconciler.go and utils.go.
 */
import { equal } from '../api/json.js';
import { isReady } from '../api/node.js';
import { isTerminal } from '../api/pod.js';
import { isHeadless } from '../api/service-type.js';
import {
  keyOf,
  MANAGED_BY,
  SERVICE_NAME,
  type ApiObject,
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
  type IpFamily,
  type Node,
  type ObjectMeta,
  type OwnerReference,
  type Pod,
  type Service,
} from '../api/types.js';
import type { Change } from './change.js';
import { hashSuffix } from './hash.js';

const MAX_ENDPOINTS = 100;

/** Who keeps the slices of Services that have a selector. */
export const CONTROLLER = 'endpointslice-controller.k8s.io';
export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const ZONE_LABEL = 'topology.kubernetes.io/zone';

export interface EndpointGroup {
  readonly addressType: IpFamily;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

/**
 * The endpoints of a Service with a selector.
 *
 * @param pods          those its selector matches, in the order in which they shall stand
 * @param nodes         by name
 * @param assumesReady  whether a pod nobody has reported on counts as ready: files say nothing of readiness
 */
export function endpointGroups(
  service: Service,
  pods: readonly Pod[],
  nodes: ReadonlyMap<string, Node>,
  assumesReady: boolean,
): EndpointGroup[] {
  const groups = new Map<string, { addressType: IpFamily; ports: EndpointPort[]; endpoints: Endpoint[] }>();
  for (const addressType of service.spec.ipFamilies ?? ['IPv4']) {
    for (const pod of pods) {
      const ip = isTerminal(pod) ? undefined : podAddress(pod, addressType);
      if (ip === undefined) continue;
      const ports = portsOf(service, pod);
      const key = `${addressType} ${JSON.stringify(ports)}`;
      const group = groups.get(key) ?? { addressType, ports, endpoints: [] };
      if (group.endpoints.length === 0) groups.set(key, group);
      group.endpoints.push(endpointOf(service, pod, ip, nodes, assumesReady));
    }
  }
  return [...groups.values()];
}

function podAddress(pod: Pod, family: IpFamily): string | undefined {
  const ips = [pod.status?.podIP, ...(pod.status?.podIPs ?? []).map(({ ip }) => ip)];
  return ips.find((ip) => ip && ip.includes(':') === (family === 'IPv6'));
}

/** A Service's ports as one pod has them. A name the pod does not know is left out. */
function portsOf(service: Service, pod: Pod): EndpointPort[] {
  return (service.spec.ports ?? []).flatMap(
    ({ name = '', protocol = 'TCP', port, targetPort, appProtocol }) => {
      const number =
        typeof targetPort === 'string'
          ? pod.spec.containers
              .flatMap(({ ports = [] }) => ports)
              .find((other) => other.name === targetPort && (other.protocol ?? 'TCP') === protocol)
              ?.containerPort
          : (targetPort ?? port);
      if (number === undefined) return [];
      return [{ name, port: number, protocol, ...(appProtocol && { appProtocol }) }];
    },
  );
}

function endpointOf(
  service: Service,
  pod: Pod,
  ip: string,
  nodes: ReadonlyMap<string, Node>,
  assumesReady: boolean,
): Endpoint {
  const { spec, metadata } = pod;
  const hasReport = pod.status?.conditions?.some(({ type }) => type === 'Ready') ?? false;
  const serving = isReady(pod) || (assumesReady && !hasReport);
  const terminating = metadata.deletionTimestamp !== undefined;
  const ready = service.spec.publishNotReadyAddresses || (serving && !terminating);
  const zone = spec.nodeName && nodes.get(spec.nodeName)?.metadata.labels?.[ZONE_LABEL];
  const hasName = spec.hostname && spec.subdomain === service.metadata.name;
  const hints = ready ? hintsOf(service, spec.nodeName, zone) : undefined;
  return {
    addresses: [ip],
    conditions: { ready, serving, terminating },
    ...(hasName && { hostname: spec.hostname }),
    ...(spec.nodeName && { nodeName: spec.nodeName }),
    ...(zone && { zone }),
    ...(hints && { hints }),
    targetRef: {
      kind: 'Pod',
      name: metadata.name,
      namespace: metadata.namespace,
      ...(metadata.uid && { uid: metadata.uid }),
    },
  };
}

/** For whom an endpoint is near, if the Service asks for near ones. KEP-4444, KEP-3015. */
function hintsOf({ spec }: Service, node: string | undefined, zone: string | undefined): Endpoint['hints'] {
  const { trafficDistribution } = spec;
  if (!trafficDistribution) return undefined;
  const forZones = zone ? { forZones: [{ name: zone }] } : {};
  const forNodes = trafficDistribution === 'PreferSameNode' && node ? { forNodes: [{ name: node }] } : {};
  const hints = { ...forZones, ...forNodes };
  return Object.keys(hints).length > 0 ? hints : undefined;
}

/** Labels and owner of a Service's own slices. */
export function sliceTemplate(service: Service): Pick<ObjectMeta, 'labels' | 'ownerReferences'> {
  const labels = { ...service.metadata.labels };
  delete labels[HEADLESS_LABEL];
  if (isHeadless(service.spec)) labels[HEADLESS_LABEL] = '';
  return {
    labels: { ...labels, [SERVICE_NAME]: service.metadata.name, [MANAGED_BY]: CONTROLLER },
    ...owner(service),
  };
}

/** Objects from files have no uid to be owned by. */
export function owner(object: ApiObject): { ownerReferences?: OwnerReference[] } {
  const { apiVersion, kind, metadata } = object;
  if (!metadata.uid) return {};
  const { name, uid } = metadata;
  return {
    ownerReferences: [{ apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true }],
  };
}

export interface SliceSet {
  readonly service: Service;
  readonly groups: readonly EndpointGroup[];
  /** What every slice of the set carries. */
  readonly template: Pick<ObjectMeta, 'labels' | 'ownerReferences'>;
  /** Slices of the set that are there. */
  readonly existing: readonly EndpointSlice[];
  /** Whether there is one slice even when there are no endpoints. */
  readonly hasPlaceholder: boolean;
  /** Keys of all slices there are, of any set. */
  isNamed(key: string): boolean;
}

interface Draft {
  readonly old: EndpointSlice | undefined;
  readonly group: EndpointGroup;
  readonly endpoints: Endpoint[];
}

/** @returns the changes that bring a set of slices in step, and the slices as they then are */
export function packSlices(set: SliceSet): { changes: Change[]; slices: EndpointSlice[] } {
  const drafts: Draft[] = [];
  const spare = new Set(set.existing);
  const families: readonly IpFamily[] = set.service.spec.ipFamilies ?? ['IPv4'];
  const groups = [...set.groups];
  if (groups.length === 0 && set.hasPlaceholder)
    for (const addressType of families) groups.push({ addressType, ports: [], endpoints: [] });
  const pending = groups.map((group) => keepEndpoints(set, group, spare, drafts));
  groups.forEach((group, i) => place(pending[i]!, group, spare, drafts));

  const changes: Change[] = [];
  const slices: EndpointSlice[] = [];
  const named = new Set<string>();
  for (const { old, group, endpoints } of drafts) {
    const slice = build(set, old, group, endpoints, named);
    slices.push(slice);
    if (!old) changes.push({ type: 'create', object: slice });
    else if (slice !== old) changes.push({ type: 'update', object: slice });
  }
  for (const object of spare) changes.push({ type: 'remove', object });
  return { changes, slices };
}

const endpointKey = ({ targetRef, addresses }: Endpoint): string =>
  `${targetRef?.uid ?? targetRef?.name ?? ''} ${addresses[0]}`;

/** Endpoints that have a slice stay in it. @returns those that have none yet */
function keepEndpoints(
  set: SliceSet,
  group: EndpointGroup,
  spare: Set<EndpointSlice>,
  drafts: Draft[],
): Endpoint[] {
  const wanted = new Map(group.endpoints.map((endpoint) => [endpointKey(endpoint), endpoint]));
  for (const old of set.existing) {
    if (!spare.has(old) || old.addressType !== group.addressType) continue;
    if (!equal(old.ports ?? [], group.ports)) continue;
    const endpoints = old.endpoints.flatMap((endpoint) => {
      const key = endpointKey(endpoint);
      const now = wanted.get(key);
      wanted.delete(key);
      return now ?? [];
    });
    if (endpoints.length === 0) continue;
    spare.delete(old);
    drafts.push({ old, group, endpoints });
  }
  return [...wanted.values()];
}

/** Endpoints without a slice: into those with room, then into ones nobody needs, then into new ones. */
function place(
  pending: readonly Endpoint[],
  group: EndpointGroup,
  spare: Set<EndpointSlice>,
  drafts: Draft[],
): void {
  const mine = drafts.filter((draft) => draft.group === group);
  let at = 0;
  for (const { endpoints } of mine)
    while (endpoints.length < MAX_ENDPOINTS && at < pending.length) endpoints.push(pending[at++]!);
  while (at < pending.length || (mine.length === 0 && group.endpoints.length === 0)) {
    const fitting = [...spare].filter(({ addressType }) => addressType === group.addressType);
    const old = fitting.find(({ ports = [] }) => equal(ports, group.ports)) ?? fitting[0];
    if (old) spare.delete(old);
    const draft = { old, group, endpoints: pending.slice(at, at + MAX_ENDPOINTS) };
    at += draft.endpoints.length;
    mine.push(draft);
    drafts.push(draft);
  }
}

function build(
  set: SliceSet,
  old: EndpointSlice | undefined,
  group: EndpointGroup,
  endpoints: Endpoint[],
  named: Set<string>,
): EndpointSlice {
  const ports = group.ports.length > 0 ? { ports: [...group.ports] } : {};
  const { labels, ownerReferences } = set.template;
  const content = { addressType: group.addressType, endpoints, ...ports };
  if (old) {
    const metadata = { ...old.metadata, labels, ...(ownerReferences && { ownerReferences }) };
    const { apiVersion, kind } = old;
    const next: EndpointSlice = { apiVersion, kind, metadata, ...content };
    return equal(next, old) ? old : next;
  }
  const { name, namespace } = set.service.metadata;
  for (let n = 0; ; n++) {
    const sliceName = `${name}-${hashSuffix(`${keyOf(set.service)} ${labels![MANAGED_BY]} ${group.addressType} ${n}`)}`;
    const key = `${namespace}/${sliceName}`;
    if (named.has(key) || set.isNamed(key)) continue;
    named.add(key);
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: sliceName, namespace, labels, ...(ownerReferences && { ownerReferences }) },
      ...content,
    };
  }
}
