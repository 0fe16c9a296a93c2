/**
 * Many hosts together: several real hosts in one process, joined by links, under virtual time, from one seed. No root, no
 * clock, no sleeping; a run with the same seed and the same calls is the same run, byte for byte (`traceHash`).
 *
 * Theory of operation. One {@link ClusterView} says what the cluster is. Every change of it reaches each host `publishMs`
 * later through the host's own compiler, master copy and update ring, in the middle of traffic. Events move frames: endpoint
 * → host (at once), host → host (a {@link Link} per direction), host → endpoint (at once). Behind each host's `pw0` stands its
 * kernel, which also forwards between the router and the underlay, where outsiders live.
 *
 * Not here: the control side's decisions; pods and nodes are placed by the caller, addresses given out in order.
 */
import { FLANNEL_BACKEND_DATA, FLANNEL_PUBLIC_IP, type ClusterView, type LabSpec } from '../api/types.js';
import { labSpec } from '../api/lab.js';
import { podMtu } from '../compile/compile.js';
import { nodeAddresses } from '../compile/node-addresses.js';
import { avalanche, mix } from '../tables/hash-index.js';
import { OFFLOAD_CSUM, OFFLOAD_TSO, OFFLOAD_USO } from '../tables/ports.js';
import type { Capacities } from '../tables/tables.js';
import { formatIpv4, formatMac, macOfIpv4, parseCidr, parseIpv4 } from '../wire/address.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import { Endpoint } from './endpoint.js';
import { Events } from './events.js';
import { Kernel } from './kernel.js';
import { Link, type LinkOptions } from './link.js';
import { bytesOfPacket, L2, L3, packetOf, type Offload } from './packet.js';
import { createRandom } from './random.js';
import { SimHost, type Behind } from './sim-host.js';

export const ALL_OFFLOADS = OFFLOAD_CSUM | OFFLOAD_TSO | OFFLOAD_USO;
/** Outer IPv4 and UDP headers of a datagram on the underlay. */
const OUTER_HEADERS = 28;

export interface SimOptions {
  seed: number;
  lab?: LabSpec;
  /** Of every link between two hosts, until {@link Sim.link} says otherwise. */
  link?: Partial<LinkOptions>;
  /** How long a change of the cluster takes to reach the hosts. */
  publishMs?: number;
  /** How long a host's turn lets frames gather. */
  turnMs?: number;
  capacities?: Partial<Capacities>;
}

export interface PodOptions {
  /** OFFLOAD_* bits. Default: everything. */
  offload?: number;
  /** Default: the lab's pod MTU. */
  mtu?: number;
  /** Default: the lowest that is free. */
  ip?: number;
}

export interface Sim {
  readonly now: number;
  /** A hash of everything that was delivered, when and where. */
  readonly traceHash: number;
  /** What no kernel may be given, and was. */
  readonly violations: readonly string[];
  readonly hosts: ReadonlyMap<string, SimHost>;
  readonly view: ClusterView;
  /** A host joins: `node1` is 192.168.50.1 with 10.244.1.0/24 unless the lab says otherwise. */
  addHost(name: string): SimHost;
  /** A host leaves: it falls silent, and its node is deleted. */
  removeHost(name: string): void;
  /** A pod starts. */
  addPod(name: string, node: string, options?: PodOptions): Endpoint;
  /** A pod is deleted. Its address may be given out again. */
  removePod(name: string): void;
  /** The sockets of a host's kernel at its gateway address, behind `pw0`. */
  kernel(node: string): Endpoint;
  /** The kernel itself: sockets at both addresses of the host. */
  kernelOf(node: string): Kernel;
  /** Somebody on the underlay who is no host. */
  addOutsider(name: string, ip: number): Endpoint;
  /** Say what there is, list by list. Pods and hosts must have been added; who is left out of a list is not gone from it. */
  setObjects(objects: Partial<ClusterView>): void;
  /** A segment of two ports on a host: both ends. */
  pair(node: string, name: string, options?: [PodOptions, PodOptions]): [Endpoint, Endpoint];
  /** Change the links between two hosts, both ways. */
  link(a: string, b: string, options: Partial<LinkOptions>): void;
  /** The link from one host to another. */
  linkOf(from: string, to: string): Link;
  /** Somebody captures on a port (`pw0`, `vxlan`, `pod default/NAME`), or stops. */
  capture(node: string, portKey: string, on: boolean): void;
  /** Let time pass. */
  run(ms: number): void;
  /** Let time pass until something is so. @returns false when it was not within `maxMs` */
  runUntil(isSo: () => boolean, maxMs: number): boolean;
}

export function createSim(options: SimOptions): Sim {
  const events = new Events();
  const seeds = createRandom(options.seed);
  const { publishMs = 1, turnMs = 0.05 } = options;
  const lab = labSpec({ apiVersion: '', kind: 'Lab', metadata: { name: 'sim' }, spec: options.lab });
  const mtu = podMtu(lab.underlay.mtu);
  const underlay = parseCidr(lab.underlay.cidr ?? '192.168.50.0/24')!.base;
  const podNet = parseCidr(lab.podCIDR)!.base;
  const inside = [lab.podCIDR, lab.serviceCIDR].map((text) => parseCidr(text)!);
  const hosts = new Map<string, SimHost>();
  const byAddress = new Map<number, SimHost>();
  const kernels = new Map<string, Kernel>();
  /** Who has an address on the underlay, but for hosts. */
  const outsiders = new Map<number, Endpoint>();
  const links = new Map<string, Link>();
  const podKeys = new Map<string, { node: string; ip: number }>();
  const violations: string[] = [];
  let view: ClusterView = {
    lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'sim' }, spec: options.lab },
    namespaces: [],
    nodes: [],
    pods: [],
    services: [],
    endpointSlices: [],
    endpoints: [],
  };
  let traceHash = options.seed | 0;
  let isPublishDue = false;
  let nodesMade = 0;
  let pairsMade = 0;

  const seed = (): number => seeds.int(2 ** 32);
  const after = (ms: number, act: () => void): void => events.after(ms, act);
  const now = (): number => events.now;

  /** Everything that is delivered goes into the hash: when, to whom, what. */
  function trace(whom: string, bytes: Uint8Array): void {
    let h = mix(traceHash, Math.round(events.now * 1000));
    for (let i = 0; i < whom.length; i++) h = mix(h, whom.charCodeAt(i));
    for (let i = 0; i + 4 <= bytes.length; i += 4)
      h = mix(h, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    traceHash = avalanche(mix(h, bytes.length));
  }

  function changed(next: Partial<ClusterView>): void {
    view = { ...view, ...next };
    if (isPublishDue) return;
    isPublishDue = true;
    after(publishMs, () => {
      isPublishDue = false;
      for (const host of hosts.values()) {
        kernels.get(host.name)!.setView(view);
        host.publish(view);
      }
    });
  }

  function linkOf(from: string, to: string): Link {
    const key = `${from} ${to}`;
    let link = links.get(key);
    if (!link) {
      link = new Link(events, createRandom(seed()), options.link);
      links.set(key, link);
    }
    return link;
  }

  const endpointOf = (
    ends: ConstructorParameters<typeof Endpoint>[0],
    send: (frame: Uint8Array, offload: Offload) => void,
  ): Endpoint =>
    new Endpoint(ends, {
      send,
      after,
      now,
      random: createRandom(seed()),
      violation: (text) => void violations.push(`${events.now} ms: ${text}`),
    });

  function plug(host: SimHost, portKey: string, ends: ConstructorParameters<typeof Endpoint>[0]): Endpoint {
    const endpoint = endpointOf(ends, (frame, offload) => host.fromEndpoint(portKey, frame, offload));
    host.plug(portKey, endpoint);
    return endpoint;
  }

  /** A packet on the underlay, to whoever has or answers for an address there. */
  function toUnderlay(from: string, to: number, frame: Uint8Array, offload: Offload): void {
    const outsider = outsiders.get(to);
    const host = [...hosts.values()].find(({ name }) => kernels.get(name)!.answersFor(to));
    const name = outsider?.name ?? host?.name;
    if (name === undefined || name === from) return;
    linkOf(from, name).send(frame, 0, (bytes) => {
      trace(name, bytes);
      if (!outsider) return kernels.get(name)!.fromUnderlay(bytes, offload);
      const packet = packetOf(bytes);
      ethernet.setDst(packet.v, L2, outsider.mac.hi, outsider.mac.lo);
      outsider.receive(bytesOfPacket(packet), offload);
    });
  }

  const hostNamed = (name: string): SimHost => {
    const host = hosts.get(name);
    if (!host) throw new RangeError(`Cannot find host "${name}"`);
    return host;
  };

  const sim: Sim = {
    get now() {
      return events.now;
    },
    get traceHash() {
      return traceHash >>> 0;
    },
    get view() {
      return view;
    },
    violations,
    hosts,

    addHost(name) {
      const number = ++nodesMade;
      const address = underlay + number;
      const podCIDR = `${formatIpv4(podNet + (number << 8))}/24`;
      const addresses = nodeAddresses(podCIDR)!;
      const host = new SimHost(
        { name, seed: seed(), address, turnMs, capacities: options.capacities },
        {
          sendDatagram(from, to, payload) {
            const peer = byAddress.get(to);
            if (!peer) return;
            linkOf(name, peer.name).send(payload, OUTER_HEADERS, (bytes) => {
              if (peer.isGone) return;
              trace(peer.name, bytes);
              peer.fromUnderlay(from, bytes);
            });
          },
          deliver(endpoint: Behind, frame: Uint8Array, offload: Offload) {
            trace(endpoint.name, frame);
            after(0, () => endpoint.receive(frame, offload));
          },
          after,
          now,
        },
      );
      hosts.set(name, host);
      byAddress.set(address, host);
      const toRouter = (frame: Uint8Array, offload: Offload): void =>
        host.fromEndpoint('pw0', frame, offload);
      const kernel = new Kernel(
        { name, address, addresses, inside, mtu, offload: ALL_OFFLOADS },
        { toRouter, toUnderlay: (to, frame, offload) => toUnderlay(name, to, frame, offload) },
      );
      const sockets = { mac: addresses.gatewayMac, mtu, offload: ALL_OFFLOADS, router: addresses.routerMac };
      kernel.gateway = endpointOf({ ...sockets, name: kernel.name, ip: addresses.gateway }, toRouter);
      kernel.node = endpointOf({ ...sockets, name: `${name}/node`, ip: address }, (frame, offload) =>
        kernel.fromSocket(frame, offload),
      );
      host.plug('pw0', kernel);
      kernels.set(name, kernel);
      changed({
        nodes: [
          ...view.nodes,
          {
            apiVersion: 'v1',
            kind: 'Node',
            metadata: {
              name,
              annotations: {
                [FLANNEL_PUBLIC_IP]: formatIpv4(address),
                [FLANNEL_BACKEND_DATA]: JSON.stringify({
                  VNI: lab.backend.vni,
                  VtepMAC: formatMac(addresses.vtepMac.hi, addresses.vtepMac.lo),
                }),
              },
            },
            spec: { podCIDR, podCIDRs: [podCIDR] },
            status: { addresses: [{ type: 'InternalIP', address: formatIpv4(address) }] },
          },
        ],
      });
      return host;
    },

    removeHost(name) {
      const host = hostNamed(name);
      host.isGone = true;
      hosts.delete(name);
      byAddress.delete(host.address);
      changed({
        nodes: view.nodes.filter((node) => node.metadata.name !== name),
        pods: view.pods.filter((pod) => pod.spec.nodeName !== name),
      });
    },

    addPod(name, node, podOptions = {}) {
      const host = hostNamed(node);
      const cidr = parseCidr(view.nodes.find((one) => one.metadata.name === node)!.spec!.podCIDR!)!;
      const taken = new Set([...podKeys.values()].map((pod) => pod.ip));
      let ip = podOptions.ip ?? cidr.base + 2;
      while (taken.has(ip)) ip++;
      podKeys.set(name, { node, ip });
      const endpoint = plug(host, `pod default/${name}`, {
        name,
        ip,
        mtu: podOptions.mtu ?? mtu,
        offload: podOptions.offload ?? ALL_OFFLOADS,
        onLink: cidr,
        gateway: cidr.base + 1,
      });
      changed({
        pods: [
          ...view.pods,
          {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: { namespace: 'default', name },
            spec: { nodeName: node, containers: [] },
            status: { podIP: formatIpv4(ip), podIPs: [{ ip: formatIpv4(ip) }] },
          },
        ],
      });
      return endpoint;
    },

    removePod(name) {
      const pod = podKeys.get(name);
      if (!pod) throw new RangeError(`Cannot find pod "${name}"`);
      podKeys.delete(name);
      hosts.get(pod.node)?.unplug(`pod default/${name}`);
      changed({ pods: view.pods.filter((one) => one.metadata.name !== name) });
    },

    kernel: (node) => kernels.get(node)!.gateway,
    kernelOf: (node) => kernels.get(node)!,

    addOutsider(name, ip) {
      const ends = { name, ip, mtu: lab.underlay.mtu, offload: ALL_OFFLOADS, router: macOfIpv4(ip) };
      const outsider = endpointOf(ends, (frame, offload) =>
        toUnderlay(name, ipv4.dst(packetOf(frame).v, L3), frame, offload),
      );
      outsiders.set(ip, outsider);
      return outsider;
    },

    setObjects: changed,

    pair(node, name, ends = [{}, {}]) {
      const host = hostNamed(node);
      const base = parseIpv4('10.0.0.0')! + 4 * pairsMade++;
      const endpoints = ends.map((end, i) =>
        plug(host, `pair ${name}.${i}`, {
          name: `${name}.${i}`,
          ip: base + 1 + i,
          mac: macOfIpv4(base + 1 + i),
          mtu: end.mtu ?? 1500,
          offload: end.offload ?? ALL_OFFLOADS,
        }),
      );
      host.pairs.add(name);
      changed({});
      return [endpoints[0]!, endpoints[1]!];
    },

    link(a, b, change) {
      for (const link of [linkOf(a, b), linkOf(b, a)]) link.options = { ...link.options, ...change };
    },
    linkOf,

    capture(node, portKey, on) {
      const { captured } = hostNamed(node);
      if (on) captured.add(portKey);
      else captured.delete(portKey);
      changed({});
    },

    run(ms) {
      const end = events.now + ms;
      while (events.step(end));
      events.now = end;
    },

    runUntil(isSo, maxMs) {
      const end = events.now + maxMs;
      for (;;) {
        if (isSo()) return true;
        if (!events.step(end)) break;
      }
      events.now = end;
      return isSo();
    },
  };
  return sim;
}
