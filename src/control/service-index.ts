/**
 * Services and what belongs to them, found without a walk through all there is; and which Services something has
 * happened to since it was last looked at.
 *
 * Theory of operation. Lists are followed by what has changed in them. A Service is due when it, one of its slices, its
 * Endpoints, or a pod that its selector matched or matches has changed; all are when the lab or a node has, on which
 * every Service may depend. It stays due until a run finds nothing to do. Keys (`namespace/name`) of Services that are
 * gone are due too: what was made for them is an orphan. So a change costs what it touches, however many Services there
 * are; the result of a run does not depend on what is remembered.
 *
 * Objects are compared by identity: whoever keeps an index must never change an object, but replace it.
 */
import { TrackedObjects } from '../api/tracked-objects.js';
import {
  keyOf,
  SERVICE_NAME,
  type ClusterView,
  type Endpoints,
  type EndpointSlice,
  type Lab,
  type Namespace,
  type Node,
  type Pod,
  type Service,
} from '../api/types.js';
import { inCreationOrder } from './order.js';

/** Objects by `namespace/name`. */
export interface ServiceLookup {
  service(key: string): Service | undefined;
  slice(key: string): EndpointSlice | undefined;
  endpoints(key: string): Endpoints | undefined;
}

const labelId = (namespace: string | undefined, key: string, value: string): string =>
  `${namespace}\n${key}\n${value}`;

/** The key of the Service that a slice belongs to. */
const serviceKeyOf = ({ metadata }: EndpointSlice): string =>
  `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;

const isMatched = ({ metadata, spec }: Service, pod: Pod): boolean =>
  metadata.namespace === pod.metadata.namespace &&
  Object.entries(spec.selector ?? {}).every(([key, value]) => pod.metadata.labels?.[key] === value);

export class ServiceIndex implements ServiceLookup {
  readonly #services = new Map<string, Service>();
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #slicesOf = new Map<string, Set<EndpointSlice>>();
  readonly #endpoints = new Map<string, Endpoints>();
  readonly #podsOf = new Map<string, Set<Pod>>();
  /** Services by one label that their selector wants. */
  readonly #selecting = new Map<string, Set<Service>>();
  /** Where each of them stands there. */
  readonly #selectedBy = new Map<Service, string>();
  readonly #due = new Set<string>();
  #lab: Lab | undefined;
  #nodes: readonly Node[] = [];

  readonly #tracked = {
    namespaces: new TrackedObjects<Namespace>(),
    services: new TrackedObjects<Service>(),
    endpointSlices: new TrackedObjects<EndpointSlice>(),
    endpoints: new TrackedObjects<Endpoints>(),
    pods: new TrackedObjects<Pod>(),
  };

  /** Take in what has changed. */
  sync(view: ClusterView): void {
    const tracked = this.#tracked;
    tracked.services.sync(view.services, (service, by) => this.#moveService(service, by));
    tracked.endpointSlices.sync(view.endpointSlices, (slice, by) => {
      move(this.#slices, keyOf(slice), slice, by);
      moveIn(this.#slicesOf, serviceKeyOf(slice), slice, by);
      this.#due.add(serviceKeyOf(slice));
    });
    tracked.endpoints.sync(view.endpoints, (endpoints, by) => {
      move(this.#endpoints, keyOf(endpoints), endpoints, by);
      this.#due.add(keyOf(endpoints));
    });
    tracked.pods.sync(view.pods, (pod, by) => this.#movePod(pod, by));
    const { lab, nodes } = view;
    if (lab !== this.#lab || !isSame(nodes, this.#nodes))
      for (const key of this.#services.keys()) this.#due.add(key);
    // One that was ending may have been made anew.
    const renewed = new Set<string>();
    tracked.namespaces.sync(view.namespaces, ({ metadata }) => void renewed.add(metadata.name));
    if (renewed.size > 0)
      for (const [key, { metadata }] of this.#services)
        if (renewed.has(metadata.namespace ?? '')) this.#due.add(key);
    this.#lab = lab;
    this.#nodes = [...nodes];
  }

  #moveService(service: Service, by: 1 | -1): void {
    const key = keyOf(service);
    move(this.#services, key, service, by);
    this.#due.add(key);
    if (by > 0) {
      const ids = Object.entries(service.spec.selector ?? {}).map(([label, value]) =>
        labelId(service.metadata.namespace, label, value),
      );
      const [rarest] = ids.sort((a, b) => sizeOf(this.#selecting, a) - sizeOf(this.#selecting, b));
      if (rarest === undefined) return;
      this.#selectedBy.set(service, rarest);
      moveIn(this.#selecting, rarest, service, 1);
    } else {
      const id = this.#selectedBy.get(service);
      if (id === undefined) return;
      this.#selectedBy.delete(service);
      moveIn(this.#selecting, id, service, -1);
    }
  }

  #movePod(pod: Pod, by: 1 | -1): void {
    for (const [label, value] of Object.entries(pod.metadata.labels ?? {})) {
      const id = labelId(pod.metadata.namespace, label, value);
      moveIn(this.#podsOf, id, pod, by);
      for (const service of this.#selecting.get(id) ?? [])
        if (isMatched(service, pod)) this.#due.add(keyOf(service));
    }
  }

  /** Keys of Services that are to be looked at, whether they are there or not. */
  get due(): readonly string[] {
    return [...this.#due];
  }

  /** Nothing is to be done for a Service until something happens to it. */
  settle(key: string): void {
    this.#due.delete(key);
  }

  get services(): Iterable<Service> {
    return this.#services.values();
  }

  service(key: string): Service | undefined {
    return this.#services.get(key);
  }

  slice(key: string): EndpointSlice | undefined {
    return this.#slices.get(key);
  }

  endpoints(key: string): Endpoints | undefined {
    return this.#endpoints.get(key);
  }

  /** The slices of a Service, in the order of creation. */
  slicesOf(key: string): EndpointSlice[] {
    return inCreationOrder([...(this.#slicesOf.get(key) ?? [])]);
  }

  /** The pods that a Service selects, in the order of creation: among those that have its rarest label. */
  matching(service: Service): Pod[] {
    let rarest: ReadonlySet<Pod> | undefined;
    for (const [key, value] of Object.entries(service.spec.selector ?? {})) {
      const pods = this.#podsOf.get(labelId(service.metadata.namespace, key, value));
      if (!pods) return [];
      if (!rarest || pods.size < rarest.size) rarest = pods;
    }
    return inCreationOrder([...(rarest ?? [])].filter((pod) => isMatched(service, pod)));
  }
}

const isSame = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

const sizeOf = (sets: ReadonlyMap<string, ReadonlySet<unknown>>, key: string): number =>
  sets.get(key)?.size ?? 0;

function move<T>(map: Map<string, T>, key: string, value: T, by: 1 | -1): void {
  if (by > 0) map.set(key, value);
  else if (map.get(key) === value) map.delete(key);
}

function moveIn<T>(sets: Map<string, Set<T>>, key: string, value: T, by: 1 | -1): void {
  const set = sets.get(key);
  if (by > 0) {
    if (set) set.add(value);
    else sets.set(key, new Set([value]));
  } else if (set?.delete(value) && set.size === 0) sets.delete(key);
}
