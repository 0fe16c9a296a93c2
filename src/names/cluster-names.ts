/**
 * All names of a cluster: from objects to an index, from a name to what it means. Kubernetes DNS specification 1.1.
 *
 *     cluster.local                                SOA NS
 *     ├── dns-version                              TXT
 *     ├── ns.dns                                   A AAAA     the server itself
 *     ├── svc ── NAMESPACE ── SERVICE              A AAAA SRV, or CNAME
 *     │                         ├── ENDPOINT       A AAAA
 *     │                         └── _tcp ── _PORT  SRV
 *     └── pod ── NAMESPACE ── 10-244-1-3           A AAAA
 *
 * Theory of operation. The index has an entry a Service, an entry an endpoint's address, and a count a namespace; a name is
 * read from its end, label by label, so that a look-up costs the same whatever the number of Services. An object that has
 * changed is known by its identity: its old self is taken out and the new one put in, nothing else is touched.
 *
 * A namespace counts as there when its object is, or anything in it. Names with `*` mean nothing special.
 *
 * Not here: what answers look like (answer.ts), names that are not the cluster's.
 */
import { isTerminal } from '../api/pod.js';
import {
  SERVICE_NAME,
  type ApiObject,
  type ClusterView,
  type EndpointSlice,
  type Pod,
  type PodNames,
  type Service,
} from '../api/types.js';
import { canonical, readReverse, undashed } from './address-names.js';
import type { Meaning } from './records.js';
import { ServiceNames, unique, type EndpointNames, type PortTarget } from './service-names.js';
import { TrackedObjects } from '../api/tracked-objects.js';

export interface NamesOptions {
  /** Lower case, without the last dot: `cluster.local`. */
  readonly zone: string;
  readonly pods: PodNames;
  readonly endpointNames: EndpointNames;
  /** Names below which only we know PTR records, see `reverseZones`. */
  readonly reverseZones: readonly string[];
  /** Addresses of the server itself. */
  readonly servers: readonly string[];
}

/** A name that exists. What it has none of is left out; a name may have nothing but names below it. */
export interface Found {
  readonly meaning: Meaning;
  readonly object?: string;
  readonly addresses?: readonly string[];
  readonly ports?: readonly (PortTarget & { readonly target: string })[];
  readonly alias?: string;
  readonly pointers?: readonly string[];
  readonly text?: string;
}

const BRANCH: Found = { meaning: 'branch' };
/** The version of the specification that we follow. */
const VERSION: Found = { meaning: 'version', text: '1.1.0' };

export class ClusterNames {
  readonly options: NamesOptions;
  /** Raised by every change of a name. */
  generation = 0;
  /** Whether the objects are here; before, nobody can say that a name does not exist. */
  isSynced = false;
  readonly #suffix: string;
  readonly #reverseZones: ReadonlySet<string>;
  /** By `service.namespace`, as they stand in names. */
  readonly #services = new Map<string, ServiceNames>();
  readonly #byClusterIp = new Map<string, ServiceNames[]>();
  /** An endpoint that stands in several slices is several times here. */
  readonly #byEndpoint = new Map<string, ServiceNames[]>();
  /** How many objects name a namespace. */
  readonly #namespaces = new Map<string, number>();
  /** How many pods have an address, by `namespace/address`; only when they are asked for. */
  readonly #podAddresses = new Map<string, number>();
  readonly #tracked = {
    namespaces: new TrackedObjects<ApiObject>(),
    services: new TrackedObjects<Service>(),
    endpointSlices: new TrackedObjects<EndpointSlice>(),
    pods: new TrackedObjects<Pod>(),
  };

  constructor(options: NamesOptions) {
    this.options = options;
    this.#suffix = `.${options.zone}`;
    this.#reverseZones = new Set(options.reverseZones);
  }

  /** Bring the index in step with the objects there are now. */
  sync(view: Pick<ClusterView, 'namespaces' | 'services' | 'endpointSlices' | 'pods'>): void {
    const { namespaces, services, endpointSlices, pods } = this.#tracked;
    let changes = 0;
    changes += namespaces.sync(view.namespaces, (object, by) =>
      this.#countNamespace(object.metadata.name, by),
    );
    changes += services.sync(view.services, (object, by) => this.#putService(object, by));
    changes += endpointSlices.sync(view.endpointSlices, (object, by) => this.#putSlice(object, by));
    changes += pods.sync(view.pods, (object, by) => this.#putPod(object, by));
    if (changes > 0 || !this.isSynced) this.generation++;
    this.isSynced = true;
  }

  /** How many Services there are, for metrics. */
  get serviceCount(): number {
    return this.#services.size;
  }

  #countNamespace(name: string, by: 1 | -1): void {
    count(this.#namespaces, name, by);
  }

  #putService(service: Service, by: 1 | -1): void {
    const { name, namespace = 'default' } = service.metadata;
    this.#countNamespace(namespace, by);
    const key = `${name}.${namespace}`;
    const entry = this.#entry(key);
    if (by < 0) for (const ip of entry.clusterIps()) removeFrom(this.#byClusterIp, ip, entry);
    entry.service = by > 0 ? service : undefined;
    entry.forget();
    if (by > 0) for (const ip of entry.clusterIps()) addTo(this.#byClusterIp, ip, entry);
    this.#dropIfEmpty(key, entry);
  }

  #putSlice(slice: EndpointSlice, by: 1 | -1): void {
    const service = slice.metadata.labels?.[SERVICE_NAME];
    if (service === undefined) return;
    const key = `${service}.${slice.metadata.namespace ?? 'default'}`;
    const entry = this.#entry(key);
    if (by > 0) entry.slices.set(slice.metadata.name, slice);
    else entry.slices.delete(slice.metadata.name);
    entry.forget();
    for (const { addresses } of slice.endpoints ?? []) {
      const address = slice.addressType === 'FQDN' ? undefined : canonical(addresses[0] ?? '');
      if (address === undefined) continue;
      if (by > 0) addTo(this.#byEndpoint, address, entry);
      else removeFrom(this.#byEndpoint, address, entry);
    }
    this.#dropIfEmpty(key, entry);
  }

  #putPod(pod: Pod, by: 1 | -1): void {
    const { namespace = 'default' } = pod.metadata;
    this.#countNamespace(namespace, by);
    if (this.options.pods !== 'verified' || isTerminal(pod)) return;
    const ips = unique([pod.status?.podIP ?? '', ...(pod.status?.podIPs ?? []).map(({ ip }) => ip)]);
    for (const ip of ips) {
      const address = canonical(ip);
      if (address !== undefined) count(this.#podAddresses, `${namespace}/${address}`, by);
    }
  }

  #entry(key: string): ServiceNames {
    let entry = this.#services.get(key);
    if (!entry) this.#services.set(key, (entry = new ServiceNames()));
    return entry;
  }

  #dropIfEmpty(key: string, entry: ServiceNames): void {
    if (!entry.service && entry.slices.size === 0) this.#services.delete(key);
  }

  /** The zone of ours in which a name lies; undefined: it is somebody else's. */
  zoneOf(name: string): string | undefined {
    const { zone } = this.options;
    if (name === zone || name.endsWith(this.#suffix)) return zone;
    if (!name.endsWith('.arpa')) return undefined;
    for (let at = 0; ;) {
      const rest = name.slice(at);
      if (this.#reverseZones.has(rest)) return rest;
      const dot = name.indexOf('.', at);
      if (dot < 0) break;
      at = dot + 1;
    }
    // An address that we know has its name from us wherever it lies.
    return this.#reverse(name)?.pointers ? name : undefined;
  }

  /**
   * What a name means.
   *
   * @param name  of a zone of ours, lower case
   * @returns     undefined when the name does not exist
   */
  find(name: string): Found | undefined {
    const { zone } = this.options;
    if (name === zone) return { meaning: 'apex' };
    if (!name.endsWith(this.#suffix)) {
      if (this.#reverseZones.has(name)) return { meaning: 'apex' };
      return this.#reverse(name);
    }
    // From the end, so that the cost is that of the labels there are.
    const labels = name.slice(0, -this.#suffix.length).split('.');
    switch (labels.pop()) {
      case 'svc':
        return this.#findBelowSvc(labels);
      case 'pod':
        return this.#findBelowPod(labels);
      case 'dns-version':
        return labels.length === 0 ? VERSION : undefined;
      case 'dns':
        if (labels.length === 0) return BRANCH;
        return labels.length === 1 && labels[0] === 'ns'
          ? { meaning: 'nameserver', addresses: this.options.servers }
          : undefined;
      default:
        return undefined;
    }
  }

  #findBelowSvc(labels: string[]): Found | undefined {
    const namespace = labels.pop();
    if (namespace === undefined) return BRANCH;
    if (labels.length === 0) return this.#namespaces.has(namespace) ? BRANCH : undefined;
    const service = labels.pop()!;
    const entry = this.#services.get(`${service}.${namespace}`);
    if (!entry?.service) return undefined;
    const names = this.options.endpointNames;
    const object = entry.key;
    const alias = entry.externalName;
    if (alias !== undefined)
      return labels.length === 0 ? { meaning: 'external-name', object, alias } : undefined;
    const host = `${service}.${namespace}.svc${this.#suffix}`;
    const srv = (ports: readonly PortTarget[]): Found['ports'] =>
      ports.map((port) => ({ ...port, target: port.label === undefined ? host : `${port.label}.${host}` }));
    if (labels.length === 0) {
      const ports = srv(entry.ports(undefined, undefined, names));
      if (!entry.isHeadless) return { meaning: 'cluster-ip', object, addresses: entry.clusterIps(), ports };
      const addresses = unique(entry.endpoints(names).map(({ address }) => address));
      // §2.4.1: without a ready endpoint the name is not there.
      return addresses.length > 0 ? { meaning: 'headless', object, addresses, ports } : undefined;
    }
    const last = labels.pop()!;
    if (labels.length === 0) {
      if (last.startsWith('_')) return entry.hasProtocol(last.slice(1), names) ? BRANCH : undefined;
      const addresses = entry.endpointAddresses(last, names);
      return addresses.length > 0 ? { meaning: 'endpoint', object, addresses } : undefined;
    }
    const port = labels.pop()!;
    if (labels.length > 0 || !port.startsWith('_') || !last.startsWith('_') || port === '_') return undefined;
    const ports = srv(entry.ports(port.slice(1), last.slice(1), names));
    return ports && ports.length > 0 ? { meaning: 'port', object, ports } : undefined;
  }

  #findBelowPod(labels: string[]): Found | undefined {
    const namespace = labels.pop();
    if (namespace === undefined) return BRANCH;
    if (!this.#namespaces.has(namespace)) return undefined;
    const label = labels.pop();
    if (label === undefined) return BRANCH;
    const address = undashed(label);
    const { pods } = this.options;
    if (labels.length > 0 || address === undefined || pods === 'disabled') return undefined;
    if (pods === 'verified' && !this.#podAddresses.has(`${namespace}/${address}`)) return undefined;
    return { meaning: 'pod', addresses: [address] };
  }

  /** Parts of an address count as there: nobody keeps a count of what lies below them. */
  #reverse(name: string): Found | undefined {
    const reverse = readReverse(name);
    if (!reverse) return undefined;
    if (reverse.address === undefined) return reverse.isBranch ? BRANCH : undefined;
    const { address } = reverse;
    const host = (entry: ServiceNames): string =>
      `${entry.service!.metadata.name}.${entry.service!.metadata.namespace ?? 'default'}.svc${this.#suffix}`;
    const services = this.#byClusterIp.get(address);
    if (services)
      return { meaning: 'reverse', object: services[0]!.key, pointers: unique(services.map(host)) };
    const entries = unique(this.#byEndpoint.get(address) ?? []).filter(
      (entry) => entry.service && entry.externalName === undefined,
    );
    const pointers = entries.flatMap((entry) =>
      entry
        .endpoints(this.options.endpointNames)
        .filter((endpoint) => endpoint.address === address)
        .map(({ label }) => `${label}.${host(entry)}`),
    );
    return pointers.length > 0
      ? { meaning: 'reverse', object: entries[0]!.key, pointers: unique(pointers) }
      : undefined;
  }
}

function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + by;
  if (now > 0) counts.set(key, now);
  else counts.delete(key);
}

function addTo<T>(index: Map<string, T[]>, key: string, item: T): void {
  const known = index.get(key);
  if (known) known.push(item);
  else index.set(key, [item]);
}

function removeFrom<T>(index: Map<string, T[]>, key: string, item: T): void {
  const known = index.get(key);
  const at = known?.indexOf(item) ?? -1;
  if (at < 0) return;
  known!.splice(at, 1);
  if (known!.length === 0) index.delete(key);
}
