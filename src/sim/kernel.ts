/**
 * A host's kernel in the simulator, as far as the packet path leans on it: what stands behind `pw0` and behind the
 * underlay's NIC. It delivers to the host's own sockets, leads to the router what is the router's, and forwards the rest,
 * by the rules and routes of `agent/host-items.ts` in their order.
 *
 * Sockets are two endpoints: at the gateway address, from which the host speaks to pods and Services, and at the node's own
 * address, from which it speaks on the underlay and where pods with `hostNetwork` live.
 *
 * Not here: ICMP of its own (a packet without a way is dropped), fragments, the raw socket that feeds echoes to the router.
 */
import type { ClusterView } from '../api/types.js';
import { steeredHostPorts } from '../compile/host-ports.js';
import type { NodeAddresses } from '../compile/node-addresses.js';
import {
  isSteeredAnyway,
  NO_SERVICE_ADDRESSES,
  serviceAddresses,
  type ServiceAddresses,
} from '../compile/service-addresses.js';
import { cidrContains, formatCidr, formatIpv4, parseIpv4, type Cidr } from '../wire/address.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import type { Endpoint } from './endpoint.js';
import { bytesOfPacket, L2, L3, packetOf, type Offload, type Packet } from './packet.js';

export interface KernelOptions {
  readonly name: string;
  /** On the underlay. */
  readonly address: number;
  readonly addresses: NodeAddresses;
  /** Ranges that lead to the router: of pods and of Services. */
  readonly inside: readonly Cidr[];
  readonly mtu: number;
  readonly offload: number;
}

/** What a kernel needs of the simulator. */
export interface KernelWire {
  /** A frame to the router, by pw0. */
  toRouter(frame: Uint8Array, offload: Offload): void;
  /** A packet to whoever has, or answers for, an address of the underlay. */
  toUnderlay(address: number, frame: Uint8Array, offload: Offload): void;
}

export class Kernel {
  readonly name: string;
  readonly mtu: number;
  readonly offload: number;
  /** Sockets at the gateway address, and at the node's own. Given once they are made. */
  gateway!: Endpoint;
  node!: Endpoint;
  readonly #options: KernelOptions;
  readonly #wire: KernelWire;
  #services: ServiceAddresses = NO_SERVICE_ADDRESSES;
  #routed = new Set<number>();
  #owned = new Set<number>();
  #steered = new Set<string>();

  constructor(options: KernelOptions, wire: KernelWire) {
    this.name = `${options.name}/kernel`;
    this.mtu = options.mtu;
    this.offload = options.offload;
    this.#options = options;
    this.#wire = wire;
  }

  /** What Services and host ports there are. */
  setView(view: ClusterView): void {
    const { name, address, inside } = this.#options;
    this.#services = serviceAddresses(view, name, inside.map(formatCidr));
    this.#routed = new Set(this.#services.routed.map((text) => parseIpv4(text)!));
    this.#owned = new Set(this.#services.owned.map((text) => parseIpv4(text)!));
    this.#steered = new Set([
      ...this.#services.steered.map(({ protocol, port }) => `${protocol} ${port}`),
      ...steeredHostPorts(view, name, formatIpv4(address))
        .filter(({ to }) => parseIpv4(to) === address)
        .map(({ protocol, port }) => `${protocol} ${port}`),
    ]);
  }

  /** Whether this host answers ARP for an address on the underlay. */
  answersFor(address: number): boolean {
    return address === this.#options.address || this.#owned.has(address);
  }

  /** The socket address from which the host speaks to `dst`. */
  socketFor(dst: number): Endpoint {
    return this.#leadsToRouter(dst) ? this.gateway : this.node;
  }

  /** A frame from the router. What it hands up is delivered before any rule steers it. */
  receive(frame: Uint8Array, offload: Offload): void {
    const packet = packetOf(frame);
    const to = ethernet.type(packet.v, L2) === ethernet.TYPE_IPV4 ? ipv4.dst(packet.v, L3) : undefined;
    if (to === this.#options.address) this.node.receive(frame, offload);
    else if (to === undefined || to === this.gateway.ip) this.gateway.receive(frame, offload);
    else if (ipv4.decrementTtl(packet.b, L3)) this.#wire.toUnderlay(to, bytesOfPacket(packet), offload);
  }

  /** A frame from the underlay. */
  fromUnderlay(frame: Uint8Array, offload: Offload): void {
    const packet = packetOf(frame);
    const to = ipv4.dst(packet.v, L3);
    const isRouters = to === this.#options.address ? this.#isSteered(packet) : this.#leadsToRouter(to);
    if (!isRouters) {
      if (to !== this.#options.address) return;
      ethernet.setDst(packet.v, L2, this.node.mac.hi, this.node.mac.lo);
      this.node.receive(bytesOfPacket(packet), offload);
    } else if (ipv4.decrementTtl(packet.b, L3)) this.#toRouter(packet, offload);
  }

  /** A frame from a socket at the node's own address. */
  fromSocket(frame: Uint8Array, offload: Offload): void {
    const packet = packetOf(frame);
    const to = ipv4.dst(packet.v, L3);
    const isRouters = to === this.#options.address ? this.#isSteered(packet) : this.#leadsToRouter(to);
    // Over lo: what a host says to itself never passes by the router.
    if (to === this.gateway.ip) this.gateway.receive(frame, offload);
    else if (isRouters) this.#toRouter(packet, offload);
    else if (to === this.#options.address) this.node.receive(frame, offload);
    else this.#wire.toUnderlay(to, frame, offload);
  }

  #toRouter(packet: Packet, offload: Offload): void {
    const { routerMac, gatewayMac } = this.#options.addresses;
    ethernet.setDst(packet.v, L2, routerMac.hi, routerMac.lo);
    ethernet.setSrc(packet.v, L2, gatewayMac.hi, gatewayMac.lo);
    this.#wire.toRouter(bytesOfPacket(packet), offload);
  }

  #leadsToRouter(to: number): boolean {
    return this.#routed.has(to) || this.#options.inside.some((range) => cidrContains(range, to));
  }

  /** Whether a port of the node's own address is the router's. */
  #isSteered({ v }: Packet): boolean {
    const proto = ipv4.proto(v, L3);
    if (proto !== ipv4.TCP && proto !== ipv4.UDP) return false;
    const port = v.getUint16(L3 + ipv4.headerLen(v, L3) + 2);
    return isSteeredAnyway(port) || this.#steered.has(`${proto === ipv4.TCP ? 'tcp' : 'udp'} ${port}`);
  }
}
