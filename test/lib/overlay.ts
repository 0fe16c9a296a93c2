/**
 * Hosts on one machine for end-to-end tests, without a lab: namespaces on a wire-true underlay, a packet path in each, and
 * pods that are bare namespaces. Also a host that is Linux alone, with the kernel's own bridge and VXLAN.
 *
 * The underlay is `192.0.2.0/24` (RFC 5737), host i is `.i`; pods are those of the default pod CIDR.
 */
import { pino } from 'pino';
import type { TestScope } from './scope.js';
import { startPacketPath } from '../../src/agent/packet/packet-path.js';
import { hostItems } from '../../src/agent/host-items.js';
import { NO_SERVICE_ADDRESSES } from '../../src/agent/service-addresses.js';
import { openHostState } from '../../src/agent/host-state.js';
import type { PacketPath } from '../../src/agent/parts.js';
import {
  FLANNEL_BACKEND_DATA,
  FLANNEL_BACKEND_TYPE,
  FLANNEL_PUBLIC_IP,
  type ClusterView,
  type Lab,
  type Node,
  type Pod,
} from '../../src/api/types.js';
import { nodeAddresses } from '../../src/compile/node-addresses.js';
import type { Offload } from '../../src/sys/tap.js';
import { BYTE_STREAM } from './byte-stream.js';
import { makeNetns } from './netns.js';
import { output, printed, runSync, start, type Result } from './spawn.js';

export interface Host {
  readonly name: string;
  readonly netns: string;
  readonly node: Node;
  /** Undefined: a host of the kernel alone. */
  path?: PacketPath;
  close?: () => Promise<void>;
}

export interface TestPod {
  readonly netns: string;
  readonly ip: string;
}

/** `tx off` and friends: the bridge's side hands on only what a real NIC would carry. DESIGN §6. */
const WIRE_TRUE =
  'tx off tso off gso off tx-udp-segmentation off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off';

const LAB: Lab = { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'test' } };
const MTU = 1450;

export class Overlay {
  readonly underlay: string;
  readonly hosts: Host[] = [];
  readonly #t: TestScope;
  readonly #pods: Pod[] = [];
  readonly #isWireTrue: boolean;

  /** @param isWireTrue  false: a plain veth, across which the kernel passes super-frames and unfinished checksums */
  constructor(t: TestScope, isWireTrue = true) {
    this.#t = t;
    this.#isWireTrue = isWireTrue;
    this.underlay = makeNetns(t);
    ipIn(this.underlay, 'link add br0 type bridge', 'link set br0 up');
    runSync(['ip', 'netns', 'exec', this.underlay, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0']);
  }

  #addHost(vtepMac: string): Host {
    const i = this.hosts.length + 1;
    const netns = makeNetns(this.#t);
    output(
      ['ip', '-batch', '-'],
      `link add eth0 netns ${netns} type veth peer name w${i} netns ${this.underlay}\n`,
    );
    ipIn(this.underlay, `link set w${i} master br0`, `link set w${i} up`);
    ipIn(netns, `addr add 192.0.2.${i}/24 dev eth0`, 'link set eth0 up');
    if (this.#isWireTrue) {
      output(['ip', 'netns', 'exec', this.underlay, 'ethtool', '-K', `w${i}`, ...WIRE_TRUE.split(' ')]);
      output(['ip', 'netns', 'exec', netns, 'ethtool', '-K', 'eth0', 'gro', 'on']);
    }
    const host: Host = {
      name: `node${i}`,
      netns,
      node: {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: {
          name: `node${i}`,
          annotations: {
            [FLANNEL_PUBLIC_IP]: `192.0.2.${i}`,
            [FLANNEL_BACKEND_TYPE]: 'vxlan',
            [FLANNEL_BACKEND_DATA]: JSON.stringify({ VNI: 1, VtepMAC: vtepMac }),
          },
        },
        spec: { podCIDR: `10.244.${i}.0/24` },
      },
    };
    this.hosts.push(host);
    return host;
  }

  /** A host of ours. */
  async addHost(offload: Offload = 'all'): Promise<Host> {
    const i = this.hosts.length + 1;
    const host = this.#addHost(`0e:58:0a:f4:${i.toString(16).padStart(2, '0')}:00`);
    const log = pino({ level: 'silent' });
    const path = await startPacketPath({
      node: host.node,
      lab: LAB,
      netns: host.netns,
      iface: 'eth0',
      offload,
      log,
      fatal: (reason) => this.#t.fail(reason),
    });
    const state = openHostState({
      netns: host.netns,
      journal: `${this.#t.testdir()}/journal-${i}.jsonl`,
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
    ipIn(
      host.netns,
      'link add cni0 type bridge',
      `addr add 10.244.${i}.1/24 dev cni0`,
      'link set cni0 mtu 1450 up',
      `link add flannel.1 address ${mac} type vxlan id 1 local 192.0.2.${i} dev eth0 dstport 8472 nolearning`,
      `addr add 10.244.${i}.0/32 dev flannel.1`,
      'link set flannel.1 up',
    );
    output(['ip', 'netns', 'exec', host.netns, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    await this.#setViews();
    return host;
  }

  /** A pod on a host; the namespace lives as long as the test. */
  async addPod(host: Host): Promise<TestPod> {
    const i = this.hosts.indexOf(host) + 1;
    const number = this.#pods.filter((pod) => pod.spec.nodeName === host.name).length + 2;
    const ip = `10.244.${i}.${number}`;
    const netns = makeNetns(this.#t);
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

  #view(): ClusterView {
    return {
      lab: LAB,
      namespaces: [],
      nodes: this.hosts.map((host) => host.node),
      pods: this.#pods,
      services: [],
      endpointSlices: [],
      endpoints: [],
    };
  }

  /** Tell every host of all others. */
  async #setViews(): Promise<void> {
    for (const host of this.hosts) {
      if (host.path) await host.path.setView(this.#view());
      else
        for (const [j, other] of this.hosts.entries()) {
          if (other === host) continue;
          const data = JSON.parse(other.node.metadata.annotations![FLANNEL_BACKEND_DATA]!) as {
            VtepMAC: string;
          };
          ipIn(
            host.netns,
            `route replace 10.244.${j + 1}.0/24 via 10.244.${j + 1}.0 dev flannel.1 onlink`,
            `neigh replace 10.244.${j + 1}.0 lladdr ${data.VtepMAC} dev flannel.1`,
          );
          output([
            'bridge',
            '-n',
            host.netns,
            'fdb',
            'replace',
            data.VtepMAC,
            'dev',
            'flannel.1',
            'dst',
            `192.0.2.${j + 1}`,
          ]);
        }
    }
  }
}

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
