/**
 * The cluster of an explanation, seen from one host: whose address is it?
 *
 * Objects from files need not be complete. An address of the pod network that no Pod object has, but from which a packet comes or
 * which is an endpoint of a Service, is taken for a pod's: of the node in whose pod CIDR it lies, else of our own.
 */
import { labSpec } from '../api/lab.js';
import { hostPorts } from '../api/pod.js';
import type { ClusterView, Node, Pod, Service } from '../api/types.js';
import { nodeAddresses, type NodeAddresses } from '../compile/node-addresses.js';
import { nodeIps } from '../compile/services.js';
import { cidrContains, parseCidr, parseIpv4, type Cidr } from '../wire/address.js';

/** Whose an address is. */
export type Owner =
  | { readonly kind: 'host' }
  | { readonly kind: 'pod'; readonly pod: Pod }
  /** A pod of ours that is no object. */
  | { readonly kind: 'stranger' }
  /** A pod of another node. */
  | { readonly kind: 'remote'; readonly node: string; readonly pod: Pod | undefined }
  | { readonly kind: 'outside' };

/** The node ports that Kubernetes gives. */
const FIRST_NODE_PORT = 30_000;
const LAST_NODE_PORT = 32_767;

export class Cluster {
  readonly view: ClusterView;
  readonly node: Node;
  readonly self: NodeAddresses;
  /** The host's addresses, that which peers know first. */
  readonly hostIps: readonly number[];
  readonly #podCidr: Cidr | undefined;
  readonly #serviceCidr: Cidr | undefined;
  readonly #pods = new Map<number, Pod>();
  readonly #peers: (readonly [name: string, cidr: Cidr])[] = [];
  readonly #serviceIps = new Set<number>();
  /** Ports on the host's own addresses that are a Service's or a pod's. */
  readonly #hostPorts = new Set<number>();

  /** @throws RangeError when there is no such node, or it has no pod CIDR */
  constructor(view: ClusterView, name: string) {
    const node = view.nodes.find(({ metadata }) => metadata.name === name);
    const known = view.nodes.map(({ metadata }) => metadata.name).join(', ') || 'none';
    if (!node) throw new RangeError(`There is no Node "${name}"; there are: ${known}`);
    const self = nodeAddresses(node.spec?.podCIDR ?? '');
    if (!self)
      throw new RangeError(
        `Node "${name}" has no podCIDR that holds pods, and there is none left for it in the lab's`,
      );
    const spec = labSpec(view.lab);
    this.view = view;
    this.node = node;
    this.self = self;
    this.hostIps = nodeIps(node);
    this.#podCidr = parseCidr(spec.podCIDR);
    this.#serviceCidr = parseCidr(spec.serviceCIDR);
    for (const other of view.nodes) {
      const cidr = parseCidr(other.spec?.podCIDR ?? '');
      if (other !== node && cidr) this.#peers.push([other.metadata.name, cidr]);
    }
    for (const pod of view.pods) {
      const ip = parseIpv4(pod.status?.podIP ?? '');
      if (ip !== undefined && !pod.spec.hostNetwork) this.#pods.set(ip, pod);
    }
    for (const service of view.services)
      for (const ip of ipsOf(service)) {
        this.#serviceIps.add(ip);
        if (this.isHostsOwn(ip)) for (const { port } of service.spec.ports ?? []) this.#hostPorts.add(port);
      }
    for (const pod of view.pods)
      if (pod.spec.nodeName === name)
        for (const { hostPort } of hostPorts(pod)) this.#hostPorts.add(hostPort);
  }

  get name(): string {
    return this.node.metadata.name;
  }

  ownerOf(ip: number): Owner {
    if (this.isHostsOwn(ip)) return { kind: 'host' };
    const pod = this.#pods.get(ip);
    if (pod?.spec.nodeName === this.name) return { kind: 'pod', pod };
    if (pod?.spec.nodeName !== undefined) return { kind: 'remote', node: pod.spec.nodeName, pod };
    if (cidrContains(this.self.cidr, ip)) return { kind: 'stranger' };
    const peer = this.#peers.find(([, cidr]) => cidrContains(cidr, ip));
    if (peer) return { kind: 'remote', node: peer[0], pod: undefined };
    return this.#podCidr && cidrContains(this.#podCidr, ip) ? { kind: 'stranger' } : { kind: 'outside' };
  }

  /** Whether the host's kernel itself has the address. */
  isHostsOwn(ip: number): boolean {
    return ip >>> 24 === 127 || ip === this.self.gateway || this.hostIps.includes(ip);
  }

  /** Endpoints of Services that are pods of ours without being objects. */
  strangers(): Set<number> {
    const found = new Set<number>();
    for (const slice of this.view.endpointSlices)
      if (slice.addressType === 'IPv4')
        for (const { addresses } of slice.endpoints) {
          const ip = parseIpv4(addresses[0] ?? '');
          if (ip !== undefined && ip !== this.self.router && this.ownerOf(ip).kind === 'stranger')
            found.add(ip);
        }
    return found;
  }

  /** Whether only a Service would answer there. */
  isServiceAddress(ip: number, port: number): boolean {
    if (this.isHostsOwn(ip)) return isNodePort(port) || this.#hostPorts.has(port);
    if (this.#serviceIps.has(ip)) return true;
    return this.#serviceCidr !== undefined && cidrContains(this.#serviceCidr, ip);
  }

  /** The Service for whose health the host itself answers on a port. */
  healthCheckOf(port: number): Service | undefined {
    return this.view.services.find(
      ({ spec }) => spec.externalTrafficPolicy === 'Local' && spec.healthCheckNodePort === port,
    );
  }

  /**
   * What the host's kernel does with a packet that came to it, from outside or from the host's own programs: hands it to podwire,
   * keeps it, or sends it elsewhere. The rules and routes that the agent puts there.
   */
  steers(ip: number, port: number): 'podwire' | 'host' | 'elsewhere' {
    if (ip === this.self.gateway) return 'host';
    if (this.isHostsOwn(ip)) return this.isServiceAddress(ip, port) ? 'podwire' : 'host';
    if (this.isServiceAddress(ip, port) || this.ownerOf(ip).kind !== 'outside') return 'podwire';
    return 'elsewhere';
  }
}

const isNodePort = (port: number): boolean => port >= FIRST_NODE_PORT && port <= LAST_NODE_PORT;

/** Addresses on which a Service is reached, but for its node ports. */
function ipsOf({ spec, status }: Service): number[] {
  if (spec.type === 'ExternalName') return [];
  return [
    ...(spec.clusterIPs ?? []),
    spec.clusterIP ?? '',
    ...(spec.externalIPs ?? []),
    ...(status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? ''),
  ]
    .map(parseIpv4)
    .filter((ip) => ip !== undefined);
}
