/**
 * Hosts on one machine for end-to-end tests, without a lab: namespaces on a wire-true underlay, a packet path in each, and
 * pods that are bare namespaces. Also a host that is Linux alone, with the kernel's own bridge and VXLAN, and one that the
 * test itself plays, frame by frame.
 *
 * The underlay is `192.0.2.0/24` (RFC 5737), host i is `.i`; pods are those of the default pod CIDR. Several overlays may
 * share an underlay: then hosts are numbered through, and pod CIDRs begin anew in each.
 */
import { pino } from 'pino';
import type { TestScope } from './scope.js';
import { startPacketPath } from '../../src/agent/packet/packet-path.js';
import { hostItems } from '../../src/agent/host-items.js';
import { NO_SERVICE_ADDRESSES } from '../../src/compile/service-addresses.js';
import { openHostState } from '../../src/agent/host-state.js';
import type { PacketPath } from '../../src/agent/parts.js';
import {
  FLANNEL_BACKEND_DATA,
  FLANNEL_BACKEND_TYPE,
  FLANNEL_PUBLIC_IP,
  type ClusterView,
  type EndpointSlice,
  type Service,
  type Lab,
  type Node,
  type Pod,
} from '../../src/api/types.js';
import { labSpec } from '../../src/api/lab.js';
import { nodeAddresses } from '../../src/compile/node-addresses.js';
import { close as closeFd } from '../../src/sys/io.js';
import { openTap, type Offload, type Tap } from '../../src/sys/tap.js';
import { BYTE_STREAM } from './byte-stream.js';
import { makeNetns } from './netns.js';
import { output, printed, runSync, start, type Result } from './spawn.js';

export interface Host {
  readonly name: string;
  readonly netns: string;
  readonly node: Node;
  /** Its number on the underlay: `192.0.2.N`, behind port `wN` of the underlay's bridge. */
  readonly number: number;
  readonly address: string;
  readonly vtepMac: string;
  /** Undefined: a host of the kernel alone, or one that is played. */
  path?: PacketPath;
  close?: () => Promise<void>;
}

/** A host that the test plays. Its NIC is a TAP on the underlay's bridge: frames are read and written as they are on the wire. */
export interface PlayedHost extends Host {
  readonly tap: Tap;
  /** Of its NIC. Other hosts know it without asking. */
  readonly mac: string;
}

export interface OverlayOptions {
  vni?: number;
  port?: number;
  /** Share the underlay of this one. */
  beside?: Overlay;
}

export interface TestPod {
  readonly netns: string;
  readonly ip: string;
}

/** `tx off` and friends: the bridge's side hands on only what a real NIC would carry. DESIGN §6. */
const WIRE_TRUE =
  'tx off tso off gso off tx-udp-segmentation off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off';

const MTU = 1450;

export class Overlay {
  readonly underlay: string;
  readonly hosts: Host[] = [];
  readonly #t: TestScope;
  readonly #pods: Pod[] = [];
  #services: Pick<ClusterView, 'services' | 'endpointSlices'> = { services: [], endpointSlices: [] };
  readonly #isWireTrue: boolean;
  readonly #lab: Lab;
  readonly #onUnderlay: { hosts: number };

  /** @param isWireTrue  false: a plain veth, across which the kernel passes super-frames and unfinished checksums */
  constructor(t: TestScope, isWireTrue = true, { vni, port, beside }: OverlayOptions = {}) {
    this.#t = t;
    this.#isWireTrue = isWireTrue;
    this.#lab = {
      apiVersion: 'podwire.dev/v1alpha1',
      kind: 'Lab',
      metadata: { name: 'test' },
      spec: { backend: { ...(vni !== undefined && { vni }), ...(port !== undefined && { port }) } },
    };
    this.#onUnderlay = beside ? beside.#onUnderlay : { hosts: 0 };
    this.underlay = beside ? beside.underlay : makeNetns(t);
    if (beside) return;
    ipIn(this.underlay, 'link add br0 type bridge', 'link set br0 up');
    runSync(['ip', 'netns', 'exec', this.underlay, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0']);
  }

  /** A host without anything on it yet. */
  #newHost(netns: string, vtepMac: string): Host {
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
    const netns = makeNetns(this.#t);
    const host = this.#newHost(netns, vtepMac);
    const port = `w${host.number}`;
    output(
      ['ip', '-batch', '-'],
      `link add eth0 netns ${netns} type veth peer name ${port} netns ${this.underlay}\n`,
    );
    ipIn(this.underlay, `link set ${port} master br0`, `link set ${port} up`);
    ipIn(netns, `addr add ${host.address}/24 dev eth0`, 'link set eth0 up');
    if (this.#isWireTrue) {
      output(['ip', 'netns', 'exec', this.underlay, 'ethtool', '-K', port, ...WIRE_TRUE.split(' ')]);
      output(['ip', 'netns', 'exec', netns, 'ethtool', '-K', 'eth0', 'gro', 'on']);
    }
    return host;
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
      log,
      fatal: (reason) => this.#t.fail(reason),
    });
    const state = openHostState({
      netns: host.netns,
      journal: `${this.#t.testdir()}/journal-${host.number}.jsonl`,
      log,
    });
    await state.apply(
      hostItems({
        addresses: nodeAddresses(`10.244.${i}.0/24`)!,
        podCidr: '10.244.0.0/16',
        serviceCidr: '10.96.0.0/12',
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
    this.#t.teardown(host.close);
    await this.#setViews();
    return host;
  }

  /** A host of the kernel alone: bridge `cni0`, VXLAN device `flannel.1`, routes as flannel writes them. */
  async addKernelHost(): Promise<Host> {
    const i = this.hosts.length + 1;
    const mac = `02:00:00:00:00:0${i}`;
    const host = this.#addHost(mac);
    const { vni, port } = labSpec(this.#lab).backend;
    ipIn(
      host.netns,
      'link add cni0 type bridge',
      `addr add 10.244.${i}.1/24 dev cni0`,
      'link set cni0 mtu 1450 up',
      `link add flannel.1 address ${mac} type vxlan id ${vni} local ${host.address} dev eth0 dstport ${port} nolearning`,
      `addr add 10.244.${i}.0/32 dev flannel.1`,
      'link set flannel.1 up',
    );
    output(['ip', 'netns', 'exec', host.netns, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    await this.#setViews();
    return host;
  }

  /** A host that the test plays. It has no pods but those that the test speaks for. */
  async addPlayedHost(): Promise<PlayedHost> {
    const host = this.#newHost(this.underlay, vtepMacOf(this.hosts.length + 1));
    const port = `w${host.number}`;
    const tap = openTap({ name: port, netns: this.underlay, offload: 'none' });
    this.#t.teardown(() => void closeFd(tap.fd));
    ipIn(this.underlay, `link set ${port} master br0`, `link set ${port} up`);
    const played = Object.assign(host, { tap, mac: `02:00:00:00:01:0${host.number}` });
    await this.#setViews();
    return played;
  }

  /** A pod on a host; a namespace that is made for it lives as long as the test. */
  async addPod(host: Host, given?: string): Promise<TestPod> {
    const i = this.hosts.indexOf(host) + 1;
    const number = this.#pods.filter((pod) => pod.spec.nodeName === host.name).length + 2;
    const ip = `10.244.${i}.${number}`;
    const netns = given ?? makeNetns(this.#t);
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod${i}-${number}`, namespace: 'default' },
      spec: { nodeName: host.name, containers: [] },
      status: { podIP: ip },
    };
    this.#pods.push(pod);
    if (host.path) {
      await host.path.setView(this.#view());
      await host.path.network.attach(pod, netns);
    } else {
      output(
        ['ip', '-batch', '-'],
        `link add eth0 netns ${netns} type veth peer name v${number} netns ${host.netns}\n`,
      );
      ipIn(host.netns, `link set v${number} master cni0`, `link set v${number} up`);
      ipIn(
        netns,
        `addr add ${ip}/24 dev eth0`,
        'link set eth0 mtu 1450 up',
        `route add default via 10.244.${i}.1`,
      );
    }
    return { netns, ip };
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
  async removePod({ ip }: TestPod): Promise<void> {
    const i = this.#pods.findIndex(({ status }) => status?.podIP === ip);
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
  async #setViews(): Promise<void> {
    const isPlayed = (host: Host): host is PlayedHost => 'tap' in host;
    for (const host of this.hosts) {
      if (isPlayed(host)) continue;
      for (const other of this.hosts.filter(isPlayed))
        ipIn(host.netns, `neigh replace ${other.address} lladdr ${other.mac} dev eth0 nud permanent`);
      if (host.path) {
        await host.path.setView(this.#view());
        continue;
      }
      for (const [j, other] of this.hosts.entries()) {
        if (other === host) continue;
        ipIn(
          host.netns,
          `route replace 10.244.${j + 1}.0/24 via 10.244.${j + 1}.0 dev flannel.1 onlink`,
          `neigh replace 10.244.${j + 1}.0 lladdr ${other.vtepMac} dev flannel.1`,
        );
        output([
          ...['bridge', '-n', host.netns, 'fdb', 'replace', other.vtepMac],
          ...['dev', 'flannel.1', 'dst', other.address],
        ]);
      }
    }
  }
}

/** The VTEP of host i as we name it. */
const vtepMacOf = (i: number): string => `0e:58:0a:f4:${i.toString(16).padStart(2, '0')}:00`;

function ipIn(netns: string, ...commands: string[]): void {
  output(['ip', '-n', netns, '-batch', '-'], commands.join('\n') + '\n');
}

/** Run a program inside a namespace. */
export const within = (netns: string, ...argv: string[]): Result =>
  runSync(['ip', 'netns', 'exec', netns, ...argv]);

/** Pings that came back, of `count`. */
export function pings(from: TestPod | Host, to: string, count = 3): number {
  const { stdout } = within(from.netns, 'ping', '-n', '-i', '0.2', '-W', '2', '-c', String(count), to);
  return Number(/(\d+) received/.exec(stdout)?.[1] ?? -1);
}

/**
 * Send bytes from one pod to another over TCP.
 *
 * @returns what the sender and what the receiver saw: `BYTES SHA256`, equal when all is well
 */
export async function transfer(
  t: TestScope,
  from: TestPod,
  to: TestPod,
  bytes: number,
  port = 5000,
): Promise<{ sent: string; received: string; seconds: number }> {
  const receiver = start(t, [
    'ip',
    'netns',
    'exec',
    to.netns,
    process.execPath,
    BYTE_STREAM,
    'receive',
    String(port),
  ]);
  await printed(receiver, /ready/);
  const done = printed(receiver, /^\d+ [0-9a-f]{64}$/m);
  const began = performance.now();
  const sent = within(
    from.netns,
    process.execPath,
    BYTE_STREAM,
    'send',
    to.ip,
    String(port),
    String(bytes),
    '7',
  );
  const received = sent.status === 0 ? (await done).trim() : sent.stderr;
  done.catch(() => undefined);
  return { sent: sent.stdout.trim(), received, seconds: (performance.now() - began) / 1000 };
}
