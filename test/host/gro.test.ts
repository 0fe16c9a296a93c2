/** What may be merged into a super-frame, and what ends one. The readable rule: nothing but sequence number and PSH may differ. */
import t from 'tap';
import { A, REMOTE, VTEP1, VTEP2, createBench, type HostBench, type Output } from '../lib/host-bench.js';
import { parseFrame, tcpFrame, vxlan, type TcpFields } from '../lib/packets.js';

const ACK = 16;
const PSH = 8;
const BASE: TcpFields = {
  srcMac: VTEP2.mac,
  dstMac: VTEP1.mac,
  src: REMOTE.ip,
  dst: A.ip,
  srcPort: 80,
  dstPort: 1000,
  seq: 0,
  ack: 5,
  flags: ACK,
  ttl: 60,
};

/** What comes out at the pod when segments of `len` bytes, each changed a little, come in one slot. */
function merge(
  changes: readonly Partial<TcpFields>[],
  len = 100,
  bench: HostBench = createBench(),
): Output[] {
  const datagrams = changes.map((change, i) =>
    vxlan(
      tcpFrame({
        ...BASE,
        seq: i * len,
        id: i,
        payload: new Uint8Array(len).fill(i),
        ...change,
      }),
      { vni: 1 },
    ),
  );
  bench.batch(() => {
    for (const datagram of datagrams) bench.receive(VTEP2.underlay, [datagram]);
  });
  return bench.take();
}

const sizes = (out: readonly Output[]): number[] => out.map(({ bytes }) => parseFrame(bytes).payload.length);

t.test('segments that differ in nothing else are merged', async (t) => {
  t.same(sizes(merge([{}, {}, {}])), [300]);
});

t.test('a difference in any other field keeps a segment alone', async (t) => {
  const differences: Record<string, Partial<TcpFields>> = {
    source: { src: '10.244.2.8' },
    'source port': { srcPort: 81 },
    'destination port': { dstPort: 1001 },
    acknowledgement: { ack: 6 },
    window: { window: 1 },
    'urgent pointer': { flags: ACK | 32, urgent: 1 },
    TTL: { ttl: 59 },
    TOS: { tos: 4 },
    'don’t fragment': { df: true },
    options: { options: Uint8Array.of(1, 1, 1, 1) },
    'IP options': { ipOptions: Uint8Array.of(1, 1, 1, 1) },
    'a gap': { seq: 101 },
    'old bytes': { seq: 99 },
    'an ECE': { flags: ACK | 64 },
    'a CWR': { flags: ACK | 128 },
    'a FIN': { flags: ACK | 1 },
    'no acknowledgement': { flags: 0 },
    'more bytes than the first': { payload: new Uint8Array(101) },
    'no bytes': { payload: new Uint8Array(0) },
    'a wrong checksum': { checksum: 1 },
    'an unfinished checksum': { checksum: 'unfinished' },
  };
  for (const [what, change] of Object.entries(differences)) {
    const out = merge([{}, change]);
    t.equal(out.length, 2, what);
    t.ok(
      out.every(({ header }) => header.gsoType === 0),
      what,
    );
  }
});

t.test('PSH ends a super-frame and is kept; a shorter segment ends it too', async (t) => {
  const out = merge([{}, { flags: ACK | PSH }, {}, {}]);
  t.same(sizes(out), [200, 200]);
  t.same(
    out.map(({ bytes }) => parseFrame(bytes).flags),
    [ACK | PSH, ACK],
  );
  t.same(sizes(merge([{}, { payload: new Uint8Array(40) }, { seq: 140 }, { seq: 240 }])), [140, 200]);
});

t.test('a super-frame grows to 64 KiB at most, and no more pieces than a message takes', async (t) => {
  const large = createBench({ mtu: 9100, batch: { slots: 16 } });
  const many = (count: number): Partial<TcpFields>[] => Array.from({ length: count }, () => ({}));
  const out = sizes(merge(many(8), 9000, large));
  t.equal(
    out.reduce((a, b) => a + b, 0),
    72_000,
  );
  t.same(out, [63_000, 9000]);
});

t.test('small segments merge until the pieces of a message are used up', async (t) => {
  const bench = createBench({ batch: { slots: 200 } });
  const out = sizes(
    merge(
      Array.from({ length: 190 }, () => ({})),
      10,
      bench,
    ),
  );
  t.equal(
    out.reduce((a, b) => a + b, 0),
    1900,
  );
  t.equal(out.length, 2);
});

t.test('sequence numbers wrap', async (t) => {
  const out = merge([{ seq: 0xffffffce }, { seq: 50 }, { seq: 150 }]);
  t.same(sizes(out), [300]);
  t.equal(parseFrame(out[0]!.bytes).seq, 0xffffffce);
});

t.test('a pod without TSO gets the segments as they were', async (t) => {
  const bench = createBench({ offload: 0 });
  const out = merge([{}, {}, { payload: new Uint8Array(7) }], 100, bench);
  t.same(sizes(out), [100, 100, 7]);
  t.same(
    out.map(({ bytes }) => parseFrame(bytes).seq),
    [0, 100, 200],
  );
  t.ok(out.every(({ bytes }) => parseFrame(bytes).l4ChecksumRight));
});

t.test('segments to a third host are merged, routed and cut again', async (t) => {
  const bench = createBench();
  const out = merge([{ dst: '10.244.3.5' }, { dst: '10.244.3.5' }, { dst: '10.244.3.5' }], 1000, bench);
  t.same(
    out.map(({ peer, port }) => [port, peer]),
    [1, 2, 3].map(() => ['vxlan', '192.168.50.3']),
  );
  out.forEach(({ bytes }, i) => {
    const inner = parseFrame(bytes.slice(8));
    t.match(inner, { seq: i * 1000, ttl: 59, l4ChecksumRight: true, ipChecksumRight: true });
    t.same(inner.payload, new Uint8Array(1000).fill(i));
  });
});

/** `count` streams by their source port, one segment of each in turn. */
const interleaved = (count: number, rounds: number): Partial<TcpFields>[] =>
  Array.from({ length: count * rounds }, (_, i) => ({
    srcPort: 1000 + (i % count),
    seq: Math.floor(i / count) * 100,
  }));

t.test('interleaved streams are merged each for itself', async (t) => {
  const out = merge(interleaved(8, 5), 100, createBench({ batch: { slots: 64 } }));
  t.same(
    out.map(({ bytes }) => parseFrame(bytes).srcPort),
    [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007],
    'in the order in which they began',
  );
  t.same(
    sizes(out),
    Array.from({ length: 8 }, () => 500),
  );
  for (const [stream, { bytes }] of out.entries())
    t.same(
      [...parseFrame(bytes).payload].filter((_, i) => i % 100 === 0),
      Array.from({ length: 5 }, (_, round) => round * 8 + stream),
      'every piece in its place',
    );
});

t.test('more streams than may be open: the one that began first ends first, and all arrives', async (t) => {
  const out = merge(interleaved(9, 3), 100, createBench({ batch: { slots: 64 } }));
  t.equal(
    sizes(out).reduce((a, b) => a + b, 0),
    2700,
  );
  for (let port = 1000; port < 1009; port++)
    t.same(
      out.filter(({ bytes }) => parseFrame(bytes).srcPort === port).map(({ bytes }) => parseFrame(bytes).seq),
      [0, 100, 200],
      'in order',
    );
});

t.test('what does not join its stream ends it, and no other', async (t) => {
  const other = { srcPort: 1001 };
  for (const alone of [{ payload: new Uint8Array(0) }, { checksum: 1 }, { flags: ACK | 1 }] as const) {
    const out = merge(
      [
        {},
        { ...other, seq: 0 },
        { seq: 100, ...alone },
        { ...other, seq: 100 },
        { seq: 100 },
        { ...other, seq: 200 },
      ],
      100,
      createBench({ batch: { slots: 64 } }),
    );
    t.same(
      out.map(({ bytes }) => [parseFrame(bytes).srcPort, parseFrame(bytes).payload.length]),
      [
        [80, 100],
        [1001, 300],
        [80, 'payload' in alone ? 0 : 100],
        [80, 100],
      ],
    );
  }
});
