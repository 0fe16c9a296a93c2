/**
 * Services: from all objects to the changes of Services, EndpointSlices and Endpoints.
 *
 * Whatever of a Service depends on other objects is decided here, one Service after the other in the order of creation.
 * Only those are looked at to which something has happened, see service-index.ts.
 */
import { equal } from '../api/json.js';
import { hasSelector } from '../api/service-type.js';
import {
  keyOf,
  MANAGED_BY,
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
import type { ServiceIndex } from './service-index.js';

export interface ServiceOptions {
  /** Whether pods that nobody has reported on count as ready. */
  readonly assumesReady: boolean;
  /** Services (`namespace/name`) whose endpoints are as given and stay so. */
  readonly keeps: ReadonlySet<string>;
}

/**
 * @param view   all objects, with their defaults
 * @param index  of the same view, perhaps as it was before; taken to what it is now
 */
export function reconcileServices(
  view: ClusterView,
  now: number,
  options: ServiceOptions,
  index: ServiceIndex,
): Change[] {
  const changes: Change[] = [];
  index.sync(view);
  const { due } = index;
  if (due.length === 0) return changes;
  const ending = new Set(
    view.namespaces.flatMap(({ metadata }) => (metadata.deletionTimestamp ? metadata.name : [])),
  );
  const isStaying = ({ metadata }: Service): boolean =>
    !metadata.deletionTimestamp && !ending.has(metadata.namespace ?? '');
  const nodes = new Map(view.nodes.map((node) => [node.metadata.name, node]));
  const pool = poolOf(view.lab, view.nodes);
  let takenKeys: Set<string> | undefined;
  const taken = (): Set<string> =>
    (takenKeys ??= new Set(
      [...index.services].flatMap((service) => allocations(service).map(({ key }) => key)),
    ));

  const found = due.flatMap((key) => index.service(key) ?? []);
  for (const service of inCreationOrder(found)) {
    const key = keyOf(service);
    if (!isStaying(service)) {
      index.settle(key);
      continue;
    }
    const existing = index.slicesOf(key);
    const before = changes.length;
    const assigned = searchIn(assignService(service, view.lab), taken);
    if (assigned !== service) for (const allocation of allocations(assigned)) taken().add(allocation.key);
    const { service: balanced, why } = withIngress(assigned, pool, taken);

    let slices = existing;
    if (!options.keeps.has(key)) {
      const result = reconcileEndpoints(balanced, existing, index.endpoints(key), {
        pods: index.matching(service),
        nodes,
        assumesReady: options.assumesReady,
        isNamed: (name) => index.slice(name) !== undefined,
      });
      changes.push(...result.changes);
      slices = result.slices;
    }
    const wanted = withOwner(balanced, slices, view.nodes, why, now);
    if (wanted !== service && !equal(wanted, service)) changes.push({ type: 'update', object: wanted });
    // One that waits for an address depends on all others.
    if (changes.length === before && !why) index.settle(key);
  }
  for (const key of due.filter((key) => !index.service(key)).sort()) {
    const left = orphans(key, index, options);
    if (left.length === 0) index.settle(key);
    changes.push(...left);
  }
  return changes;
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
function orphans(key: string, index: ServiceIndex, { keeps }: ServiceOptions): Change[] {
  const slices = index
    .slicesOf(key)
    .filter(
      ({ metadata }) => [CONTROLLER, MIRROR].includes(metadata.labels?.[MANAGED_BY] ?? '') && !keeps.has(key),
    );
  const endpoints = index.endpoints(key);
  const objects = endpoints && isKept(endpoints) ? [...slices, endpoints] : slices;
  return objects.map((object) => ({ type: 'remove', object }));
}
