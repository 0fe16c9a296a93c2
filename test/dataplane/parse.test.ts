/** First stage: frames that are not what they say are dropped by name, before anybody believes them. */
import t from 'tap';
import {
  A,
  B,
  REMOTE,
  ROUTER,
  createBench,
  needsCsum,
  type HostBench,
  type VirtioHeader,
} from '../lib/host-bench.js';
import {
  ethernetFrame,
  icmpEcho,
  ipv4Frame,
  parseFrame,
  parseVxlan,
  tcpFrame,
  udpFrame,
} from '../lib/packets.js';

const FIELDS = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: REMOTE.ip, srcPort: 1000, dstPort: 80 };
const payload = new Uint8Array(100);
const udp = udpFrame({ ...FIELDS, payload, checksum: 'unfinished' });
const tcp = tcpFrame({ ...FIELDS, payload, checksum: 'unfinished' });

/** A copy of some bytes with others in a few places. */
const changed = (bytes: Uint8Array, changes: Record<number, number>): Uint8Array =>
  bytes.map((byte, at) => changes[at] ?? byte);

/** Why a frame of pod `a` was dropped, or where it went. */
function fate(bench: HostBench, frame: Uint8Array, header: VirtioHeader = {}): string {
  bench.drops();
  bench.send('a', frame, header);
  return [...Object.keys(bench.drops()), ...bench.take().map(({ port }) => `to ${port}`)].join(', ');
}

t.test('lengths that contradict each other are malformed', async (t) => {
  const bench = createBench();
  for (let len = 1; len < 14; len++)
    t.equal(fate(bench, udp.slice(0, len)), 'malformed-ethernet', `${len} bytes`);
  for (let len = 14; len < udp.length; len++)
    t.equal(fate(bench, udp.slice(0, len)), 'malformed-ipv4', `${len} bytes`);
  t.equal(fate(bench, changed(udp, { 14: 0x44 })), 'malformed-ipv4', 'IHL 4');
  t.equal(fate(bench, changed(udp, { 14: 0x65 })), 'malformed-ipv4', 'version 6');
  t.equal(fate(bench, changed(udp, { 16: 0, 17: 19 })), 'malformed-ipv4', 'total length below the header');
  t.equal(fate(bench, changed(udp, { 24: 1 })), 'ipv4-checksum');
  const ipv4 = { ...FIELDS, proto: 17 };
  t.equal(fate(bench, ipv4Frame({ ...ipv4, payload: new Uint8Array(7) })), 'malformed-l4', 'UDP of 7 bytes');
  for (const length of [0, 7, 9])
    t.equal(
      fate(bench, ipv4Frame({ ...ipv4, payload: [0, 1, 0, 2, 0, length, 0, 0] })),
      'malformed-l4',
      `UDP length ${length} of 8`,
    );
  t.equal(fate(bench, ipv4Frame({ ...ipv4, proto: 6, payload: new Uint8Array(19) })), 'malformed-l4');
  for (const words of [0, 4, 6])
    t.equal(
      fate(bench, ipv4Frame({ ...ipv4, proto: 6, payload: changed(new Uint8Array(20), { 12: words << 4 }) })),
      'malformed-l4',
      `TCP data offset ${words} of 5`,
    );
  t.equal(fate(bench, ipv4Frame({ ...ipv4, proto: 1, payload: new Uint8Array(7) })), 'malformed-l4');
});

t.test('what Ethernet padded is trimmed', async (t) => {
  const bench = createBench();
  const frame = icmpEcho({ ...FIELDS, echoId: 1, echoSeq: 1 });
  bench.send('a', Uint8Array.from([...frame, ...new Uint8Array(18).fill(0xee)]));
  t.equal(parseVxlan(bench.only().bytes).inner.length, frame.length);
});

t.test('IP options are carried, also through cutting', async (t) => {
  const bench = createBench();
  const ipOptions = Uint8Array.of(0x94, 4, 0, 0);
  const frame = tcpFrame({ ...FIELDS, ipOptions, payload: new Uint8Array(3000), checksum: 'unfinished' });
  bench.send('a', frame, needsCsum(frame, { gsoType: 1, gsoSize: 1400 }));
  const out = bench.take();
  t.equal(out.length, 3);
  for (const { bytes } of out)
    t.match(parseFrame(parseVxlan(bytes).inner), { ipOptions, ipChecksumRight: true, l4ChecksumRight: true });
});

t.test('a super-frame that is none is dropped', async (t) => {
  const bench = createBench();
  const good = needsCsum(tcp, { gsoType: 1, gsoSize: 50 });
  t.match(fate(bench, tcp, good), /^to vxlan/);
  const bad: Record<string, VirtioHeader> = {
    'segment size 0': { ...good, gsoSize: 0 },
    'another protocol': { ...good, gsoType: 5 },
    'UDP fragmentation, long gone': { ...good, gsoType: 3 },
    'TCP over IPv6': { ...good, gsoType: 4 },
    'an unknown kind': { ...good, gsoType: 77 },
    'a finished checksum': { ...good, flags: 0 },
    'the wrong place of the checksum': { ...good, csumStart: 36 },
    'the wrong field': { ...good, csumOffset: 6 },
  };
  for (const [what, header] of Object.entries(bad))
    t.equal(fate(bench, tcp, header), 'malformed-offload', what);
  const long = tcpFrame({ ...FIELDS, payload: new Uint8Array(2000), checksum: 'unfinished' });
  t.equal(
    fate(bench, long, needsCsum(long, { gsoType: 1, gsoSize: 1 })),
    'malformed-offload',
    '2000 segments',
  );
  const arp = ethernetFrame({ srcMac: A.mac, etherType: 0x0806, payload: new Uint8Array(28) });
  t.equal(fate(bench, arp, { gsoType: 1, gsoSize: 5 }), 'malformed-offload');
});

t.test('an unfinished checksum may not lie in a header that was judged', async (t) => {
  const bench = createBench();
  for (const frame of [udp, tcp])
    for (let csumStart = 0; csumStart < 34; csumStart++)
      for (const csumOffset of [0, 6, 16])
        t.equal(fate(bench, frame, { flags: 1, csumStart, csumOffset }), 'malformed-offload');
  for (const csumOffset of [0, 2, 4, 8]) {
    t.equal(fate(bench, udp, { flags: 1, csumStart: 34, csumOffset }), 'malformed-offload', 'ports of UDP');
    t.equal(fate(bench, tcp, { flags: 1, csumStart: 34, csumOffset }), 'malformed-offload', 'ports of TCP');
  }
  const echo = icmpEcho({ ...FIELDS, echoId: 1, echoSeq: 1, payload });
  t.equal(
    fate(bench, echo, { flags: 1, csumStart: 34, csumOffset: 0 }),
    'malformed-offload',
    'type and code',
  );
  const arp = ethernetFrame({ srcMac: A.mac, etherType: 0x0806, payload: new Uint8Array(28) });
  t.equal(fate(bench, arp, { flags: 1, csumStart: 0, csumOffset: 0 }), 'malformed-offload');
});

t.test('an unfinished checksum behind the end of the packet is malformed, in its padding too', async (t) => {
  const bench = createBench();
  t.equal(fate(bench, udp, { flags: 1, csumStart: udp.length - 1, csumOffset: 0 }), 'malformed-offload');
  t.equal(fate(bench, udp, { flags: 1, csumStart: 65535, csumOffset: 65535 }), 'malformed-offload');
  const padded = Uint8Array.from([...udp, ...new Uint8Array(20)]);
  t.equal(fate(bench, padded, { flags: 1, csumStart: udp.length, csumOffset: 4 }), 'malformed-offload');
});

t.test('a pod’s own tunnel leaves the checksum of what it carries', async (t) => {
  const bench = createBench();
  const inner = udpFrame({
    src: '10.9.0.1',
    dst: '10.9.0.2',
    srcPort: 1,
    dstPort: 2,
    payload,
    checksum: 'unfinished',
  });
  // Behind 14 + 20 + 8 bytes of headers and one byte more, so that it lies at an odd offset.
  const outer = udpFrame({ ...FIELDS, payload: Uint8Array.from([7, ...inner]), checksum: 0 });
  bench.send('a', outer, { flags: 1, csumStart: 43 + 34, csumOffset: 6 });
  const carried = parseFrame(parseVxlan(bench.only().bytes).inner);
  t.match(parseFrame(carried.payload.slice(1)), { l4ChecksumRight: true, payload });
});

t.test('bytes behind a UDP datagram never become its data', async (t) => {
  const bench = createBench();
  const datagram = udpFrame({ ...FIELDS, dst: B.ip, payload, checksum: 'unfinished' });
  // UDP's length is 8 less than the IP packet has room for.
  const short = changed(datagram, { 38: 0, 39: 100 });
  bench.batch(() => {
    bench.send('a', short, needsCsum(short));
    bench.send('a', short, needsCsum(short));
  });
  t.same(
    bench.take().map(({ header }) => header.gsoType),
    [0, 0],
  );
});

t.test('a runt from the driver is dropped by name', async (t) => {
  t.equal(fate(createBench(), new Uint8Array(0)), 'malformed-offload');
});
