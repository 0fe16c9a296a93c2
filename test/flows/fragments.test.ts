/** Fragments: they follow their first one. */
import { packetsAt, ROW_WORDS } from '../../src/tables/conntrack.js';
import t from 'tap';
import { A, REMOTE, ROUTER, createBench } from '../lib/host-bench.js';
import { ipv4Frame, parseFrame, parseVxlan, tcpFrame, udpFrame } from '../lib/packets.js';

const FROM_A = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: REMOTE.ip };
const first = (id: number, len = 64, srcPort = 1000): Uint8Array =>
  udpFrame({ ...FROM_A, id, mf: true, srcPort, dstPort: 53, payload: new Uint8Array(len - 8) });
const later = (id: number, fragmentOffset: number, len = 64, mf = false): Uint8Array =>
  ipv4Frame({ ...FROM_A, id, mf, fragmentOffset, proto: 17, payload: new Uint8Array(len) });

t.test('later fragments take the way of the first, into the same socket', async (t) => {
  const bench = createBench({ tunnelSockets: 16 });
  for (let id = 1; id <= 10; id++) {
    bench.send('a', first(id, 64, 1000 + id));
    bench.send('a', later(id, 64, 64, true));
    bench.send('a', later(id, 128, 13));
    const out = bench.take();
    t.equal(out.length, 3);
    t.equal(new Set(out.map(({ socket }) => socket)).size, 1);
    t.match(parseFrame(parseVxlan(out[2]!.bytes).inner), {
      fragmentOffset: 128,
      mf: false,
      ttl: 63,
      ipChecksumRight: true,
    });
  }
  t.equal(bench.host.dp.conntrack.size, 10, 'one flow each');
});

t.test('a fragment whose first one has not passed is dropped by name', async (t) => {
  const bench = createBench();
  bench.send('a', later(1, 64));
  t.same(bench.drops(), { 'fragment-first-missing': 1 });
  bench.send('a', first(1));
  bench.now += 30_000;
  bench.send('a', later(1, 64));
  t.same(bench.drops(), { 'fragment-first-missing': 1 }, 'or passed too long ago');
});

t.test('fragments that overlap are refused, the first one’s twin too', async (t) => {
  const bench = createBench();
  bench.send('a', first(1));
  bench.send('a', later(1, 56));
  t.same(bench.drops(), { 'fragment-overlap': 1 });
  bench.send('a', first(1, 64, 4444));
  t.same(bench.drops(), { 'fragment-overlap': 1 });
  bench.send('a', later(1, 64, 64, true));
  bench.send('a', later(1, 64, 8));
  t.same(bench.drops(), { 'fragment-overlap': 1 });
  t.equal(bench.take().length, 2);
});

t.test('a first fragment’s twin does not change whose the later ones are', async (t) => {
  const bench = createBench();
  bench.send('a', first(1, 64, 1000));
  bench.send('a', first(1, 64, 4444));
  bench.send('a', later(1, 64));
  bench.take();
  t.equal(bench.host.dp.conntrack.size, 1);
  t.equal(bench.host.dp.conntrack.words[ROW_WORDS + 8]! >>> 16, 1000);
  t.equal(
    bench.host.dp.conntrack.doubles[packetsAt(1, 0)],
    2,
    'both fragments count for the flow of the first',
  );
});

t.test('impossible pieces are dropped by name', async (t) => {
  const bench = createBench();
  bench.send('a', later(1, 65528, 64));
  t.same(bench.drops(), { 'fragment-bounds': 1 }, 'past 64 KiB');
  bench.send('a', later(1, 64, 63, true));
  t.same(bench.drops(), { 'fragment-bounds': 1 }, 'no multiple of 8 bytes, with more to come');
  bench.send('a', later(1, 64, 0));
  t.same(bench.drops(), { 'fragment-bounds': 1 }, 'empty');
  bench.send('a', ipv4Frame({ ...FROM_A, fragmentOffset: 8, proto: 6, payload: new Uint8Array(16) }));
  t.same(bench.drops(), { 'fragment-bounds': 1 }, 'one that would rewrite the flags of TCP');
  const tiny = tcpFrame({ ...FROM_A, mf: true, srcPort: 1, dstPort: 2 });
  bench.send('a', ipv4Frame({ ...FROM_A, mf: true, proto: 6, payload: tiny.slice(34, 34 + 16) }));
  t.same(bench.drops(), { 'fragment-bounds': 1 }, 'a first one too short for TCP');
  bench.send('a', first(1), { gsoType: 5, gsoSize: 8, flags: 1, csumStart: 34, csumOffset: 6 });
  t.same(bench.drops(), { 'malformed-offload': 1 }, 'a fragment that claims to be a super-frame');
});

t.test('when all rows are taken the oldest packet gives way', async (t) => {
  const bench = createBench({ capacities: { fragments: 4 } });
  for (let id = 1; id <= 4; id++) bench.send('a', first(id));
  bench.drops();
  bench.send('a', later(1, 64));
  t.same(bench.drops(), { 'fragment-first-missing': 1 });
  for (let id = 2; id <= 4; id++) bench.send('a', later(id, 64));
  t.same(bench.drops(), {});
});
