/**
 * Services: from all objects to the changes of Services, EndpointSlices and Endpoints.
 *
 * Whatever of a Service depends on other objects is decided here, one Service after the other in the order of creation.
 * Pods are found by their rarest label, so that a Service costs what its own pods cost, not what all pods do.
 */
import { equal } from '../api/json.js';
import { hasSelector } from '../api/service-type.js';
import {
  keyOf,
  MANAGED_BY,
  SERVICE_NAME,
  type ClusterView,
  type Endpoints,
  type EndpointSlice,
  type Node,
  type Pod,
  type Service,
} from '../api/types.js';
import { allocations } from './allocations.js';
import type { Change } from './change.js';
import { CONTROLLER, endpointGroups, packSlices, sliceTemplate, type SliceSet } from './endpoint-slices.js';
import {
  endpointsOf,
  isKept,
  isMirrored,
  MIRROR,
  mirrorGroups,
  mirrorTemplate,
  released,
} from './endpoints.js';
import { poolOf, withIngress, withOwner } from './load-balancers.js';
import { inCreationOrder } from './order.js';
import { assignService, searchIn } from './service-allocation.js';
import type { ServiceMemo } from './service-memo.js';

export interface ServiceOptions {
  /** Whether pods that nobody has reported on count as ready. */
  readonly assumesReady: boolean;
  /** Services (`namespace/name`) whose endpoints are as given and stay so. */
  readonly keeps: ReadonlySet<string>;
  /** For who runs again and again on objects that mostly stay the same. */
  readonly memo?: ServiceMemo;
}

/** @param view  all objects, with their defaults */
export function reconcileServices(view: ClusterView, now: number, options: ServiceOptions): Change[] {
  const changes: Change[] = [];
  const ending = new Set(
    view.namespaces.flatMap(({ metadata }) => (metadata.deletionTimestamp ? metadata.name : [])),
  );
  const isStaying = ({ metadata }: Service): boolean =>
    !metadata.deletionTimestamp && !ending.has(metadata.namespace ?? '');
  const services = inCreationOrder(view.services).filter(isStaying);
  const byKey = new Map(view.services.map((service) => [keyOf(service), service]));
  const slicesOf = groupSlices(view.endpointSlices);
  const named = new Set(view.endpointSlices.map(keyOf));
  const endpointsByKey = new Map(view.endpoints.map((endpoints) => [keyOf(endpoints), endpoints]));
  const nodes = new Map(view.nodes.map((node) => [node.metadata.name, node]));
  const pods = indexPods(view.pods);
  const pool = poolOf(view.lab, view.nodes);
  const { memo } = options;
  memo?.begin(view);
  let takenKeys: Set<string> | undefined;
  const taken = (): Set<string> =>
    (takenKeys ??= new Set(view.services.flatMap((service) => allocations(service).map(({ key }) => key))));

  for (const service of services) {
    const key = keyOf(service);
    const existing = slicesOf.get(key) ?? [];
    const endpoints = endpointsByKey.get(key);
    const matching = pods.matching(service);
    const around = [endpoints, ...existing, ...matching];
    if (memo?.isSettled(service, around)) continue;
    const before = changes.length;
    const assigned = searchIn(assignService(service, view.lab), taken);
    if (assigned !== service) for (const allocation of allocations(assigned)) taken().add(allocation.key);
    const { service: balanced, why } = withIngress(assigned, pool, taken);

    let slices = existing;
    if (!options.keeps.has(key)) {
      const result = reconcileEndpoints(balanced, existing, endpoints, {
        pods: matching,
        nodes,
        assumesReady: options.assumesReady,
        isNamed: (name) => named.has(name),
      });
      changes.push(...result.changes);
      slices = result.slices;
    }
    const wanted = withOwner(balanced, slices, view.nodes, why, now);
    if (wanted !== service && !equal(wanted, service)) changes.push({ type: 'update', object: wanted });
    // One that waits for an address depends on all others.
    if (changes.length === before && !why) memo?.settle(service, around);
  }
  return changes.concat(orphans(view, byKey, options));
}

interface Surroundings {
  /** Those the Service selects. */
  readonly pods: readonly Pod[];
  readonly nodes: ReadonlyMap<string, Node>;
  readonly assumesReady: boolean;
  isNamed(key: string): boolean;
}

/** One Service's slices and Endpoints. @returns also all its slices as they then are */
function reconcileEndpoints(
  service: Service,
  existing: readonly EndpointSlice[],
  endpoints: Endpoints | undefined,
  { pods, nodes, assumesReady, isNamed }: Surroundings,
): { changes: Change[]; slices: EndpointSlice[] } {
  const managedBy = (who: string): EndpointSlice[] =>
    existing.filter(({ metadata }) => metadata.labels?.[MANAGED_BY] === who);
  const selects = hasSelector(service.spec);
  const own = packSlices({
    service,
    groups: selects ? endpointGroups(service, pods, nodes, assumesReady) : [],
    template: sliceTemplate(service),
    existing: managedBy(CONTROLLER),
    hasPlaceholder: selects,
    isNamed,
  } satisfies SliceSet);
  const isCopied = endpoints !== undefined && isMirrored(endpoints, service);
  const mirrored = packSlices({
    service,
    groups: isCopied ? mirrorGroups(endpoints) : [],
    template: isCopied ? mirrorTemplate(endpoints) : {},
    existing: managedBy(MIRROR),
    hasPlaceholder: false,
    isNamed,
  } satisfies SliceSet);
  const changes = [...own.changes, ...mirrored.changes];
  if (selects) {
    const wanted = endpointsOf(service, own.slices, endpoints);
    if (!endpoints) changes.push({ type: 'create', object: wanted });
    else if (wanted !== endpoints) changes.push({ type: 'update', object: wanted });
  } else if (endpoints && isKept(endpoints)) changes.push({ type: 'update', object: released(endpoints) });
  const others = existing.filter(
    ({ metadata }) => ![CONTROLLER, MIRROR].includes(metadata.labels?.[MANAGED_BY] ?? ''),
  );
  return { changes, slices: [...own.slices, ...mirrored.slices, ...others] };
}

/** Slices and Endpoints that control made for a Service, or for Endpoints, that are gone. */
function orphans(
  view: ClusterView,
  services: ReadonlyMap<string, Service>,
  { keeps }: ServiceOptions,
): Change[] {
  const slices = view.endpointSlices.filter(({ metadata }) => {
    const key = `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;
    const isOurs = [CONTROLLER, MIRROR].includes(metadata.labels?.[MANAGED_BY] ?? '');
    return isOurs && !services.has(key) && !keeps.has(key);
  });
  const endpoints = view.endpoints.filter((object) => isKept(object) && !services.has(keyOf(object)));
  return [...slices, ...endpoints].map((object) => ({ type: 'remove', object }));
}

/** Slices by the Service they belong to, in an order that does not depend on the view's. */
function groupSlices(slices: readonly EndpointSlice[]): Map<string, EndpointSlice[]> {
  const result = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const name = slice.metadata.labels?.[SERVICE_NAME];
    if (name === undefined) continue;
    const key = `${slice.metadata.namespace}/${name}`;
    const list = result.get(key);
    if (list) list.push(slice);
    else result.set(key, [slice]);
  }
  for (const [key, list] of result) if (list.length > 1) result.set(key, inCreationOrder(list));
  return result;
}

interface PodIndex {
  /** The pods that a Service selects, in the order of creation. */
  matching(service: Service): Pod[];
}

function indexPods(pods: readonly Pod[]): PodIndex {
  const byLabel = new Map<string, Pod[]>();
  const keyed = (namespace: string | undefined, key: string, value: string): string =>
    `${namespace}\n${key}\n${value}`;
  for (const pod of inCreationOrder(pods)) {
    for (const [key, value] of Object.entries(pod.metadata.labels ?? {})) {
      const id = keyed(pod.metadata.namespace, key, value);
      const list = byLabel.get(id);
      if (list) list.push(pod);
      else byLabel.set(id, [pod]);
    }
  }
  return {
    matching({ metadata, spec }) {
      const terms = Object.entries(spec.selector ?? {});
      let rarest: Pod[] | undefined;
      for (const [key, value] of terms) {
        const list = byLabel.get(keyed(metadata.namespace, key, value)) ?? [];
        if (!rarest || list.length < rarest.length) rarest = list;
      }
      return (rarest ?? []).filter(({ metadata: { labels = {} } }) =>
        terms.every(([key, value]) => labels[key] === value),
      );
    },
  };
}
