/**
 * Seeded fuzz of one host's whole path: valid frames, mutated in the ways in which hostile or broken senders would, through
 * TAPs and the tunnel, in batches, while tables change and time jumps. After each batch the books must balance, and whatever
 * came out must be a frame.
 *
 * The books: all that came in and all ICMP errors are all that went on and all that was dropped by name; what went on is what
 * the driver was given.
 */
import { REASONS, FLOOD, FORWARD } from '../../src/dataplane/verdict.js';
import { createHost, type Driver, type Host } from '../../src/host/host.js';
import { IOVS, type Outbox } from '../../src/host/outbox.js';
import { Compiler } from '../../src/compile/compiler.js';
import { NO_ROWS, Part } from '../../src/compile/image.js';
import { MasterCopy } from '../../src/compile/master-copy.js';
import { EVENT_ICMP_ERRORS, EVENT_TCP_RESETS, EVENT_PASSES } from '../../src/tables/counters.js';
import { PORT_POD, PORT_TUNNEL } from '../../src/tables/ports.js';
import type { EndpointSlice, Service } from '../../src/api/types.js';
import { SEGMENT_BRIDGED } from '../../src/tables/segments.js';
import { SCHEDULERS } from '../../src/tables/services.js';
import { serviceObject, sliceObject } from './services.js';
import { CAPACITIES } from '../../src/tables/tables.js';
import { A, B, C, GATEWAY, REMOTE, ROUTER, VTEP1, VTEP2, ip, nodeObject, podObject } from './host-bench.js';
import {
  arpReply,
  arpRequest,
  ethernetFrame,
  icmpEcho,
  icmpFrame,
  ipv4Frame,
  tcpFrame,
  udpFrame,
  vxlan,
} from './packets.js';
import { random, type Random } from './random.js';

export interface FuzzReport {
  frames: number;
  /** Packets that went out, and drops by reason. */
  out: number;
  drops: Map<string, number>;
}

interface Template {
  readonly port: string;
  readonly frame: Uint8Array;
  /** virtio header: flags, GSO kind, GSO size, checksum start and offset. */
  readonly offload: readonly [number, number, number, number, number];
}

const SLOTS = 4;
const SYN = 2;
const ACK = 16;
/** A Service whose only endpoint, no pod of anybody's, is there before every other publication, and a client's port. */
const FLEETING = { vip: '10.96.0.3', endpoint: '203.0.113.9', srcPort: 40000 };
/** What a TAP of each kind takes: bits of OFFLOAD_*. */
const OFFLOADS = [0, 1, 3, 7];

/** Frames as honest senders would send them. */
function templates(): Template[] {
  const all: Template[] = [];
  const none = [0, 0, 0, 0, 0] as const;
  const add = (port: string, frame: Uint8Array, offload: Template['offload'] = none): void => {
    all.push({ port, frame, offload });
  };
  const payloads = [0, 1, 7, 8, 100, 1372].map((len) => Uint8Array.from({ length: len }, (_, i) => i & 255));
  const senders = [
    { port: 'a', from: { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip } },
    { port: 'b', from: { srcMac: B.mac, dstMac: ROUTER.mac, src: B.ip } },
    { port: 'pw0', from: { srcMac: GATEWAY.mac, dstMac: ROUTER.mac, src: GATEWAY.ip } },
    { port: 'vxlan', from: { srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: REMOTE.ip } },
    { port: 'x', from: { srcMac: A.mac, dstMac: B.mac, src: '10.0.0.1' } },
  ];
  const targets = [
    A.ip,
    B.ip,
    REMOTE.ip,
    GATEWAY.ip,
    ROUTER.ip,
    '10.244.99.1',
    '10.244.1.99',
    '10.96.0.1',
    '10.96.0.2',
    '9.9.9.9',
    '192.168.50.200',
  ];
  for (const { port, from } of senders)
    for (const dst of targets)
      for (const payload of payloads) {
        const fields = { ...from, dst, srcPort: 1000 + payload.length, dstPort: 80, payload };
        add(port, udpFrame(fields));
        add(port, tcpFrame({ ...fields, seq: 1 }));
        add(port, icmpEcho({ ...fields, echoId: 1, echoSeq: 2 }));
        if (payload.length === 100) {
          add(port, udpFrame({ ...fields, checksum: 'unfinished' }), [1, 0, 0, 34, 6]);
          add(port, tcpFrame({ ...fields, checksum: 'unfinished', flags: 2 }), [1, 0, 0, 34, 16]);
          add(port, udpFrame({ ...fields, id: 7, mf: true, payload: payload.slice(0, 96) }));
          add(port, ipv4Frame({ ...from, dst, id: 7, fragmentOffset: 104, proto: 17, payload }));
          add(port, tcpFrame({ ...fields, ttl: 1, flags: 17 }));
          add(port, tcpFrame({ ...fields, flags: 4 }));
          const quoted = udpFrame({ src: dst, dst: from.src, srcPort: 80, dstPort: 1100, payload }).slice(
            14,
            42,
          );
          add(port, icmpFrame({ ...fields, icmpType: 3, icmpCode: 4, rest: 1300, payload: quoted }));
          add(port, ipv4Frame({ ...from, dst, proto: 132, payload: [0, 7, 0, 80, ...payload] }));
          add(port, ipv4Frame({ ...from, dst, proto: 47, payload, ipOptions: Uint8Array.of(1, 1, 1, 0) }));
        }
        if (payload.length === 1372 && port !== 'vxlan') {
          const long = Uint8Array.from({ length: 4200 }, (_, i) => i & 255);
          add(port, tcpFrame({ ...fields, payload: long, checksum: 'unfinished' }), [1, 1, 1400, 34, 16]);
          add(port, udpFrame({ ...fields, payload: long, checksum: 'unfinished' }), [1, 5, 1400, 34, 6]);
        }
      }
  // A stream from the tunnel, whose segments may be merged.
  for (let i = 0; i < 40; i++)
    add(
      'vxlan',
      tcpFrame({
        ...senders[3]!.from,
        dst: A.ip,
        srcPort: 80,
        dstPort: 1000,
        seq: i * 500,
        payload: new Uint8Array(500).fill(i),
      }),
    );
  for (const [port, me, other] of [
    ['a', A, B],
    ['b', B, A],
  ] as const) {
    add(port, arpRequest({ senderMac: me.mac, senderIp: me.ip, targetIp: other.ip }));
    add(port, arpRequest({ senderMac: me.mac, senderIp: me.ip, targetIp: GATEWAY.ip }));
    add(port, arpReply({ senderMac: me.mac, senderIp: me.ip, targetMac: other.mac, targetIp: other.ip }));
    add(
      port,
      udpFrame({ srcMac: me.mac, dstMac: other.mac, src: me.ip, dst: other.ip, srcPort: 1, dstPort: 2 }),
    );
    add(
      port,
      udpFrame({
        srcMac: me.mac,
        dstMac: ROUTER.mac,
        src: me.ip,
        dst: VTEP2.underlay,
        srcPort: 1,
        dstPort: 8472,
      }),
    );
    add(port, ethernetFrame({ srcMac: me.mac, etherType: 0x86dd, payload: new Uint8Array(60) }));
    add(port, ethernetFrame({ srcMac: me.mac, etherType: 0x8100, payload: new Uint8Array(60) }));
    add(
      port,
      ethernetFrame({
        srcMac: me.mac,
        dstMac: '01:80:c2:00:00:00',
        etherType: 0x27,
        payload: new Uint8Array(60),
      }),
    );
  }
  return all.map((one) => (one.port === 'vxlan' ? { ...one, frame: vxlan(one.frame, { vni: 1 }) } : one));
}

/** One's complement sum of the IPv4 header, written anew: so that a mutated header gets past the first check. */
function fixChecksum(frame: Uint8Array, l3: number): void {
  const end = Math.min(l3 + (frame[l3]! & 15) * 4, frame.length);
  if (l3 + 20 > frame.length) return;
  frame[l3 + 10] = frame[l3 + 11] = 0;
  let sum = 0;
  for (let i = l3; i + 1 < end; i += 2) sum += frame[i]! * 256 + frame[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  frame[l3 + 10] = ~sum >>> 8;
  frame[l3 + 11] = ~sum & 255;
}

/** Values that lengths and counters go wrong at. */
const EDGES = [0, 1, 4, 5, 6, 8, 15, 20, 64, 127, 128, 255];

export function createFuzz(seed: number) {
  const chance = random(seed);
  const all = templates();
  const capacities = {
    ...CAPACITIES,
    ports: 32,
    neighbors: 32,
    routes: 32,
    vteps: 8,
    fdb: 8,
    conntrack: 64,
    fragments: 4,
  };
  const scratch = new Uint8Array(1 << 17);
  let sentPackets = 0;
  const driver: Driver = {
    send(outbox) {
      for (let m = 0; m < outbox.count; m++) sentPackets += checkMessage(host, outbox, m, scratch);
    },
  };
  const host = createHost({
    alloc: (bytes) => new ArrayBuffer(bytes),
    seed,
    driver,
    tunnelSockets: 4,
    capacities,
    batch: { slots: SLOTS, frames: 256, messages: 32, scratch: 1 << 14 },
  });
  const { dp, frames } = host;
  const master = new MasterCopy(capacities);
  const compiler = new Compiler(master.ids);
  let pairsBefore = NO_ROWS;
  const report: FuzzReport = { frames: 0, out: 0, drops: new Map() };
  let now = 1000;
  let slot = 0;
  let isFleetingThere = false;

  /** Services whose endpoints, policies and schedulers change each time. */
  function services(): { services: Service[]; endpointSlices: EndpointSlice[] } {
    const ports = [
      { port: 80, protocol: 'TCP' as const, nodePort: 80 },
      { name: 'u', port: 80, protocol: 'UDP' as const },
      { name: 's', port: 80, protocol: 'SCTP' as const },
    ];
    const slice = (name: string): EndpointSlice =>
      sliceObject(
        name,
        [B.ip, C.ip, REMOTE.ip, A.ip, '203.0.113.5']
          .filter(() => chance.int(3) === 0)
          .map((ip) => ({ ip, node: chance.pick(['node1', 'node2']), ready: chance.int(3) > 0 })),
        [
          { name: '', port: 8080, protocol: 'TCP' },
          { name: 'u', port: 8080, protocol: 'UDP' },
        ],
      );
    const annotations = { 'podwire.dev/scheduler': chance.pick(SCHEDULERS) };
    const sessionAffinity = chance.pick(['None', 'ClientIP'] as const);
    return {
      services: [
        serviceObject('one', { clusterIP: '10.96.0.1', ports, annotations, sessionAffinity }),
        serviceObject('two', {
          clusterIP: '10.96.0.2',
          ports,
          externalTrafficPolicy: chance.pick(['Local', 'Cluster'] as const),
          internalTrafficPolicy: chance.pick(['Local', 'Cluster'] as const),
          loadBalancer: '192.168.50.200',
          loadBalancerSourceRanges: chance.pick([[], ['10.244.1.2/32']]),
        }),
        serviceObject('fleeting', { clusterIP: FLEETING.vip }),
      ],
      endpointSlices: [
        slice('one'),
        slice('two'),
        sliceObject('fleeting', isFleetingThere ? [{ ip: FLEETING.endpoint }] : []),
      ],
    };
  }

  function publish(): void {
    const open = (handle: number) => ({
      handle,
      offload: chance.pick(OFFLOADS),
      isCaptured: chance.int(4) === 0,
    });
    const { parts } = compiler.update({
      view: {
        lab: { apiVersion: '', kind: 'Lab', metadata: { name: 'fuzz' } },
        namespaces: [],
        ...services(),
        endpoints: [],
        nodes: [nodeObject(1), nodeObject(2), ...(chance.int(2) === 0 ? [nodeObject(3)] : [])],
        pods: [podObject('a', 'node1', A.ip), podObject('b', 'node1', B.ip), podObject('c', 'node1', C.ip)],
      },
      node: 'node1',
      host: open(1),
      tunnel: open(2),
      pods: new Map(
        ['a', 'b', ...(chance.int(2) === 0 ? ['c'] : [])].map((name, i) => [`default/${name}`, open(3 + i)]),
      ),
    });
    const pair = master.ids.of('segments', 'pair');
    const pairs = new Part();
    pairs.set('segments', 'pair', Int32Array.of(SEGMENT_BRIDGED, 0, 0, 0, 0, 0, 0));
    for (const key of ['x', 'y']) {
      master.ids.of('ports', key);
      pairs.set('ports', key, Int32Array.of(PORT_POD, pair, 9, 0, 0, 0, 1500, chance.pick(OFFLOADS), 0, 0));
    }
    const plan = master.plan([...parts, { before: pairsBefore, after: pairs }]);
    pairsBefore = pairs;
    for (const { table, row, words } of plan.changes) dp.statics[table]!.setRow(row, words, 0);
    master.seen(plan);
  }

  /** Publish anew; a connection that has just begun loses its endpoint by that, every other time. */
  function publishUnderTraffic(): void {
    if (isFleetingThere) talkToFleeting(SYN);
    isFleetingThere = !isFleetingThere;
    publish();
    if (!isFleetingThere) talkToFleeting(ACK);
  }

  function talkToFleeting(flags: number): void {
    const frame = tcpFrame({
      ...{ srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: FLEETING.vip },
      ...{ srcPort: FLEETING.srcPort, dstPort: 80, flags, seq: 1, ack: 1 },
    });
    host.begin(now | 0);
    slot = 0;
    const at = host.tapRoom();
    frames.b.u8.fill(0, at, at + 10);
    frames.b.u8.set(frame, at + 10);
    host.ingestTap(portOf('a'), 10 + frame.length);
    report.frames++;
    settle();
  }

  const portOf = (name: string): number =>
    master.ids.of('ports', name.length === 1 && name < 'x' ? `pod default/${name}` : name);

  /** A frame, mutated, with its offload header: into the host. */
  function inject(): void {
    const { port, frame, offload } = chance.pick(all);
    const l2 = port === 'vxlan' ? 8 : 0;
    let bytes: Uint8Array = frame.slice();
    const virtio = [...offload];
    const kind = chance.int(10);
    if (kind >= 3) bytes = mutate(bytes, l2, kind, chance);
    if (kind === 9)
      for (let i = 0; i < 2; i++)
        virtio[chance.int(5)] = chance.int(2) === 0 ? chance.pick(EDGES) : chance.int(65536);
    report.frames++;
    const id = portOf(port);
    if (port === 'vxlan') {
      receive(id, bytes);
      return;
    }
    let at = host.tapRoom();
    if (at < 0) {
      settle();
      host.begin(now);
      slot = 0;
      at = host.tapRoom();
    }
    frames.v.setUint8(at, virtio[0]!);
    frames.v.setUint8(at + 1, virtio[1]!);
    frames.v.setUint16(at + 2, chance.int(65536), true);
    for (let i = 0; i < 3; i++) frames.v.setUint16(at + 4 + 2 * i, virtio[2 + i]!, true);
    frames.b.u8.set(bytes, at + 10);
    host.ingestTap(id, 10 + bytes.length);
  }

  /** Datagrams into a slot: one, or several of one size as UDP_GRO gives them. */
  function receive(port: number, bytes: Uint8Array): void {
    if (slot === SLOTS) {
      settle();
      slot = 0;
    }
    const at = host.slot(slot++);
    frames.b.u8.set(bytes, at);
    let len = bytes.length;
    let size = 0;
    if (chance.int(2) === 0 && bytes.length > 0) {
      size = bytes.length;
      for (let i = chance.int(4); i > 0 && len + size < 65536; i--) {
        const next = chance.pick(all);
        if (next.port !== 'vxlan' || next.frame.length > size) continue;
        frames.b.u8.set(next.frame, at + len);
        len += next.frame.length;
        report.frames++;
        if (next.frame.length < size) break;
      }
    }
    const peer = chance.int(50) === 0 ? '192.168.50.77' : VTEP2.underlay;
    host.ingestTunnel(port, at, len, size, 0, 0, 0xffff, ip(peer), chance.int(4));
  }

  const sumOf = (counts: Float64Array): number => counts.reduce((a, b) => a + b, 0);
  let before = { rx: 0, tx: 0, drops: 0, errors: 0, passes: 0 };

  /** The host's turn, and the books. */
  function settle(): void {
    sentPackets = 0;
    host.run();
    const { counters } = dp;
    const after = {
      rx: sumOf(counters.rxPackets),
      tx: sumOf(counters.txPackets),
      drops: sumOf(counters.drops),
      errors: counters.events[EVENT_ICMP_ERRORS]! + counters.events[EVENT_TCP_RESETS]!,
      passes: counters.events[EVENT_PASSES]!,
    };
    let forwarded = 0;
    let copies = 0;
    for (let f = 0; f < after.passes - before.passes; f++) {
      const packets = frames.packets[f]!;
      if (frames.verdict[f] === FORWARD) {
        forwarded += packets;
        copies += packets;
      } else if (frames.verdict[f] === FLOOD) {
        forwarded += packets;
        for (let port = 1; port < dp.ports.capacity; port++)
          if (
            dp.ports.kind[port] === PORT_POD &&
            dp.ports.segment[port] === frames.segment[f] &&
            port !== frames.inPort[f]
          )
            copies += packets;
      }
    }
    const came = after.rx - before.rx + after.errors - before.errors;
    const went = forwarded + after.drops - before.drops;
    if (came !== went)
      throw new Error(`${came} packets came in or were made, ${went} went on or were dropped`);
    if (after.tx - before.tx !== copies)
      throw new Error(`${copies} packets were to be sent, ${after.tx - before.tx} are counted`);
    if (sentPackets !== copies)
      throw new Error(`${copies} packets were to be sent, the driver got ${sentPackets}`);
    report.out += sentPackets;
    before = after;
  }

  return {
    report,
    /** One batch of some frames. */
    batch(): void {
      if (chance.int(500) === 0) publishUnderTraffic();
      now += chance.int(1000) === 0 ? 400_000 : chance.int(4);
      host.begin(now | 0);
      slot = 0;
      for (let i = chance.int(60); i >= 0; i--) inject();
      settle();
      REASONS.forEach(([name], i) => {
        if (dp.counters.drops[i]! > 0) report.drops.set(name, dp.counters.drops[i]!);
      });
    },
    start: publish,
  };
}

/** A frame as nobody should send it. */
function mutate(bytes: Uint8Array, l2: number, kind: number, chance: Random): Uint8Array {
  const l3 = l2 + 14;
  if (bytes.length === 0) return bytes;
  switch (kind) {
    case 3: // cut short
      return bytes.slice(0, chance.int(bytes.length));
    case 4: {
      // garbage behind
      const longer = new Uint8Array(bytes.length + chance.int(100));
      longer.set(bytes);
      return longer;
    }
    case 5: // a length, offset or flag of the headers at an edge
      for (let i = chance.int(3); i >= 0; i--) {
        const at = l2 + chance.int(64);
        if (at < bytes.length) bytes[at] = chance.pick(EDGES);
      }
      break;
    case 6: // IHL and options
      if (l3 < bytes.length) bytes[l3] = 0x40 | chance.int(16);
      break;
    case 7: // fragments of all kinds
      if (l3 + 8 < bytes.length) {
        bytes[l3 + 6] = chance.pick([0x00, 0x20, 0x3f, 0x1f, 0x40]);
        bytes[l3 + 7] = chance.pick([0, 1, 2, 8, 13, 0xff]);
        bytes[l3 + 5] = chance.int(3);
      }
      break;
    case 8: // noise anywhere
      for (let i = chance.int(8); i >= 0; i--) bytes[chance.int(bytes.length)] = chance.int(256);
      break;
  }
  if (chance.int(8) !== 0) fixChecksum(bytes, l3);
  return bytes;
}

/** Judge one message of the outbox. @returns the packets it stands for on the wire */
function checkMessage(host: Host, outbox: Outbox, m: number, into: Uint8Array): number {
  const { u8 } = host.frames.b;
  const fail = (text: string): never => {
    throw new Error(`Message ${m} to port ${outbox.port[m]}: ${text}`);
  };
  if (outbox.iovs[m]! > IOVS) fail(`${outbox.iovs[m]} pieces`);
  let len = 0;
  for (let i = m * IOVS; i < m * IOVS + outbox.iovs[m]!; i++) {
    const at = outbox.iovAt[i]!;
    if (at < 0 || outbox.iovLen[i]! <= 0 || at + outbox.iovLen[i]! > u8.length)
      fail('a piece outside of the pool');
    into.set(u8.subarray(at, at + outbox.iovLen[i]!), len);
    len += outbox.iovLen[i]!;
  }
  if (len !== outbox.bytes[m]) fail(`${len} bytes, said to be ${outbox.bytes[m]}`);
  if (host.dp.ports.kind[outbox.port[m]!] === PORT_TUNNEL) {
    const size = outbox.segmentSize[m]!;
    const count = Math.ceil(len / size);
    if (size < 22 || count !== outbox.segments[m] || count > 64) fail(`${count} datagrams of ${size} bytes`);
    for (let at = 0; at < len; at += size) {
      const end = Math.min(at + size, len);
      if (into[at] !== 8 || into[at + 6] !== 1 || (into[at + 1]! | into[at + 4]! | into[at + 7]!) !== 0)
        fail('no VXLAN header of ours');
      checkFrame(into, at + 8, end, fail);
      if (end - at - 8 - 14 > 1450) fail('larger than the overlay');
    }
    return count;
  }
  const [flags, gso] = [into[0]!, into[1]!];
  const word = (at: number): number => into[at]! + 256 * into[at + 1]!;
  const [headers, size, start, offset] = [word(2), word(4), word(6), word(8)];
  const frameLen = len - 10;
  checkFrame(into, 10, len, fail);
  if ((flags & 1) !== 0 && start + offset + 2 > frameLen) fail('a checksum outside of the frame');
  if (gso === 0) return size === 0 ? 1 : fail('a segment size without segments');
  if ((flags & 1) === 0 || (gso !== 1 && gso !== 5) || size === 0)
    fail(`a super-frame of kind ${gso}, size ${size}`);
  if (into[10 + 23] !== (gso === 1 ? 6 : 17)) fail('a super-frame of another protocol');
  return Math.max(1, Math.ceil((frameLen - headers) / size));
}

/** Whether bytes are a frame whose IPv4 header, if it has one, holds together. */
function checkFrame(u8: Uint8Array, l2: number, end: number, fail: (text: string) => never): void {
  if (end - l2 < 14) fail('a runt');
  if (u8[l2 + 12] !== 8 || u8[l2 + 13] !== 0) return;
  const l3 = l2 + 14;
  const headerLen = (u8[l3]! & 15) * 4;
  const totalLen = u8[l3 + 2]! * 256 + u8[l3 + 3]!;
  if (u8[l3]! >> 4 !== 4 || headerLen < 20 || totalLen < headerLen) fail('an impossible IPv4 header');
  if (l3 + totalLen !== end) fail(`an IPv4 packet of ${totalLen} bytes in ${end - l3}`);
  let sum = 0;
  for (let i = l3; i < l3 + headerLen; i += 2) sum += u8[i]! * 256 + u8[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  if (sum !== 0xffff) fail('a wrong IPv4 header checksum');
}
