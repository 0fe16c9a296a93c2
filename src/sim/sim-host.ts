/**
 * One host of the simulator: a real `Host` whose TAPs lead to synthetic endpoints and whose tunnel leads to links.
 *
 * What arrives waits in an inbox until the host's next turn, so that a batch is as large as in a busy daemon: datagrams of
 * one size from one peer share a slot, as UDP_GRO would give them. Tables change as in the daemon: compiled by the control
 * side, sent through the update ring, applied between two batches.
 */
import type { ClusterView } from '../api/types.js';
import type { OpenPort } from '../compile/compile.js';
import { Compiler } from '../compile/compiler.js';
import { NO_ROWS, Part } from '../compile/image.js';
import { MasterCopy, type Plan } from '../compile/master-copy.js';
import { createHost, type Host } from '../host/host.js';
import { IOVS, type Outbox } from '../host/outbox.js';
import { PORT_POD, PORT_TUNNEL } from '../tables/ports.js';
import { SEGMENT_BRIDGED } from '../tables/segments.js';
import { CAPACITIES, type Capacities } from '../tables/tables.js';
import { UpdateRing } from '../tables/update-ring.js';
import * as virtioNet from '../wire/virtio-net.js';
import type { Offload } from './packet.js';

export const SIM_CAPACITIES: Capacities = {
  ...CAPACITIES,
  ports: 128,
  neighbors: 128,
  routes: 128,
  vteps: 64,
  fdb: 128,
  conntrack: 1024,
  fragments: 32,
};

const SLOTS = 4;
const RING_WORDS = 1 << 12;

/** Who stands behind a port: an endpoint, or the host's kernel. */
export interface Behind {
  readonly name: string;
  readonly mtu: number;
  /** OFFLOAD_* bits of what it takes. */
  readonly offload: number;
  receive(frame: Uint8Array, offload: Offload): void;
}

/** What a host needs of the simulator. */
export interface HostWire {
  /** A datagram for a peer. */
  sendDatagram(from: number, to: number, payload: Uint8Array): void;
  /** A frame reaches who stands behind a port. */
  deliver(behind: Behind, frame: Uint8Array, offload: Offload): void;
  after(ms: number, act: () => void): void;
  now(): number;
}

interface Plugged {
  readonly endpoint: Behind;
  readonly port: OpenPort;
}

type Arrival =
  | {
      readonly plugged: Plugged;
      readonly portKey: string;
      readonly frame: Uint8Array;
      readonly offload: Offload;
    }
  | { readonly peer: number; readonly datagram: Uint8Array };

export interface SimHostOptions {
  readonly name: string;
  readonly seed: number;
  /** Underlay address. */
  readonly address: number;
  /** How long a turn lets frames gather. */
  readonly turnMs: number;
  readonly capacities?: Partial<Capacities>;
}

export class SimHost {
  readonly name: string;
  readonly address: number;
  readonly host: Host;
  readonly master: MasterCopy;
  /** By port key: `pw0`, `pod NAMESPACE/NAME`, `pair NAME.0`. */
  readonly plugged = new Map<string, Plugged>();
  readonly captured = new Set<string>();
  /** Names of two-port segments. */
  readonly pairs = new Set<string>();
  /** Sizes of the batches so far, most recent last. */
  turns = 0;
  isGone = false;
  readonly #compiler: Compiler;
  #pairs = NO_ROWS;
  readonly #ring: UpdateRing;
  readonly #wire: HostWire;
  readonly #turnMs: number;
  readonly #byHandle = new Map<number, Behind>();
  #inbox: Arrival[] = [];
  #isTurnDue = false;
  #unseen: { mark: number; plan: Plan }[] = [];
  #handles = 10;

  constructor(options: SimHostOptions, wire: HostWire) {
    this.name = options.name;
    this.address = options.address;
    this.#wire = wire;
    this.#turnMs = options.turnMs;
    const alloc = (bytes: number): ArrayBufferLike => new ArrayBuffer(bytes);
    const capacities = { ...SIM_CAPACITIES, ...options.capacities };
    this.host = createHost({
      alloc,
      seed: options.seed,
      driver: { send: (outbox) => this.#send(outbox) },
      tunnelSockets: 4,
      capacities,
      batch: { slots: SLOTS },
    });
    this.master = new MasterCopy(capacities);
    this.#compiler = new Compiler(this.master.ids);
    this.#ring = new UpdateRing(UpdateRing.alloc(alloc, RING_WORDS));
  }

  plug(portKey: string, endpoint: Behind): void {
    const handle = this.#handles++;
    this.#byHandle.set(handle, endpoint);
    this.plugged.set(portKey, {
      endpoint,
      port: { handle, offload: endpoint.offload, isCaptured: false },
    });
  }

  unplug(portKey: string): void {
    const plugged = this.plugged.get(portKey);
    if (plugged) this.#byHandle.delete(plugged.port.handle);
    this.plugged.delete(portKey);
  }

  // ---- tables --------------------------------------------------------------------------------------------------------

  /** Compile a view and send what changed. @returns what was wrong with its objects */
  publish(view: ClusterView): readonly string[] {
    this.#unseen = this.#unseen.filter(({ mark, plan }) => {
      const isSeen = this.#ring.isSeen(mark);
      if (isSeen) this.master.seen(plan);
      return !isSeen;
    });
    const open = (key: string): OpenPort | undefined => {
      const port = this.plugged.get(key)?.port;
      return port && { ...port, isCaptured: this.captured.has(key) };
    };
    const pods = [...this.plugged.keys()].filter((key) => key.startsWith('pod '));
    const { parts, problems } = this.#compiler.update({
      view,
      node: this.name,
      host: open('pw0'),
      tunnel: { handle: 0, offload: 0, isCaptured: this.captured.has('vxlan') },
      pods: new Map(pods.map((key) => [key.slice(4), open(key)!])),
    });
    const pairs = new Part();
    for (const pair of this.pairs) {
      const segment = this.master.ids.of('segments', `pair ${pair}`);
      pairs.set('segments', `pair ${pair}`, Int32Array.of(SEGMENT_BRIDGED, 0, 0, 0, 0, 0, 0));
      for (const end of [0, 1]) {
        const key = `pair ${pair}.${end}`;
        const { endpoint, port } = this.plugged.get(key)!;
        this.master.ids.of('ports', key);
        pairs.set(
          'ports',
          key,
          Int32Array.of(PORT_POD, segment, port.handle, 0, 0, 0, endpoint.mtu, port.offload, 0, 0, 0),
        );
      }
    }
    const plan = this.master.plan([...parts, { before: this.#pairs, after: pairs }]);
    this.#pairs = pairs;
    const mark = this.#ring.write(plan.changes);
    if (mark === undefined)
      throw new Error(`Cannot send the tables of ${this.name}: its update ring is full`);
    this.#unseen.push({ mark, plan });
    this.#wantTurn();
    return problems;
  }

  #applyUpdates(): void {
    if (!this.#ring.hasNews()) return;
    const { ports, fdb, statics } = this.host.dp;
    const before = new Map<number, number>();
    this.#ring.apply(statics, (table, row) => {
      if (statics[table] === ports && !before.has(row)) before.set(row, ports.handle[row]!);
    });
    // Another one lives behind the port now: what was learned of it is another's.
    for (const [port, handle] of before) if (ports.handle[port] !== handle) fdb.forgetPort(port);
  }

  // ---- in ------------------------------------------------------------------------------------------------------------

  /** An endpoint sends a frame. */
  fromEndpoint(portKey: string, frame: Uint8Array, offload: Offload): void {
    const plugged = this.plugged.get(portKey);
    if (!plugged) return;
    this.#inbox.push({ plugged, portKey, frame, offload });
    this.#wantTurn();
  }

  /** A datagram arrives on the underlay. */
  fromUnderlay(peer: number, datagram: Uint8Array): void {
    this.#inbox.push({ peer, datagram });
    this.#wantTurn();
  }

  #wantTurn(): void {
    if (this.#isTurnDue || this.isGone) return;
    this.#isTurnDue = true;
    this.#wire.after(this.#turnMs, () => {
      this.#isTurnDue = false;
      if (!this.isGone) this.#turn();
    });
  }

  #turn(): void {
    const { host } = this;
    this.turns++;
    this.#applyUpdates();
    const inbox = this.#inbox;
    this.#inbox = [];
    const nowMs = Math.floor(this.#wire.now()) | 0;
    host.begin(nowMs);
    let slot = 0;
    for (let i = 0; i < inbox.length;) {
      const arrival = inbox[i]!;
      if ('frame' in arrival) {
        this.#ingestTap(arrival.portKey, arrival.frame, arrival.offload, nowMs);
        i++;
        continue;
      }
      if (slot === SLOTS) {
        host.run();
        slot = 0;
      }
      i = this.#ingestRun(inbox, i, host.slot(slot++));
    }
    host.run();
  }

  #ingestTap(portKey: string, frame: Uint8Array, offload: Offload, nowMs: number): void {
    const { host } = this;
    const port = this.#portOf(portKey);
    if (port === 0) return;
    let at = host.tapRoom();
    if (at < 0) {
      host.run();
      host.begin(nowMs);
      at = host.tapRoom();
    }
    const { flags, gsoType, gsoSize, csumStart, csumOffset } = offload;
    virtioNet.write(host.frames.v, at, flags, gsoType, 0, gsoSize, csumStart, csumOffset);
    host.frames.b.u8.set(frame, at + virtioNet.HEADER_LEN);
    host.ingestTap(port, virtioNet.HEADER_LEN + frame.length);
  }

  /** Datagrams of one peer and one size, the last of which may be shorter, share a slot. @returns index behind them */
  #ingestRun(inbox: readonly Arrival[], first: number, at: number): number {
    const { host } = this;
    const isCaptured = this.captured.has('vxlan');
    let size = 0;
    let len = 0;
    let peer = 0;
    let i = first;
    for (; i < inbox.length; i++) {
      const arrival = inbox[i]!;
      if (!('datagram' in arrival)) break;
      const { datagram } = arrival;
      if (i === first) {
        size = datagram.length;
        peer = arrival.peer;
      } else if (
        arrival.peer !== peer ||
        datagram.length > size ||
        len + datagram.length > 65535 ||
        isCaptured
      )
        break;
      host.frames.b.u8.set(datagram, at + len);
      len += datagram.length;
      if (datagram.length < size) {
        i++;
        break;
      }
    }
    host.ingestTunnel(this.#portOf('vxlan'), at, len, size, 0, 0, 0xffff, peer);
    return i;
  }

  /** The id of a port that is in the tables, or 0. */
  #portOf(key: string): number {
    for (const known of this.master.ids.keys('ports'))
      if (known === key) {
        const port = this.master.ids.of('ports', key);
        return this.host.dp.ports.kind[port] === 0 ? 0 : port;
      }
    return 0;
  }

  // ---- out -----------------------------------------------------------------------------------------------------------

  #send(outbox: Outbox): void {
    const { ports, vteps } = this.host.dp;
    for (let m = 0; m < outbox.count; m++) {
      const port = outbox.port[m]!;
      const bytes = this.#gather(outbox, m);
      if (ports.kind[port] === PORT_TUNNEL) {
        const to = vteps.a3[outbox.vtep[m]!]!;
        const size = outbox.segmentSize[m]!;
        for (let at = 0; at < bytes.length; at += size)
          this.#wire.sendDatagram(this.address, to, bytes.slice(at, at + size));
        continue;
      }
      const endpoint = this.#byHandle.get(ports.handle[port]!);
      if (!endpoint) continue;
      const v = new DataView(bytes.buffer);
      this.#wire.deliver(endpoint, bytes.subarray(virtioNet.HEADER_LEN), {
        flags: virtioNet.flags(v, 0),
        gsoType: virtioNet.gsoType(v, 0),
        gsoSize: virtioNet.gsoSize(v, 0),
        csumStart: virtioNet.csumStart(v, 0),
        csumOffset: virtioNet.csumOffset(v, 0),
      });
    }
  }

  #gather(outbox: Outbox, m: number): Uint8Array {
    const { u8 } = this.host.frames.b;
    const bytes = new Uint8Array(outbox.bytes[m]!);
    let at = 0;
    for (let i = m * IOVS; i < m * IOVS + outbox.iovs[m]!; i++) {
      bytes.set(u8.subarray(outbox.iovAt[i]!, outbox.iovAt[i]! + outbox.iovLen[i]!), at);
      at += outbox.iovLen[i]!;
    }
    return bytes;
  }
}
