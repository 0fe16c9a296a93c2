/**
 * A bench for one host: a real `Host` with in-memory ports, compiled from objects as the agent does, fed frame by frame.
 *
 * The cluster: `node1` is ours (10.244.1.0/24, underlay 192.168.50.1), `node2` (10.244.2.0/24, .2) and `node3` its peers.
 * Pods `a`, `b`, `c` of namespace `default` live here with addresses 10.244.1.2, .3, .4. What comes out is copied at once,
 * cut into datagrams where it goes to the tunnel, and kept until {@link HostBench.take}.
 */
import { allocPool } from '../../src/agent/packet/pool-memory.js';
import { FLANNEL_BACKEND_DATA, FLANNEL_PUBLIC_IP } from '../../src/api/types.js';
import type { ClusterView, Node, Pod } from '../../src/api/types.js';
import { type OpenPort } from '../../src/compile/compile.js';
import { Compiler } from '../../src/compile/compiler.js';
import { MasterCopy } from '../../src/compile/master-copy.js';
import { nodeAddresses } from '../../src/compile/node-addresses.js';
import { REASONS, type ReasonName } from '../../src/dataplane/verdict.js';
import { createHost, type BatchSize, type Host } from '../../src/host/host.js';
import { IOVS, type Outbox } from '../../src/host/outbox.js';
import type { Alloc } from '../../src/tables/memory.js';
import { OFFLOAD_CSUM, OFFLOAD_TSO, OFFLOAD_USO, PORT_TUNNEL } from '../../src/tables/ports.js';
import { CAPACITIES, type Capacities, type StaticName } from '../../src/tables/tables.js';
import { UpdateRing } from '../../src/tables/update-ring.js';
import { formatAddress, formatMac, parseIpv4 } from '../../src/wire/address.js';

export const ALL_OFFLOADS = OFFLOAD_CSUM | OFFLOAD_TSO | OFFLOAD_USO;

/** The virtio network header: fields that are not said are 0. */
export interface VirtioHeader {
  flags?: number;
  gsoType?: number;
  hdrLen?: number;
  gsoSize?: number;
  csumStart?: number;
  csumOffset?: number;
}

/** One frame that went to a TAP, or one datagram that went to the tunnel. */
export interface Output {
  /** Name of the port: `a`, `pw0`, `vxlan`. */
  readonly port: string;
  /** The frame; of the tunnel: the UDP payload. */
  readonly bytes: Uint8Array;
  /** Of a TAP. */
  readonly header: Required<VirtioHeader>;
  /** Of the tunnel: the peer's underlay address, and which socket sent it. */
  readonly peer?: string;
  readonly socket?: number;
  /** Number of the message it was part of: datagrams of one message share one system call's entry. */
  readonly message: number;
}

export interface BenchOptions {
  /** Whose tables: `node1` unless said otherwise. */
  node?: string;
  /** What the pods' TAPs, `pw0` included, take off our hands. Default: everything. */
  offload?: number;
  /** By pod; wins over `offload`. */
  offloads?: Record<string, number>;
  captured?: readonly string[];
  pods?: readonly string[];
  capacities?: Partial<Capacities>;
  batch?: Partial<BatchSize>;
  tunnelSockets?: number;
  mtu?: number;
  /** Keep nothing of what comes out. */
  discard?: boolean;
  /** Memory of the tables. */
  alloc?: Alloc;
}

export interface HostBench {
  readonly host: Host;
  readonly ring: UpdateRing;
  readonly master: MasterCopy;
  view: ClusterView;
  /** Milliseconds since the start. */
  now: number;
  /** The id of a port by its name, or itself. */
  port(name: string | number): number;
  /** A frame comes in by a TAP, and the host does its turn. */
  send(port: string | number, frame: Uint8Array, header?: VirtioHeader): void;
  /** Datagrams come in by the tunnel, all in one slot, and the host does its turn. */
  receive(from: string, datagrams: readonly Uint8Array[], segmentSize?: number, ecn?: number): void;
  /** Several sends and receives in one turn. */
  batch(what: () => void): void;
  /** What has come out since the last call. */
  take(): Output[];
  /** The only thing that came out since the last call. Throws when there was more or nothing. */
  only(port?: string): Output;
  /** Drops since the last call, by reason. */
  drops(): Partial<Record<ReasonName, number>>;
  /** Compile `view` and bring it into force. */
  update(options?: Partial<BenchOptions>): void;
  /** Put a row directly. */
  setRow(table: StaticName, row: number, words: readonly number[]): void;
}

export const ip = (text: string): number => parseIpv4(text)!;
export const podMac = (address: string): string => formatMac(0x0a58, ip(address));
export const vtepMac = (base: string): string => formatMac(0x0e58, ip(base));

/** Addresses of the bench's cluster. */
export const A = { ip: '10.244.1.2', mac: podMac('10.244.1.2') };
export const B = { ip: '10.244.1.3', mac: podMac('10.244.1.3') };
export const C = { ip: '10.244.1.4', mac: podMac('10.244.1.4') };
export const GATEWAY = { ip: '10.244.1.1', mac: podMac('10.244.1.1') };
export const ROUTER = { ip: '10.244.1.254', mac: podMac('10.244.1.254') };
/** A pod of node2, and both ends of the way there. */
export const REMOTE = { ip: '10.244.2.7', mac: podMac('10.244.2.7') };
export const VTEP1 = { mac: vtepMac('10.244.1.0'), underlay: '192.168.50.1' };
export const VTEP2 = { mac: vtepMac('10.244.2.0'), underlay: '192.168.50.2' };

export function nodeObject(number: number): Node {
  const podCIDR = `10.244.${number}.0/24`;
  const { vtepMac: mac } = nodeAddresses(podCIDR)!;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `node${number}`,
      annotations: {
        [FLANNEL_PUBLIC_IP]: `192.168.50.${number}`,
        [FLANNEL_BACKEND_DATA]: JSON.stringify({ VNI: 1, VtepMAC: formatMac(mac.hi, mac.lo) }),
      },
    },
    spec: { podCIDR, podCIDRs: [podCIDR] },
  };
}

export function podObject(name: string, nodeName: string, podIP: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name },
    spec: { nodeName, containers: [{ name: 'c' }] },
    status: { podIP, podIPs: [{ ip: podIP }] },
  };
}

export function createBench(options: BenchOptions = {}): HostBench {
  const capacities: Capacities = {
    ...CAPACITIES,
    conntrack: 4096,
    fdb: 256,
    fragments: 32,
    ...options.capacities,
  };
  const outputs: Output[] = [];
  let messages = 0;
  const driver = {
    send(outbox: Outbox): void {
      if (options.discard) return;
      for (let m = 0; m < outbox.count; m++) copyMessage(outbox, m);
    },
  };
  const host = createHost({
    alloc: options.alloc ?? ((bytes) => new ArrayBuffer(bytes)),
    allocFrames: (bytes) => new ArrayBuffer(bytes),
    allocPool,
    seed: 1,
    driver,
    tunnelSockets: options.tunnelSockets ?? 4,
    capacities,
    batch: { slots: 4, ...options.batch },
  });
  const { dp, frames } = host;
  const master = new MasterCopy(capacities);
  const compiler = new Compiler(master.ids);
  const ring = new UpdateRing(UpdateRing.alloc((bytes) => new ArrayBuffer(bytes), 1 << 14));
  let settings = options;
  let inBatch = false;
  let slot = 0;
  let dropsBefore = new Float64Array(REASONS.length);

  function nameOf(port: number): string {
    return (master.ids.keyOf('ports', port) ?? `port${port}`).replace(/^pod default\//, '');
  }

  function copyMessage(outbox: Outbox, m: number): void {
    const port = outbox.port[m]!;
    const parts: Uint8Array[] = [];
    for (let i = m * IOVS; i < m * IOVS + outbox.iovs[m]!; i++)
      parts.push(frames.b.u8.slice(outbox.iovAt[i], outbox.iovAt[i]! + outbox.iovLen[i]!));
    const all = new Uint8Array(parts.reduce((len, part) => len + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    const message = messages++;
    if (dp.ports.kind[port] !== PORT_TUNNEL) {
      const v = new DataView(all.buffer);
      const header = {
        flags: v.getUint8(0),
        gsoType: v.getUint8(1),
        hdrLen: v.getUint16(2, true),
        gsoSize: v.getUint16(4, true),
        csumStart: v.getUint16(6, true),
        csumOffset: v.getUint16(8, true),
      };
      outputs.push({ port: nameOf(port), bytes: all.slice(10), header, message });
      return;
    }
    const { a0, a1, a2, a3 } = dp.vteps;
    const vtep = outbox.vtep[m]!;
    const peer = formatAddress(a0[vtep]!, a1[vtep]!, a2[vtep]!, a3[vtep]!);
    const size = outbox.segmentSize[m]!;
    for (let at = 0; at < all.length; at += size)
      outputs.push({
        port: nameOf(port),
        bytes: all.slice(at, at + size),
        header: { flags: 0, gsoType: 0, hdrLen: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 },
        peer,
        socket: outbox.socket[m]!,
        message,
      });
  }

  function turn(what: () => void): void {
    if (inBatch) return what();
    host.begin(bench.now);
    slot = 0;
    what();
    host.run();
  }

  const bench: HostBench = {
    host,
    ring,
    master,
    now: 1000,
    view: {
      lab: {
        apiVersion: 'podwire.dev/v1alpha1',
        kind: 'Lab',
        metadata: { name: 'bench' },
        spec: { underlay: { mtu: (options.mtu ?? 1450) + 50 } },
      },
      namespaces: [],
      services: [],
      endpointSlices: [],
      endpoints: [],
      nodes: [nodeObject(1), nodeObject(2), nodeObject(3)],
      pods: [
        ...(options.pods ?? ['a', 'b', 'c']).map((name, i) => podObject(name, 'node1', `10.244.1.${i + 2}`)),
        podObject('far', 'node2', REMOTE.ip),
      ],
    },
    port(name) {
      if (typeof name === 'number') return name;
      for (const key of [name, `pod default/${name}`])
        for (const known of master.ids.keys('ports')) if (known === key) return master.ids.of('ports', key);
      throw new RangeError(`Cannot find port "${name}"`);
    },
    send(port, frame, header = {}) {
      const id = bench.port(port);
      turn(() => {
        let at = host.tapRoom();
        if (at < 0) {
          host.run();
          host.begin(bench.now);
          at = host.tapRoom();
        }
        const v = new DataView(frames.b.u8.buffer, at, 10);
        v.setUint8(0, header.flags ?? 0);
        v.setUint8(1, header.gsoType ?? 0);
        v.setUint16(2, header.hdrLen ?? 0, true);
        v.setUint16(4, header.gsoSize ?? 0, true);
        v.setUint16(6, header.csumStart ?? 0, true);
        v.setUint16(8, header.csumOffset ?? 0, true);
        frames.b.u8.set(frame, at + 10);
        host.ingestTap(id, 10 + frame.length);
      });
    },
    receive(from, datagrams, segmentSize = 0, ecn = 0) {
      const id = bench.port('vxlan');
      turn(() => {
        if (slot === (options.batch?.slots ?? 4)) {
          host.run();
          slot = 0;
        }
        const start = host.slot(slot++);
        let at = start;
        for (const datagram of datagrams) {
          frames.b.u8.set(datagram, at);
          at += datagram.length;
        }
        const size = datagrams.length > 1 ? segmentSize || datagrams[0]!.length : 0;
        host.ingestTunnel(id, start, at - start, size, 0, 0, 0xffff, ip(from), ecn);
      });
    },
    batch(what) {
      turn(() => {
        inBatch = true;
        try {
          what();
        } finally {
          inBatch = false;
        }
      });
    },
    take: () => outputs.splice(0),
    only(port) {
      const taken = outputs.splice(0);
      if (taken.length !== 1 || (port !== undefined && taken[0]!.port !== port))
        throw new Error(
          `Expected one frame${port ? ` to ${port}` : ''}, got ${JSON.stringify(taken.map((one) => one.port))}, ` +
            `drops ${JSON.stringify(bench.drops())}`,
        );
      return taken[0]!;
    },
    drops() {
      const now = Float64Array.from(dp.counters.drops);
      const before = dropsBefore;
      dropsBefore = now;
      return Object.fromEntries(
        REASONS.flatMap(([name], i) => (now[i] === before[i] ? [] : [[name, now[i]! - before[i]!]])),
      ) as Partial<Record<ReasonName, number>>;
    },
    update(changed = {}) {
      settings = { ...settings, ...changed };
      const open = (name: string, handle: number): OpenPort => ({
        handle,
        offload: settings.offloads?.[name] ?? settings.offload ?? ALL_OFFLOADS,
        isCaptured: settings.captured?.includes(name) ?? false,
      });
      const here = bench.view.pods.filter((pod) => pod.spec.nodeName === (options.node ?? 'node1'));
      const { parts, problems } = compiler.update({
        view: bench.view,
        node: options.node ?? 'node1',
        host: open('pw0', 1),
        tunnel: open('vxlan', 2),
        pods: new Map(here.map((pod, i) => [`default/${pod.metadata.name}`, open(pod.metadata.name, i + 3)])),
      });
      if (problems.length > 0) throw new Error(problems.join('; '));
      const plan = master.plan(parts);
      ring.write(plan.changes);
      ring.apply(dp.statics);
      master.seen(plan);
    },
    setRow(table, row, words) {
      dp[table].setRow(row, Int32Array.from(words), 0);
    },
  };
  bench.update();
  return bench;
}

/** A TCP or UDP frame's virtio header as the kernel writes it when it leaves the checksum to us. */
export const needsCsum = (frame: Uint8Array, more: VirtioHeader = {}): VirtioHeader => {
  const isTcp = frame[23] === 6;
  const l4 = 14 + (frame[14]! & 15) * 4;
  return { flags: 1, csumStart: l4, csumOffset: isTcp ? 16 : 6, ...more };
};
