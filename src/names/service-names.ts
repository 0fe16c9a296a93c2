/**
 * The names of one Service: itself, its ports, its endpoints. Kubernetes DNS specification 1.1, §2.3 – §2.5.
 *
 * Theory of operation. An entry holds the Service and the slices that name it, whichever came first; without a Service it has
 * no names. Its ready endpoints are worked out when they are first asked for, and forgotten when one of its objects changes.
 */
import { isExternalName, isHeadless } from '../api/service-type.js';
import { keyOf, type Endpoint, type EndpointPort, type EndpointSlice, type Service } from '../api/types.js';
import { canonical, dashed } from './address-names.js';

/** How an endpoint without a hostname is called. */
export type EndpointNames = 'address' | 'pod';

export const ENDPOINT_NAMES: readonly EndpointNames[] = ['address', 'pod'];

/** An endpoint that counts. */
export interface NamedEndpoint {
  /** Its label below the Service's name. */
  readonly label: string;
  readonly address: string;
  readonly ports: readonly EndpointPort[];
}

/** A port of a Service that has a name, as one SRV record says it. */
export interface PortTarget {
  readonly port: number;
  /** The endpoint's label; undefined: the Service itself. */
  readonly label?: string;
  readonly addresses: readonly string[];
}

const MAX_LABEL_LEN = 63;

export class ServiceNames {
  service: Service | undefined;
  readonly slices = new Map<string, EndpointSlice>();
  #endpoints: readonly NamedEndpoint[] | undefined;
  #byLabel: Map<string, string[]> | undefined;

  /** One of its objects has changed. */
  forget(): void {
    this.#endpoints = undefined;
    this.#byLabel = undefined;
  }

  get isHeadless(): boolean {
    return this.service !== undefined && isHeadless(this.service.spec);
  }

  /** The name an ExternalName Service stands for, as it is written; undefined for others. */
  get externalName(): string | undefined {
    const spec = this.service?.spec;
    return spec && isExternalName(spec) ? (spec.externalName ?? '').replace(/\.$/, '') : undefined;
  }

  /** Its cluster addresses; none when it is headless. */
  clusterIps(): string[] {
    if (!this.service || this.isHeadless || this.externalName !== undefined) return [];
    const { clusterIPs, clusterIP } = this.service.spec;
    return unique((clusterIPs ?? [clusterIP ?? '']).flatMap((ip) => canonical(ip) ?? []));
  }

  /** Ready endpoints, each pair of name and address once for every set of ports. */
  endpoints(names: EndpointNames): readonly NamedEndpoint[] {
    return (this.#endpoints ??= this.#findEndpoints(names));
  }

  #findEndpoints(names: EndpointNames): NamedEndpoint[] {
    const found = new Map<string, NamedEndpoint>();
    for (const slice of this.slices.values()) {
      if (slice.addressType === 'FQDN') continue;
      for (const endpoint of slice.endpoints ?? []) {
        const address = canonical(endpoint.addresses[0] ?? '');
        if (address === undefined || !this.#isReady(endpoint)) continue;
        const label = labelOf(endpoint, address, names);
        const key = `${label} ${address}`;
        const known = found.get(key);
        found.set(key, { label, address, ports: [...(known?.ports ?? []), ...(slice.ports ?? [])] });
      }
    }
    return [...found.values()];
  }

  /** A condition that is left out counts as true. */
  #isReady({ conditions }: Endpoint): boolean {
    return this.service?.spec.publishNotReadyAddresses === true || conditions?.ready !== false;
  }

  /** Addresses of the endpoints that are called `label`. */
  endpointAddresses(label: string, names: EndpointNames): readonly string[] {
    if (!this.#byLabel) {
      this.#byLabel = new Map();
      for (const endpoint of this.endpoints(names)) {
        const known = this.#byLabel.get(endpoint.label);
        if (known) known.push(endpoint.address);
        else this.#byLabel.set(endpoint.label, [endpoint.address]);
      }
    }
    return this.#byLabel.get(label) ?? [];
  }

  /**
   * What its ports lead to: the Service, or when it is headless each endpoint on the port that the endpoint has.
   *
   * @param name      the port's name, or undefined for all that have one
   * @param protocol  lower case; with undefined any
   */
  ports(name: string | undefined, protocol: string | undefined, names: EndpointNames): PortTarget[] {
    const isMeant = (port: { name?: string; protocol?: string }): boolean =>
      Boolean(port.name) &&
      (name === undefined || port.name === name) &&
      (protocol === undefined || (port.protocol ?? 'TCP').toLowerCase() === protocol);
    if (!this.service || this.externalName !== undefined) return [];
    if (!this.isHeadless) {
      const addresses = this.clusterIps();
      return (this.service.spec.ports ?? []).filter(isMeant).map(({ port }) => ({ port, addresses }));
    }
    const targets = new Map<string, PortTarget & { addresses: string[] }>();
    for (const { label, address, ports } of this.endpoints(names))
      for (const { port } of ports.filter(isMeant)) {
        if (port === undefined) continue;
        const key = `${label} ${port}`;
        const known = targets.get(key);
        if (known) known.addresses.push(address);
        else targets.set(key, { label, port, addresses: [address] });
      }
    return [...targets.values()];
  }

  /** Whether some port of it has a name and this protocol, lower case. */
  hasProtocol(protocol: string, names: EndpointNames): boolean {
    return this.ports(undefined, protocol, names).length > 0;
  }

  /** `namespace/name`. */
  get key(): string {
    return this.service ? keyOf(this.service) : '';
  }
}

/** The hostname where there is one; §2.4.1 leaves the rest to us. */
function labelOf({ hostname, targetRef }: Endpoint, address: string, names: EndpointNames): string {
  if (hostname) return hostname.toLowerCase();
  const pod = names === 'pod' && targetRef?.kind === 'Pod' ? (targetRef.name ?? '') : '';
  return pod !== '' && pod.length <= MAX_LABEL_LEN && !pod.includes('.') ? pod : dashed(address);
}

export const unique = <T>(items: readonly T[]): T[] => [...new Set(items)];
