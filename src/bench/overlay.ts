/**
 * Hosts on one machine without a lab: namespaces on an underlay, a packet path in each, and pods that are bare namespaces.
 * Also hosts that are Linux alone, with the kernel's own bridge and VXLAN. Benchmarks measure one beside the other; end-to-end
 * tests stand on it too.
 *
 * The underlay is `192.0.2.0/24` (RFC 5737), host i is `.i`; pods are those of the default pod CIDR. Several overlays may
 * share an underlay: then hosts are numbered through, and pod CIDRs begin anew in each.
 */
import { pino } from 'pino';
import { hostItems } from '../agent/host-items.js';
import { openHostState } from '../agent/host-state.js';
import { startPacketPath } from '../agent/packet/packet-path.js';
import type { PacketPath } from '../agent/parts.js';
import { LAB_DEFAULTS, labSpec } from '../api/lab.js';
import {
  FLANNEL_BACKEND_DATA,
  FLANNEL_BACKEND_TYPE,
  FLANNEL_PUBLIC_IP,
  type ClusterView,
  type EndpointSlice,
  type Lab,
  type Node,
  type Pod,
  type Service,
} from '../api/types.js';
import { nodeAddresses } from '../compile/node-addresses.js';
import { NO_SERVICE_ADDRESSES } from '../compile/service-addresses.js';
import { runSync, succeed } from '../sys/command.js';
import { ethtool, ip, sysctl } from '../sys/iproute2.js';
import type { Offload } from '../sys/tap.js';
import type { Scope } from './scope.js';

export interface Host {
  readonly name: string;
  readonly netns: string;
  readonly node: Node;
  /** Its number on the underlay: `192.0.2.N`, behind port `wN` of the underlay's bridge. */
  readonly number: number;
  readonly address: string;
  readonly vtepMac: string;
  /** Undefined: not one of ours. */
  path?: PacketPath;
  close?: () => Promise<void>;
}

/**
 * What the underlay carries: `wire-true` frames that a real NIC would carry, put together again by the receiving host (GRO);
 * the same with `no-gro`, as a plain VM's NIC gives them; or `super-frames`, uncut and with unfinished checksums, as a veth passes
 * them.
 */
export type Wire = 'wire-true' | 'no-gro' | 'super-frames';

export interface OverlayOptions {
  wire?: Wire;
  vni?: number;
  port?: number;
  /** Share the underlay of this one. */
  beside?: Overlay;
  /** As of `podwire agent --spin-us`. */
  spinUs?: number;
}

/** A pod: a namespace and its address. */
export interface PodPlace {
  readonly netns: string;
  readonly ip: string;
}

/** `tx off` and friends: the bridge's side hands on only what a real NIC would carry. DESIGN §6. */
const CUT =
  'tx off tso off gso off tx-udp-segmentation off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off';

const MTU = 1450;

export class Overlay {
  readonly underlay: string;
  readonly hosts: Host[] = [];
  readonly #scope: Scope;
  readonly #pods: Pod[] = [];
  #services: Pick<ClusterView, 'services' | 'endpointSlices'> = { services: [], endpointSlices: [] };
  readonly #options: OverlayOptions;
  readonly #lab: Lab;
  readonly #onUnderlay: { hosts: number };

  constructor(scope: Scope, options: OverlayOptions = {}) {
    const { vni, port, beside } = options;
    this.#options = options;
    this.#scope = scope;
    this.#lab = {
      apiVersion: 'podwire.dev/v1alpha1',
      kind: 'Lab',
      metadata: { name: 'bare' },
      spec: { backend: { ...(vni !== undefined && { vni }), ...(port !== undefined && { port }) } },
    };
    this.#onUnderlay = beside ? beside.#onUnderlay : { hosts: 0 };
    this.underlay = beside ? beside.underlay : scope.makeNetns();
    if (beside) return;
    ip(['link add br0 type bridge', 'link set br0 up'], { netns: this.underlay });
    try {
      sysctl('net.bridge.bridge-nf-call-iptables', '0', this.underlay);
    } catch {
      // without br_netfilter there is nothing to switch off
    }
  }

  /** A host without anything on it yet. */
  protected newHost(netns: string, vtepMac: string): Host {
    const i = this.hosts.length + 1;
    const number = (this.#onUnderlay.hosts += 1);
    const address = `192.0.2.${number}`;
    const host: Host = {
      name: `node${i}`,
      netns,
      number,
      address,
      vtepMac,
      node: {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: {
          name: `node${i}`,
          annotations: {
            [FLANNEL_PUBLIC_IP]: address,
            [FLANNEL_BACKEND_TYPE]: 'vxlan',
            [FLANNEL_BACKEND_DATA]: JSON.stringify({ VNI: labSpec(this.#lab).backend.vni, VtepMAC: vtepMac }),
          },
        },
        spec: { podCIDR: `10.244.${i}.0/24` },
      },
    };
    this.hosts.push(host);
    return host;
  }

  #addHost(vtepMac: string): Host {
    const netns = this.#scope.makeNetns();
    const host = this.newHost(netns, vtepMac);
    this.#plug(netns, host.number, host.address);
    return host;
  }

  /** Give a namespace a NIC `eth0` on the underlay. */
  #plug(netns: string, number: number, address: string): void {
    const port = `w${number}`;
    ip([`link add eth0 netns ${netns} type veth peer name ${port} netns ${this.underlay}`]);
    ip([`link set ${port} master br0`, `link set ${port} up`], { netns: this.underlay });
    ip([`addr add ${address}/24 dev eth0`, 'link set eth0 up'], { netns });
    const { wire = 'wire-true' } = this.#options;
    if (wire === 'super-frames') return;
    ethtool(['-K', port, ...CUT.split(' ')], { netns: this.underlay });
    ethtool(['-K', 'eth0', 'gro', wire === 'no-gro' ? 'off' : 'on'], { netns });
  }

  /** A machine on the underlay that is no host: somebody who asks for a NodePort. */
  addClient(): PodPlace {
    const netns = this.#scope.makeNetns();
    const number = (this.#onUnderlay.hosts += 1);
    const address = `192.0.2.${number}`;
    this.#plug(netns, number, address);
    return { netns, ip: address };
  }

  /** A host of ours. */
  async addHost(offload: Offload = 'all'): Promise<Host> {
    const i = this.hosts.length + 1;
    const host = this.#addHost(vtepMacOf(i));
    const log = pino({ level: 'silent' });
    const path = await startPacketPath({
      node: host.node,
      lab: this.#lab,
      netns: host.netns,
      iface: 'eth0',
      offload,
      spinUs: this.#options.spinUs,
      log,
      fatal: (reason) => this.#scope.fail(reason),
    });
    const state = openHostState({
      netns: host.netns,
      journal: `${this.#scope.folder()}/journal-${host.number}.jsonl`,
      log,
    });
    await state.apply(
      hostItems({
        addresses: nodeAddresses(`10.244.${i}.0/24`)!,
        podCidr: LAB_DEFAULTS.podCIDR,
        serviceCidr: LAB_DEFAULTS.serviceCIDR,
        nic: 'eth0',
        nodeIp: `192.0.2.${i}`,
        mtu: MTU,
        services: NO_SERVICE_ADDRESSES,
        hostPorts: [],
      }),
    );
    host.path = path;
    let isClosed = false;
    host.close = async () => {
      if (isClosed) return;
      isClosed = true;
      await state.close();
      await path.close();
    };
    this.#scope.teardown(host.close);
    await this.setViews();
    return host;
  }

  /** A host of the kernel alone: bridge `cni0`, VXLAN device `flannel.1`, routes as flannel writes them. */
  async addKernelHost(): Promise<Host> {
    const i = this.hosts.length + 1;
    const mac = `02:00:00:00:00:0${i}`;
    const host = this.#addHost(mac);
    const { vni, port } = labSpec(this.#lab).backend;
    ip(
      [
        'link add cni0 type bridge',
        `addr add 10.244.${i}.1/24 dev cni0`,
        'link set cni0 mtu 1450 up',
        `link add flannel.1 address ${mac} type vxlan id ${vni} local ${host.address} dev eth0 dstport ${port} nolearning`,
        `addr add 10.244.${i}.0/32 dev flannel.1`,
        'link set flannel.1 up',
      ],
      { netns: host.netns },
    );
    sysctl('net.ipv4.ip_forward', '1', host.netns);
    await this.setViews();
    return host;
  }

  /** A pod on a host; a namespace that is made for it lives as long as the rest. */
  async addPod(host: Host, given?: string): Promise<PodPlace> {
    const i = this.hosts.indexOf(host) + 1;
    const number = this.#pods.filter((pod) => pod.spec.nodeName === host.name).length + 2;
    const address = `10.244.${i}.${number}`;
    const netns = given ?? this.#scope.makeNetns();
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod${i}-${number}`, namespace: 'default' },
      spec: { nodeName: host.name, containers: [] },
      status: { podIP: address },
    };
    this.#pods.push(pod);
    if (host.path) {
      await host.path.setView(this.#view());
      await host.path.network.attach(pod, netns);
    } else {
      ip([`link add eth0 netns ${netns} type veth peer name v${number} netns ${host.netns}`]);
      ip([`link set v${number} master cni0`, `link set v${number} up`], { netns: host.netns });
      ip(
        [
          `addr add ${address}/24 dev eth0`,
          'link set eth0 mtu 1450 up',
          `route add default via 10.244.${i}.1`,
        ],
        { netns },
      );
    }
    return { netns, ip: address };
  }

  /** Have these Services, on all hosts of ours or on some. */
  async setServices(
    services: readonly Service[],
    endpointSlices: readonly EndpointSlice[],
    hosts: readonly Host[] = this.hosts,
  ): Promise<void> {
    this.#services = { services, endpointSlices };
    for (const host of hosts) await host.path?.setView(this.#view());
  }

  /** A pod of a host of ours goes, all but its namespace. */
  async removePod({ ip: address }: PodPlace): Promise<void> {
    const i = this.#pods.findIndex(({ status }) => status?.podIP === address);
    const [pod] = this.#pods.splice(i, 1);
    const host = this.hosts.find(({ name }) => name === pod!.spec.nodeName)!;
    await host.path!.network.detach(pod!);
    await host.path!.setView(this.#view());
  }

  #view(): ClusterView {
    return {
      lab: this.#lab,
      namespaces: [],
      nodes: this.hosts.map((host) => host.node),
      pods: [...this.#pods],
      ...this.#services,
      endpoints: [],
    };
  }

  /** Tell every host of all others. */
  protected async setViews(): Promise<void> {
    for (const host of this.hosts) {
      if (host.path) await host.path.setView(this.#view());
      else if (this.isKernel(host)) this.#tellKernel(host);
    }
  }

  /** A host without a packet path is the kernel's. */
  protected isKernel(host: Host): boolean {
    return host.path === undefined;
  }

  #tellKernel(host: Host): void {
    for (const [j, other] of this.hosts.entries()) {
      if (other === host) continue;
      ip(
        [
          `route replace 10.244.${j + 1}.0/24 via 10.244.${j + 1}.0 dev flannel.1 onlink`,
          `neigh replace 10.244.${j + 1}.0 lladdr ${other.vtepMac} dev flannel.1`,
        ],
        { netns: host.netns },
      );
      const argv = ['bridge', '-n', host.netns, 'fdb', 'replace', other.vtepMac].concat(
        ...['dev', 'flannel.1', 'dst', other.address],
      );
      succeed(argv, runSync(argv));
    }
  }
}

/** The VTEP of host i as we name it. */
export const vtepMacOf = (i: number): string => `0e:58:0a:f4:${i.toString(16).padStart(2, '0')}:00`;
