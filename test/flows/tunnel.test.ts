/** Between hosts: what goes into the tunnel, and what comes out of it. */
import t from 'tap';
import { FLANNEL_PUBLIC_IP } from '../../src/api/types.js';
import { A, B, REMOTE, ROUTER, VTEP1, VTEP2, createBench, needsCsum } from '../lib/host-bench.js';
import { icmpEcho, parseFrame, parseVxlan, tcpFrame, udpFrame, vxlan } from '../lib/packets.js';

const OUT = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: REMOTE.ip };
const IN = { srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: REMOTE.ip, dst: A.ip };
const ACK = 0x10;
const PSH = 0x08;
const FIN = 0x01;
const CWR = 0x80;

/** Bytes that tell their place. */
const pattern = (len: number, from = 0): Uint8Array =>
  Uint8Array.from({ length: len }, (_, i) => ((from + i) * 7 + ((from + i) >> 8)) & 255);

t.test('a packet for a pod of another host leaves in a VXLAN datagram, byte for byte', async (t) => {
  const bench = createBench();
  const frame = icmpEcho({ ...OUT, echoId: 3, echoSeq: 4, ttl: 64, payload: pattern(56) });
  bench.send('a', frame);
  const out = bench.only('vxlan');
  t.equal(out.peer, VTEP2.underlay);
  const expected = icmpEcho({
    srcMac: VTEP1.mac,
    dstMac: VTEP2.mac,
    src: A.ip,
    dst: REMOTE.ip,
    echoId: 3,
    echoSeq: 4,
    ttl: 63,
    payload: pattern(56),
  });
  t.same(out.bytes, vxlan(expected, { vni: 1 }));
});

t.test('an unfinished checksum is finished on its way into the tunnel', async (t) => {
  const bench = createBench();
  for (const make of [tcpFrame, udpFrame]) {
    const frame = make({ ...OUT, srcPort: 1000, dstPort: 80, payload: pattern(101), checksum: 'unfinished' });
    bench.send('a', frame, needsCsum(frame));
    const inner = parseFrame(parseVxlan(bench.only('vxlan').bytes).inner);
    t.match(inner, { ttl: 63, ipChecksumRight: true, l4ChecksumRight: true });
    t.same(inner.payload, pattern(101));
  }
});

t.test('a TCP super-frame is cut into valid segments of one message', async (t) => {
  const bench = createBench();
  const payload = pattern(1398 * 3 + 100);
  const frame = tcpFrame({
    ...OUT,
    srcPort: 1000,
    dstPort: 80,
    seq: 0xffffff00,
    ack: 77,
    id: 0xfffe,
    df: true,
    flags: ACK | PSH | FIN | CWR,
    options: Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8),
    payload,
    checksum: 'unfinished',
  });
  bench.send('a', frame, needsCsum(frame, { gsoType: 1, gsoSize: 1398, hdrLen: 66 }));
  const out = bench.take();
  t.equal(out.length, 4);
  t.equal(new Set(out.map(({ message }) => message)).size, 1);
  let at = 0;
  out.forEach(({ bytes }, i) => {
    const isLast = i === 3;
    const inner = parseFrame(parseVxlan(bytes).inner);
    t.match(inner, {
      srcMac: VTEP1.mac,
      dstMac: VTEP2.mac,
      totalLen: 20 + 32 + (isLast ? 100 : 1398),
      id: (0xfffe + i) & 0xffff,
      df: true,
      ttl: 63,
      ipChecksumRight: true,
      l4ChecksumRight: true,
      seq: (0xffffff00 + at) % 2 ** 32,
      ack: 77,
      flags: ACK | (isLast ? PSH | FIN : 0) | (i === 0 ? CWR : 0),
    });
    t.same(inner.payload, payload.slice(at, at + 1398));
    at += inner.payload.length;
  });
  t.equal(at, payload.length);
});

t.test('a UDP super-frame is cut into datagrams, the last of which may be shorter', async (t) => {
  const bench = createBench();
  const payload = pattern(1000 * 2 + 33);
  const frame = udpFrame({ ...OUT, srcPort: 5000, dstPort: 53, payload, checksum: 'unfinished' });
  bench.send('a', frame, needsCsum(frame, { gsoType: 5, gsoSize: 1000, hdrLen: 42 }));
  const inner = bench.take().map(({ bytes }) => parseFrame(parseVxlan(bytes).inner));
  t.same(
    inner.map(({ length }) => length),
    [1008, 1008, 41],
  );
  t.ok(inner.every((one) => one.l4ChecksumRight && one.ipChecksumRight));
  t.same(
    inner.flatMap((one) => [...one.payload]),
    [...payload],
  );
});

t.test('a super-frame for a TAP without TSO is cut into whole frames', async (t) => {
  for (const offload of [0, 1]) {
    const bench = createBench({ offloads: { b: offload } });
    const payload = pattern(3001);
    const frame = tcpFrame({
      ...OUT,
      dst: B.ip,
      srcPort: 1,
      dstPort: 2,
      seq: 5,
      payload,
      checksum: 'unfinished',
    });
    bench.send('a', frame, needsCsum(frame, { gsoType: 1, gsoSize: 1410, hdrLen: 54 }));
    const out = bench.take();
    t.same(
      out.map(({ port, header }) => [port, header.flags, header.gsoType]),
      [0, 1, 2].map(() => ['b', offload === 0 ? 0 : 2, 0]),
    );
    const segments = out.map(({ bytes }) => parseFrame(bytes));
    t.same(
      segments.map(({ seq, payload: { length }, l4ChecksumRight }) => [seq, length, l4ChecksumRight]),
      [
        [5, 1410, true],
        [1415, 1410, true],
        [2825, 181, true],
      ],
    );
    t.same(
      segments.flatMap((one) => [...one.payload]),
      [...payload],
    );
  }
});

t.test('a super-frame for a TAP with TSO goes whole, with its virtio header', async (t) => {
  const bench = createBench();
  const frame = tcpFrame({
    ...OUT,
    dst: B.ip,
    srcPort: 1,
    dstPort: 2,
    payload: pattern(60_000),
    checksum: 'unfinished',
  });
  bench.send('a', frame, needsCsum(frame, { gsoType: 1, gsoSize: 1410, hdrLen: 54 }));
  const out = bench.only('b');
  t.same(out.header, { flags: 1, gsoType: 1, hdrLen: 54, gsoSize: 1410, csumStart: 34, csumOffset: 16 });
  t.same(parseFrame(out.bytes).payload, pattern(60_000));
});

t.test('a datagram from a peer goes to its pod, its checksum verified', async (t) => {
  const bench = createBench();
  bench.receive(VTEP2.underlay, [
    vxlan(udpFrame({ ...IN, srcPort: 5, dstPort: 6, payload: pattern(9), ttl: 63 }), { vni: 1 }),
  ]);
  const out = bench.only('a');
  t.equal(out.header.flags, 2, 'DATA_VALID');
  t.match(parseFrame(out.bytes), {
    srcMac: ROUTER.mac,
    dstMac: A.mac,
    ttl: 62,
    ipChecksumRight: true,
    l4ChecksumRight: true,
    payload: pattern(9),
  });
});

t.test('consecutive segments of a stream become one super-frame', async (t) => {
  const bench = createBench();
  const segments = [0, 1, 2, 3].map((i) =>
    vxlan(
      tcpFrame({
        ...IN,
        srcPort: 80,
        dstPort: 1000,
        seq: 100 + i * 1398,
        id: 7 + i,
        df: true,
        options: Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8),
        payload: pattern(i === 3 ? 55 : 1398, i * 1398),
        flags: i === 3 ? ACK | PSH : ACK,
      }),
      { vni: 1 },
    ),
  );
  bench.receive(VTEP2.underlay, segments);
  const out = bench.only('a');
  t.same(out.header, { flags: 1, gsoType: 1, hdrLen: 66, gsoSize: 1398, csumStart: 34, csumOffset: 16 });
  const whole = parseFrame(out.bytes);
  t.match(whole, {
    seq: 100,
    totalLen: 52 + 3 * 1398 + 55,
    ipChecksumRight: true,
    flags: ACK | PSH,
    ttl: 63,
  });
  t.same(whole.payload, pattern(3 * 1398 + 55));
  const unfinished = parseFrame(
    tcpFrame({
      ...IN,
      srcPort: 80,
      dstPort: 1000,
      payload: new Uint8Array(3 * 1398 + 55 + 12),
      checksum: 'unfinished',
    }),
  );
  t.equal(whole.checksum, unfinished.checksum, 'the checksum is the folded sum of the pseudo header');
});

t.test('a segment with a flipped bit passes unmarked and unmerged', async (t) => {
  const bench = createBench();
  const segments = [0, 1, 2].map((i) =>
    vxlan(tcpFrame({ ...IN, srcPort: 80, dstPort: 1000, seq: i * 1000, payload: pattern(1000, i * 1000) }), {
      vni: 1,
    }),
  );
  segments[1]![8 + 14 + 20 + 20 + 500]! ^= 0x10;
  bench.receive(VTEP2.underlay, segments);
  const out = bench.take();
  t.same(
    out.map(({ header }) => [header.flags, header.gsoType]),
    [
      [2, 0],
      [0, 0],
      [2, 0],
    ],
  );
  t.same(
    out.map(({ bytes }) => parseFrame(bytes).l4ChecksumRight),
    [true, false, true],
  );
});

t.test('a UDP datagram with a flipped bit passes unmarked; one without a checksum too', async (t) => {
  const bench = createBench();
  const frame = udpFrame({ ...IN, srcPort: 80, dstPort: 1000, payload: pattern(100) });
  frame[60]! ^= 1;
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1 })]);
  t.match(bench.only('a'), { header: { flags: 0 } });
  bench.receive(VTEP2.underlay, [
    vxlan(udpFrame({ ...IN, srcPort: 80, dstPort: 1000, payload: pattern(100), checksum: 0 }), { vni: 1 }),
  ]);
  t.match(bench.only('a'), { header: { flags: 0 } });
});

t.test('a checksum that a kernel peer left unfinished is handed on as such', async (t) => {
  const bench = createBench();
  for (const [make, offset] of [
    [tcpFrame, 16],
    [udpFrame, 6],
  ] as const) {
    const frame = make({ ...IN, srcPort: 80, dstPort: 1000, payload: pattern(100), checksum: 'unfinished' });
    bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1 })]);
    t.same(bench.only('a').header, {
      flags: 1,
      gsoType: 0,
      hdrLen: 0,
      gsoSize: 0,
      csumStart: 34,
      csumOffset: offset,
    });
  }
});

t.test('an unfinished segment longer than the MTU is a super-frame of a kernel peer', async (t) => {
  const bench = createBench();
  const frame = tcpFrame({
    ...IN,
    srcPort: 80,
    dstPort: 1000,
    payload: pattern(30_000),
    checksum: 'unfinished',
  });
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1 })]);
  t.same(bench.only('a').header, {
    flags: 1,
    gsoType: 1,
    hdrLen: 54,
    gsoSize: 1410,
    csumStart: 34,
    csumOffset: 16,
  });
});

t.test('a kernel peer’s unfinished checksum is finished for a TAP without offload', async (t) => {
  const bench = createBench({ offload: 0 });
  const frame = tcpFrame({
    ...IN,
    srcPort: 80,
    dstPort: 1000,
    payload: pattern(30_000),
    checksum: 'unfinished',
  });
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1 })]);
  const out = bench.take();
  t.equal(out.length, Math.ceil(30_000 / 1410));
  t.ok(out.every(({ bytes, header }) => header.flags === 0 && parseFrame(bytes).l4ChecksumRight));
});

t.test('what is no VXLAN of ours is dropped by name', async (t) => {
  const bench = createBench();
  const frame = udpFrame({ ...IN, srcPort: 5, dstPort: 6 });
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1, flags: 0xf7 })]);
  t.same(bench.drops(), { 'vxlan-no-vni': 1 });
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 2 })]);
  t.same(bench.drops(), { 'vxlan-foreign-vni': 1 });
  bench.receive('192.168.50.9', [vxlan(frame, { vni: 1 })]);
  t.same(bench.drops(), { 'vxlan-not-a-vtep': 1 });
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1 }).slice(0, 21)]);
  t.same(bench.drops(), { 'vxlan-short': 1 });
  bench.receive(VTEP2.underlay, [
    vxlan(udpFrame({ ...IN, dstMac: A.mac, srcPort: 5, dstPort: 6 }), { vni: 1 }),
  ]);
  t.same(bench.drops(), { 'vxlan-not-our-mac': 1 });
  t.same(bench.take(), []);
  bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1, flags: 0xff })]);
  bench.only('a');
});

t.test('congestion that the underlay marked reaches the pod, RFC 6040 figure 4', async (t) => {
  const [NOT_ECT, ECT_1, ECT_0, CE] = [0, 1, 2, 3];
  const bench = createBench();
  for (const [inner, byOuter] of [
    [NOT_ECT, [NOT_ECT, NOT_ECT, NOT_ECT, undefined]],
    [ECT_1, [ECT_1, ECT_1, ECT_1, CE]],
    [ECT_0, [ECT_0, ECT_1, ECT_0, CE]],
    [CE, [CE, CE, CE, CE]],
  ] as const)
    for (const [outer, expected] of byOuter.entries()) {
      const frame = udpFrame({ ...IN, tos: 0xb8 + inner!, srcPort: 5, dstPort: 6, payload: pattern(9) });
      bench.receive(VTEP2.underlay, [vxlan(frame, { vni: 1 })], 0, outer);
      if (expected === undefined) {
        t.same(bench.take(), [], 'a sender that knows no ECN hears of congestion by a loss');
        t.same(bench.drops(), { 'ecn-not-capable': 1 });
      } else
        t.match(
          parseFrame(bench.only('a').bytes),
          { tos: 0xb8 + expected, ipChecksumRight: true, l4ChecksumRight: true, payload: pattern(9) },
          `inner ${inner}, outer ${outer}`,
        );
    }
});

t.test('a mark mends no broken header, and touches nothing but IPv4', async (t) => {
  const bench = createBench();
  const fields = { ...IN, tos: 2, srcPort: 5, dstPort: 6 };
  bench.receive(VTEP2.underlay, [vxlan(udpFrame({ ...fields, ipChecksum: 0x1234 }), { vni: 1 })], 0, 3);
  t.same(bench.drops(), { 'ipv4-checksum': 1 });
  for (const [len, reason] of [
    [14, 'malformed-ipv4'],
    [20, 'malformed-ipv4'],
  ] as const) {
    bench.receive(VTEP2.underlay, [vxlan(udpFrame(fields).slice(0, len), { vni: 1 })], 0, 3);
    t.same(bench.drops(), { [reason]: 1 }, `cut to ${len} bytes`);
  }
  t.same(bench.take(), []);
});

t.test('a marked segment is not merged into a stream of unmarked ones', async (t) => {
  const bench = createBench();
  const segment = (i: number): Uint8Array =>
    vxlan(
      tcpFrame({
        ...IN,
        tos: 2,
        srcPort: 80,
        dstPort: 1000,
        seq: i * 1000,
        payload: pattern(1000, i * 1000),
      }),
      { vni: 1 },
    );
  bench.batch(() => {
    bench.receive(VTEP2.underlay, [segment(0), segment(1)]);
    bench.receive(VTEP2.underlay, [segment(2)], 0, 3);
  });
  t.same(
    bench.take().map(({ bytes }) => [parseFrame(bytes).tos, parseFrame(bytes).payload.length]),
    [
      [2, 2000],
      [3, 1000],
    ],
  );
});

t.test('datagrams that lie at odd offsets of a slot are read rightly', async (t) => {
  const bench = createBench();
  const datagrams = [0, 1, 2].map((i) =>
    vxlan(tcpFrame({ ...IN, srcPort: 80, dstPort: 1000, seq: i * 1001, payload: pattern(1001, i * 1001) }), {
      vni: 1,
    }),
  );
  bench.receive(VTEP2.underlay, datagrams);
  const out = bench.only('a');
  t.equal(out.header.gsoSize, 1001);
  t.same(parseFrame(out.bytes).payload, pattern(3003));
});

t.test('a captured underlay gets one datagram a message', async (t) => {
  const bench = createBench({ captured: ['vxlan'] });
  const frame = tcpFrame({ ...OUT, srcPort: 1, dstPort: 2, payload: pattern(3001), checksum: 'unfinished' });
  bench.send('a', frame, needsCsum(frame, { gsoType: 1, gsoSize: 1410, hdrLen: 54 }));
  const out = bench.take();
  t.equal(out.length, 3);
  t.equal(new Set(out.map(({ message }) => message)).size, 3);
});

t.test('equal datagrams of one flow share a message to the tunnel, and a super-frame to a TAP', async (t) => {
  const bench = createBench();
  const small = (i: number, len = 100): Uint8Array =>
    udpFrame({ ...OUT, srcPort: 1, dstPort: 2, payload: pattern(len, i) });
  bench.batch(() => {
    for (let i = 0; i < 5; i++) bench.send('a', small(i));
    bench.send('a', small(5, 60));
    bench.send('a', small(6));
  });
  const out = bench.take();
  t.equal(out.length, 7);
  t.same(
    out.map(({ message }) => message - out[0]!.message),
    [0, 0, 0, 0, 0, 0, 1],
    'a shorter one ends the message',
  );

  bench.receive(
    VTEP2.underlay,
    [0, 1, 2, 3].map((i) =>
      vxlan(udpFrame({ ...IN, srcPort: 1, dstPort: 2, payload: pattern(i === 3 ? 50 : 100, i) }), { vni: 1 }),
    ),
  );
  const collected = bench.only('a');
  t.same(collected.header, { flags: 1, gsoType: 5, hdrLen: 42, gsoSize: 100, csumStart: 34, csumOffset: 6 });
  const whole = parseFrame(collected.bytes);
  t.match(whole, { length: 358, totalLen: 378, ipChecksumRight: true });
  t.same(
    [...whole.payload],
    [0, 1, 2, 3].flatMap((i) => [...pattern(i === 3 ? 50 : 100, i)]),
  );
});

t.test('datagrams are not collected for a captured port, nor for a TAP without USO', async (t) => {
  const datagrams = [0, 1, 2].map((i) =>
    vxlan(udpFrame({ ...IN, srcPort: 1, dstPort: 2, payload: pattern(100, i) }), { vni: 1 }),
  );
  for (const bench of [createBench({ captured: ['a'] }), createBench({ offload: 3 })]) {
    bench.receive(VTEP2.underlay, datagrams);
    const out = bench.take();
    t.equal(out.length, 3);
    t.ok(out.every(({ header }) => header.gsoType === 0));
  }
});

t.test('a pod puts nothing into the tunnel in the host’s name', async (t) => {
  const bench = createBench();
  const forged = vxlan(udpFrame({ ...IN, dst: '10.244.2.9', srcPort: 5, dstPort: 6 }), { vni: 1 });
  const to = { ...OUT, dst: VTEP2.underlay, srcPort: 49152, payload: forged };
  bench.send('a', udpFrame({ ...to, dstPort: 8472 }));
  t.same(bench.drops(), { 'tunnel-forged': 1 }, 'masqueraded it would come from a VTEP');
  bench.send('a', udpFrame({ ...to, dstPort: 8472, payload: pattern(64), mf: true, id: 3 }));
  t.same(bench.drops(), { 'tunnel-forged': 1 }, 'in fragments too');
  t.same(bench.take(), []);

  bench.send('a', udpFrame({ ...to, dstPort: 4789 }));
  bench.send('a', udpFrame({ ...to, dst: '192.0.2.9', dstPort: 8472 }));
  t.same(
    bench.take().map(({ port, bytes }) => [port, parseFrame(bytes).src]),
    [
      ['pw0', VTEP1.underlay],
      ['pw0', VTEP1.underlay],
    ],
    'another port, and a host that is no node, are the outside',
  );

  // A flow from before that host became a node.
  bench.view = {
    ...bench.view,
    nodes: bench.view.nodes.map((node) =>
      node.metadata.name === 'node3'
        ? {
            ...node,
            metadata: {
              ...node.metadata,
              annotations: { ...node.metadata.annotations, [FLANNEL_PUBLIC_IP]: '192.0.2.9' },
            },
          }
        : node,
    ),
  };
  bench.update();
  bench.send('a', udpFrame({ ...to, dst: '192.0.2.9', dstPort: 8472 }));
  t.same(
    bench.drops(),
    { 'tunnel-forged': 1 },
    'a flow that was allowed is not, once a node has the address',
  );
  t.same(bench.take(), []);
});
