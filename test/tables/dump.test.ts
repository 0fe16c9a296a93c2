/** Tables as text, after traffic; the static ones are in `golden/`. */
import t from 'tap';
import { REASONS } from '../../src/dataplane/verdict.js';
import { DUMPABLE, dumpTable, type DumpName } from '../../src/tables/dump.js';
import { CAPACITIES, createTables, type Tables } from '../../src/tables/tables.js';
import { A, B, REMOTE, ROUTER, VTEP1, VTEP2, createBench, type HostBench } from '../lib/host-bench.js';
import { arpRequest, icmpEcho, tcpFrame, udpFrame, vxlan } from '../lib/packets.js';

const REASON_NAMES = REASONS.map(([name]) => name);

/** A dump as lines without the blanks that align them. */
function lines(bench: HostBench, name: DumpName, tables: Tables = bench.host.dp): string[] {
  return dumpTable(tables, name, (of, id) => bench.master.ids.keyOf(of, id), REASON_NAMES, bench.now)
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, ' '));
}

/** Some talk between pods here and far away, the oldest first. */
function talk(bench: HostBench): void {
  const out = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: REMOTE.ip };
  const back = { srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: REMOTE.ip, dst: A.ip };
  bench.send('b', arpRequest({ senderMac: B.mac, senderIp: B.ip, targetIp: A.ip }));
  bench.now += 20_000;
  bench.send('a', tcpFrame({ ...out, srcPort: 40000, dstPort: 80, flags: 2 }));
  bench.now += 1000;
  bench.receive(VTEP2.underlay, [
    vxlan(tcpFrame({ ...back, srcPort: 80, dstPort: 40000, flags: 18 }), { vni: 1 }),
  ]);
  bench.now += 4000;
  bench.send('a', icmpEcho({ ...out, echoId: 7, echoSeq: 1 }));
  bench.send(
    'a',
    udpFrame({ ...out, srcPort: 5353, dstPort: 53, id: 77, mf: true, payload: new Uint8Array(8) }),
  );
  bench.send('a', udpFrame({ ...out, dst: '10.244.99.1', srcPort: 1, dstPort: 2 }));
  bench.now += 2000;
}

t.test('conntrack shows both sides, state, age and what is left of the time, youngest first', async (t) => {
  const bench = createBench();
  talk(bench);
  t.same(lines(bench, 'conntrack'), [
    'PROTO INI TGT ENDPOINT SOURCE-AS SERVICE STATE REPLIED AGE TIMEOUT SEGMENT INI-PACKETS/BYTES TGT-PACKETS/BYTES',
    'icmp 10.244.1.2 10.244.2.7 - - - unreplied no 2s 28s cni0 1/42 0/0',
    'udp 10.244.1.2:5353 10.244.2.7:53 - - - unreplied no 2s 28s cni0 1/50 0/0',
    'tcp 10.244.1.2:40000 10.244.2.7:80 - - - syn-received yes 6s 54s cni0 1/54 1/54',
  ]);
  bench.now += 60_000;
  t.equal(
    lines(bench, 'conntrack').length,
    1,
    'what has timed out is not shown, though its row is not swept yet',
  );
});

t.test('fdb, fragments, counters and ports show what passed', async (t) => {
  const bench = createBench();
  talk(bench);
  t.same(lines(bench, 'fdb'), [
    'MAC SEGMENT PORT AGE',
    `${A.mac} cni0 pod default/a 2s`,
    `${B.mac} cni0 pod default/b 27s`,
  ]);
  t.same(lines(bench, 'fragments'), [
    'SEGMENT SOURCE DESTINATION ID PROTO AGE',
    'cni0 10.244.1.2 10.244.2.7 77 udp 2s',
  ]);
  const counters = lines(bench, 'counters');
  for (const line of ['event passes 6', 'event icmpErrors 1', 'drop no-such-node 1'])
    t.ok(counters.includes(line), line);
  const port = lines(bench, 'ports').find((line) => line.startsWith('pod default/a'))!;
  t.equal(
    port,
    'pod default/a pod cni0 0a:58:0a:f4:01:02 10.244.1.2 1450 csum,tso,uso guarded - 4 188 3 166 1',
    'four in, of which one was dropped; ARP, a segment and an ICMP error out',
  );
});

t.test('another thread’s tables over the same memory show the same', async (t) => {
  const buffers: SharedArrayBuffer[] = [];
  const capacities = { ...CAPACITIES, conntrack: 256, fdb: 64, fragments: 8 };
  const bench = createBench({
    capacities,
    alloc: (bytes) => {
      const buffer = new SharedArrayBuffer(bytes);
      buffers.push(buffer);
      return buffer;
    },
  });
  talk(bench);
  let next = 0;
  const other = createTables(() => buffers[next++]!, 1, REASONS.length, capacities);
  for (const name of DUMPABLE) t.same(lines(bench, name, other), lines(bench, name), name);
});

t.test('a row whose id nobody knows is shown by its number', async (t) => {
  const bench = createBench();
  talk(bench);
  const text = dumpTable(bench.host.dp, 'fdb', () => undefined, REASON_NAMES, bench.now);
  t.match(text, /^0a:58:0a:f4:01:02 {2}#1 {7}#\d+ +2s$/m);
});
