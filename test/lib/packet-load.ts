/**
 * A program, run as a child by `test/host/guards.test.ts`: takes the packet path through one kind of traffic until it is
 * warm, prints `warm`, goes on, and prints as JSON how many packets that were and how many bytes they allocated on the
 * JavaScript heap.
 *
 *     node --min-semi-space-size=128 --max-semi-space-size=128 packet-load.js KIND [provoke]
 *
 * The new space is that large so that nothing is collected in between; without a kind it prints those that
 * there are; `provoke` makes V8 throw something away, for the guard against that.
 * Nothing here allocates in the loop: frames lie ready, and what comes out is left alone.
 */
import process from 'node:process';
import {
  A,
  B,
  REMOTE,
  ROUTER,
  VTEP1,
  VTEP2,
  createBench,
  ip,
  needsCsum,
  type HostBench,
  type VirtioHeader,
} from './host-bench.js';
import { sum, type Bytes } from '../../src/wire/checksum.js';
import { serviceObject, sliceObject } from './services.js';
import { arpRequest, icmpEcho, tcpFrame, udpFrame, vxlan } from './packets.js';

/** A frame for a TAP, its virtio header in front, or datagrams of one size for a slot. */
interface Item {
  readonly port: number;
  readonly bytes: Uint8Array;
  /** Of datagrams; 0 for a TAP. */
  readonly segmentSize: number;
  /** Packets on the wire. */
  readonly packets: number;
}

const OUT = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: REMOTE.ip };
const IN = { srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: REMOTE.ip, dst: A.ip };
/** A host with a Service that has an endpoint here and one far away, and one that has none. */
function withServices(bench: HostBench): void {
  bench.view = {
    ...bench.view,
    services: [
      serviceObject('web', { clusterIP: '10.96.0.9', ports: [{ port: 80, protocol: 'UDP' }] }),
      serviceObject('empty', { clusterIP: '10.96.0.10' }),
    ],
    endpointSlices: [
      sliceObject(
        'web',
        [
          { ip: B.ip, node: 'node1' },
          { ip: REMOTE.ip, node: 'node2' },
        ],
        [{ name: '', port: 8080, protocol: 'UDP' }],
      ),
    ],
  };
  bench.update();
}

const bytes = (len: number): Uint8Array => new Uint8Array(len).fill(0x5a);

function tap(
  bench: HostBench,
  port: string,
  frame: Uint8Array,
  header: VirtioHeader = {},
  packets = 1,
): Item {
  const all = new Uint8Array(10 + frame.length);
  const v = new DataView(all.buffer);
  v.setUint8(0, header.flags ?? 0);
  v.setUint8(1, header.gsoType ?? 0);
  v.setUint16(4, header.gsoSize ?? 0, true);
  v.setUint16(6, header.csumStart ?? 0, true);
  v.setUint16(8, header.csumOffset ?? 0, true);
  all.set(frame, 10);
  return { port: bench.port(port), bytes: all, segmentSize: 0, packets };
}

function slot(bench: HostBench, datagrams: readonly Uint8Array[]): Item {
  const size = datagrams[0]!.length;
  const all = new Uint8Array(size * datagrams.length);
  datagrams.forEach((datagram, i) => all.set(datagram, i * size));
  return { port: bench.port('vxlan'), bytes: all, segmentSize: size, packets: datagrams.length };
}

const superFrame = (bench: HostBench, dst: string): Item => {
  const frame = tcpFrame({
    ...OUT,
    dst,
    srcPort: 1,
    dstPort: 2,
    payload: bytes(62_040),
    checksum: 'unfinished',
  });
  return tap(bench, 'a', frame, needsCsum(frame, { gsoType: 1, gsoSize: 1410 }), 44);
};
const stream = (bench: HostBench, dst: string): Item =>
  slot(
    bench,
    Array.from({ length: 40 }, (_, i) =>
      vxlan(
        tcpFrame({ ...IN, dst, srcPort: 2, dstPort: 1, seq: 0xf0000000 + i * 1410, payload: bytes(1410) }),
        {
          vni: 1,
        },
      ),
    ),
  );

/** What a batch consists of, by kind of traffic. */
const KINDS: Record<string, (bench: HostBench) => Item[]> = {
  'super-frames to the tunnel': (bench) => [superFrame(bench, REMOTE.ip)],
  'super-frames to a TAP': (bench) => [superFrame(bench, B.ip)],
  'super-frames cut for a TAP': (bench) => {
    bench.update({ offload: 0 });
    return [superFrame(bench, B.ip)];
  },
  'a stream from the tunnel': (bench) => [stream(bench, A.ip)],
  'a stream from the tunnel, cut for a TAP': (bench) => {
    bench.update({ offload: 0 });
    return [stream(bench, A.ip)];
  },
  'a stream from tunnel to tunnel': (bench) => [stream(bench, '10.244.3.9')],
  'eight streams from the tunnel': (bench) => [
    slot(
      bench,
      Array.from({ length: 40 }, (_, i) =>
        vxlan(
          tcpFrame({ ...IN, srcPort: 80 + (i & 7), dstPort: 1, seq: (i >> 3) * 1410, payload: bytes(1410) }),
          { vni: 1 },
        ),
      ),
    ),
  ],
  'small datagrams to the tunnel': (bench) =>
    Array.from({ length: 16 }, (_, i) => {
      const frame = udpFrame({
        ...OUT,
        srcPort: 1,
        dstPort: 2,
        payload: bytes(64 + (i & 1)),
        checksum: 'unfinished',
      });
      return tap(bench, 'a', frame, needsCsum(frame));
    }),
  'small datagrams from the tunnel': (bench) => [
    slot(
      bench,
      Array.from({ length: 16 }, () =>
        vxlan(udpFrame({ ...IN, srcPort: 1, dstPort: 2, payload: bytes(65) }), { vni: 1 }),
      ),
    ),
  ],
  'small datagrams between TAPs': (bench) =>
    Array.from({ length: 16 }, () => {
      const frame = udpFrame({
        ...OUT,
        dst: B.ip,
        srcPort: 1,
        dstPort: 2,
        payload: bytes(64),
        checksum: 'unfinished',
      });
      return tap(bench, 'a', frame, needsCsum(frame));
    }),
  'pings, ARP and floods': (bench) => [
    tap(bench, 'a', icmpEcho({ ...OUT, dst: ROUTER.ip, echoId: 1, echoSeq: 1, payload: bytes(56) })),
    tap(bench, 'a', icmpEcho({ ...OUT, echoId: 1, echoSeq: 1, payload: bytes(56) })),
    tap(bench, 'a', arpRequest({ senderMac: A.mac, senderIp: A.ip, targetIp: '10.244.1.1' })),
    tap(bench, 'a', arpRequest({ senderMac: A.mac, senderIp: A.ip, targetIp: B.ip })),
  ],
  'ICMP errors': (bench) => [
    tap(bench, 'a', udpFrame({ ...OUT, srcPort: 1, dstPort: 2, ttl: 1, payload: bytes(65) })),
  ],
  drops: (bench) => [
    tap(bench, 'a', udpFrame({ ...OUT, src: B.ip, srcPort: 1, dstPort: 2 })),
    tap(bench, 'a', udpFrame({ ...OUT, srcPort: 1, dstPort: 2 }).slice(0, 30)),
  ],
  'new flows to a Service': (bench) => {
    withServices(bench);
    return Array.from({ length: 64 }, (_, i) =>
      tap(bench, 'a', udpFrame({ ...OUT, dst: '10.96.0.9', srcPort: 1000 + i * 7, dstPort: 80 })),
    );
  },
  'a flow to a Service': (bench) => {
    withServices(bench);
    return Array.from({ length: 16 }, () =>
      tap(bench, 'a', udpFrame({ ...OUT, dst: '10.96.0.9', srcPort: 1000, dstPort: 80, payload: bytes(64) })),
    );
  },
  'resets of a Service without endpoints': (bench) => {
    withServices(bench);
    return [
      tap(
        bench,
        'a',
        tcpFrame({ ...OUT, dst: '10.96.0.10', srcPort: 1000, dstPort: 80, flags: 2, seq: 0xf0000000 }),
      ),
    ];
  },
  'flows to the outside': (bench) =>
    Array.from({ length: 16 }, (_, i) =>
      tap(bench, 'a', udpFrame({ ...OUT, dst: '203.0.113.7', srcPort: 1000 + i * 7, dstPort: 80 })),
    ),
  'new flows': (bench) =>
    Array.from({ length: 64 }, (_, i) =>
      tap(bench, 'a', udpFrame({ ...OUT, srcPort: 1000 + i * 7, dstPort: 2 })),
    ),
};

const MEASUREMENTS = 4;

/** All that needs no other offload than the rest. */
KINDS['everything'] = (bench) =>
  Object.entries(KINDS).flatMap(([kind, make]) =>
    kind === 'everything' || kind.includes('cut for') ? [] : make(bench),
  );

const [kind, provoke] = process.argv.slice(2);
if (kind === undefined) {
  process.stdout.write(JSON.stringify(Object.keys(KINDS)));
} else {
  const bench = createBench({ discard: true, capacities: { conntrack: 64 } });
  const items = KINDS[kind]!(bench);
  const { host } = bench;
  const { u8 } = host.frames.b;
  const peer = ip(VTEP2.underlay);
  let now = 1000;

  const run = (turns: number): void => {
    for (let turn = 0; turn < turns; turn++) {
      now += 5;
      host.begin(now);
      let slot = 0;
      for (let i = 0; i < items.length; i++) {
        const item = items[i]!;
        if (item.segmentSize === 0) {
          const at = host.tapRoom();
          u8.set(item.bytes, at);
          host.ingestTap(item.port, item.bytes.length);
        } else {
          const at = host.slot(slot++ & 3);
          u8.set(item.bytes, at);
          host.ingestTunnel(item.port, at, item.bytes.length, item.segmentSize, 0, 0, 0xffff, peer);
        }
      }
      host.run();
    }
  };

  const packetsOfBatch = items.reduce((sum, item) => sum + item.packets, 0);
  const warmUp = Math.min(Math.max(Math.round(400_000 / packetsOfBatch), 5000), 30_000);
  const batches = Math.round(warmUp / 6);
  run(warmUp);
  process.stdout.write('warm\n');
  // What the measurement itself allocates, and what V8 sets aside at times, is not the path's: the least of a few counts.
  let least = Infinity;
  for (let i = 0; i < MEASUREMENTS; i++) {
    const before = process.memoryUsage().heapUsed;
    run(batches);
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  if (provoke === 'provoke') {
    // A function of the path meets an object of another shape: what it was compiled to is thrown away.
    for (let i = 0; i < 100_000; i++) sum(host.frames.b, 0, 64);
    sum({ isStrange: true, ...host.frames.b } as Bytes, 0, 64);
  }
  process.stdout.write(JSON.stringify({ packets: batches * packetsOfBatch, bytes: least }));
}
