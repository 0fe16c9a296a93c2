/**
 * Objects → tables, from one view to the next: makes anew only those parts of the image whose objects have changed.
 *
 * Theory of operation. The parts: one a Service (its slices included), this host's own, its pods' host ports, and endpoints that
 * drain. Lists of the view are compared by identity ({@link TrackedObjects}); a Service that has changed, or one of whose slices
 * has, is *dirty* and compiled at the next turn. All are when something changes on which all depend ({@link Surroundings}). The
 * small parts of the host are made anew each time. From nothing to a view and from view to view is the same path.
 *
 * An endpoint that left its slices has *departed*: while a pod has its address it stays, draining; then it is gone for good.
 *
 * Whoever compiles must never change an object of a view, but replace it.
 */
import { labSpec } from '../api/lab.js';
import { TrackedObjects } from '../api/tracked-objects.js';
import { keyOf, SERVICE_NAME, type EndpointSlice, type Node, type Pod, type Service } from '../api/types.js';
import { ENDPOINT_DRAINING } from '../tables/services.js';
import { formatIpv4 } from '../wire/address.js';
import { compileHost, SEGMENT, type CompileInput } from './compile.js';
import { emptyImage, NO_ROWS, Part, type Ids, type Image, type PartChange, type Row } from './image.js';
import { nodeAddresses, type NodeAddresses } from './node-addresses.js';
import { compileHostPorts, compileService, nodeIps, type Surroundings } from './services.js';

const ZONE = 'topology.kubernetes.io/zone';
/** Words of an endpoint's row. */
const STATE = 0;
const ADDRESS = 4;

export interface Compiled {
  readonly parts: readonly PartChange[];
  /** What could not be compiled. */
  readonly problems: readonly string[];
}

export class Compiler {
  /** How many Services were compiled so far. */
  compiled = 0;
  readonly #ids: Ids;
  readonly #tracked = {
    services: new TrackedObjects<Service>(),
    slices: new TrackedObjects<EndpointSlice>(),
    pods: new TrackedObjects<Pod>(),
  };
  readonly #services = new Map<string, Service>();
  /**
   * Of each Service, by the slice's name. A Service without slices is taken out when it is compiled, not before: a slice that is replaced goes
   * and comes, and a key of a large map that does so over and over leaves a chain of holes to walk.
   */
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  /** Pods of our node. */
  readonly #own = new Map<string, Pod>();
  /** How many pods have an address. */
  readonly #addresses = new Map<string, number>();
  /** What all Services were compiled with last. */
  #around = '';
  readonly #dirty = new Set<string>();
  /** Parts as they were last given. */
  readonly #parts = new Map<string, Part>();
  #host = NO_ROWS;
  #hostPorts = NO_ROWS;
  /** A part for each endpoint that drains: there may be as many as there were Services. */
  readonly #draining = new Map<string, Part>();
  /** Rows of endpoints that are in no slice any more. */
  readonly #departed = new Map<string, Row>();
  /** Endpoints that have departed, or are back, since they were last looked at. */
  readonly #moved = new Set<string>();
  #haveAddressesChanged = false;

  constructor(ids: Ids) {
    this.#ids = ids;
  }

  /**
   * Bring the image in step with a view. The first time all parts are new.
   *
   * @returns nothing but a problem when our node has no pod CIDR yet
   * @throws  RangeError when a table is full; what has changed is then looked at again the next time
   */
  update(input: CompileInput): Compiled {
    this.#track(input);
    const node = input.view.nodes.find((one) => one.metadata.name === input.node);
    const self = nodeAddresses(node?.spec?.podCIDR ?? '');
    if (!self) return { parts: this.#clear(), problems: [`Node "${input.node}" has no usable podCIDR yet`] };
    const around = this.#surroundings(input, node, self);
    const services: { key: string; before: Part; after: Part }[] = [];
    for (const key of this.#dirty) {
      const after = this.#service(around, key);
      const before = this.#parts.get(key) ?? NO_ROWS;
      if (after.rows.length > 0 || before.rows.length > 0) services.push({ key, before, after });
    }
    const host = new Part();
    const own = [...this.#own.values()];
    const problems = compileHost({ input, self, own }, this.#ids, host);
    const hostPorts = new Part();
    compileHostPorts(around, this.#ids, hostPorts, own);

    this.#dirty.clear();
    for (const { key, before, after } of services) {
      this.#depart(before, after);
      if (after.rows.length > 0) this.#parts.set(key, after);
      else this.#parts.delete(key);
    }
    const parts: PartChange[] = [
      ...services,
      { before: this.#host, after: host },
      { before: this.#hostPorts, after: hostPorts },
      ...this.#drain(),
    ];
    this.#host = host;
    this.#hostPorts = hostPorts;
    return { parts, problems };
  }

  /** What the view has that it had not, or has no more. */
  #track({ view, node }: CompileInput): void {
    const { services, slices, pods } = this.#tracked;
    services.sync(view.services, (service, by) => {
      const key = keyOf(service);
      if (by === 1) this.#services.set(key, service);
      else this.#services.delete(key);
      this.#dirty.add(key);
    });
    slices.sync(view.endpointSlices, (slice, by) => {
      const name = slice.metadata.labels?.[SERVICE_NAME];
      if (name === undefined || slice.addressType !== 'IPv4') return;
      const key = `${slice.metadata.namespace}/${name}`;
      const own = this.#slices.get(key) ?? new Map<string, EndpointSlice>();
      if (by === 1) this.#slices.set(key, own.set(slice.metadata.name, slice));
      else own.delete(slice.metadata.name);
      this.#dirty.add(key);
    });
    pods.sync(view.pods, (pod, by) => {
      this.#haveAddressesChanged = true;
      const ip = pod.status?.podIP ?? '';
      const count = (this.#addresses.get(ip) ?? 0) + by;
      if (count > 0) this.#addresses.set(ip, count);
      else this.#addresses.delete(ip);
      if (pod.spec.nodeName !== node) return;
      if (by === 1) this.#own.set(keyOf(pod), pod);
      else this.#own.delete(keyOf(pod));
    });
  }

  /** What Services depend on besides themselves. When it has changed all of them are dirty. */
  #surroundings({ view, node }: CompileInput, us: Node | undefined, self: NodeAddresses): Surroundings {
    const around: Surroundings = {
      node,
      zone: us?.metadata.labels?.[ZONE],
      nodeIps: nodeIps(us),
      gateway: self.gateway,
      segment: this.#ids.of('segments', SEGMENT),
      scheduler: labSpec(view.lab).proxy.scheduler,
    };
    const text = JSON.stringify(around);
    if (text !== this.#around) for (const key of this.#services.keys()) this.#dirty.add(key);
    this.#around = text;
    return around;
  }

  #service(around: Surroundings, key: string): Part {
    if (this.#slices.get(key)?.size === 0) this.#slices.delete(key);
    const service = this.#services.get(key);
    if (!service) return NO_ROWS;
    this.compiled++;
    const part = new Part();
    compileService(around, this.#ids, part, service, [...(this.#slices.get(key)?.values() ?? [])]);
    return part;
  }

  /** Note which endpoints a Service has lost, and which are back. */
  #depart(before: Part, after: Part): void {
    for (const row of before.rows) if (row.table === 'endpoints') this.#departed.set(row.key, row);
    for (const row of after.rows) if (row.table === 'endpoints') this.#departed.delete(row.key);
    for (const { rows } of [before, after])
      for (const { table, key } of rows) if (table === 'endpoints') this.#moved.add(key);
  }

  /** Endpoints that begin to drain, and those that do no longer: one is back, or no pod has its address. */
  #drain(): PartChange[] {
    const changes: PartChange[] = [];
    if (this.#haveAddressesChanged) for (const key of this.#departed.keys()) this.#moved.add(key);
    for (const key of this.#moved) {
      const row = this.#departed.get(key);
      const isAlive = row && this.#addresses.has(formatIpv4(row.words[ADDRESS]!));
      const before = this.#draining.get(key) ?? NO_ROWS;
      let after = NO_ROWS;
      if (isAlive) {
        after = new Part();
        const words = row.words.slice();
        words[STATE] = ENDPOINT_DRAINING;
        after.set('endpoints', key, words);
        this.#draining.set(key, after);
      } else {
        this.#departed.delete(key);
        this.#draining.delete(key);
      }
      if (before !== after) changes.push({ before, after });
    }
    this.#moved.clear();
    this.#haveAddressesChanged = false;
    return changes;
  }

  /** Nothing is left, and everything will be new. */
  #clear(): PartChange[] {
    const all = [...this.#parts.values(), this.#host, this.#hostPorts, ...this.#draining.values()];
    this.#parts.clear();
    this.#departed.clear();
    this.#draining.clear();
    this.#host = this.#hostPorts = NO_ROWS;
    this.#around = '';
    return all.map((before) => ({ before, after: NO_ROWS }));
  }
}

/** All rows for one view, from nothing. */
export function compile(
  input: CompileInput,
  ids: Ids,
): { readonly image: Image; readonly problems: readonly string[] } {
  const { parts, problems } = new Compiler(ids).update(input);
  const image = emptyImage();
  for (const { after } of parts) for (const { table, key, words } of after.rows) image[table].set(key, words);
  return { image, problems };
}
