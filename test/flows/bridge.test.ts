/** From pod to pod on one host: ARP, learning, unicast; what a pod may not do. */
import t from 'tap';
import { A, B, C, GATEWAY, ROUTER, createBench } from '../lib/host-bench.js';
import { arpReply, arpRequest, icmpEcho, parseFrame, udpFrame } from '../lib/packets.js';

const BROADCAST = 'ff:ff:ff:ff:ff:ff';

t.test('an ARP request for a pod is flooded to all pods of the host but the asker', async (t) => {
  const bench = createBench();
  const request = arpRequest({ senderMac: A.mac, senderIp: A.ip, targetIp: B.ip });
  bench.send('a', request);
  const out = bench.take();
  t.same(
    out.map(({ port }) => port),
    ['b', 'c'],
    'and neither to the host nor to the tunnel',
  );
  for (const { bytes } of out) t.same(bytes, request);
});

t.test('an ARP reply goes to the asker alone, whose address was learned', async (t) => {
  const bench = createBench();
  bench.send('a', arpRequest({ senderMac: A.mac, senderIp: A.ip, targetIp: B.ip }));
  bench.take();
  const reply = arpReply({ senderMac: B.mac, senderIp: B.ip, targetMac: A.mac, targetIp: A.ip });
  bench.send('b', reply);
  t.same(bench.only('a').bytes, reply);
});

t.test('a frame to a pod that has spoken goes to it alone, unchanged; TTL is not touched', async (t) => {
  const bench = createBench();
  bench.send('b', arpRequest({ senderMac: B.mac, senderIp: B.ip, targetIp: A.ip }));
  bench.take();
  const ping = icmpEcho({
    srcMac: A.mac,
    dstMac: B.mac,
    src: A.ip,
    dst: B.ip,
    echoId: 1,
    echoSeq: 1,
    ttl: 7,
  });
  bench.send('a', ping);
  const out = bench.only('b');
  t.same(out.bytes, ping);
  t.equal(parseFrame(out.bytes).ttl, 7);
});

t.test('a frame to a MAC address that nobody has shown is flooded', async (t) => {
  const bench = createBench();
  bench.send('a', icmpEcho({ srcMac: A.mac, dstMac: B.mac, src: A.ip, dst: B.ip, echoId: 1, echoSeq: 1 }));
  t.same(
    bench.take().map(({ port }) => port),
    ['b', 'c'],
  );
});

t.test(
  'the router answers ARP for the gateway and for its own address with its own MAC address',
  async (t) => {
    const bench = createBench();
    for (const target of [GATEWAY.ip, ROUTER.ip]) {
      bench.send('a', arpRequest({ senderMac: A.mac, senderIp: A.ip, targetIp: target }));
      const out = bench.only('a');
      t.match(parseFrame(out.bytes), {
        dstMac: A.mac,
        srcMac: ROUTER.mac,
        op: 2,
        senderMac: ROUTER.mac,
        senderIp: target,
        targetMac: A.mac,
        targetIp: A.ip,
      });
      t.equal(out.bytes.length, 42);
    }
  },
);

t.test('an entry of the fdb ages after 300 s: its frames are flooded again', async (t) => {
  const bench = createBench();
  bench.send('b', arpRequest({ senderMac: B.mac, senderIp: B.ip, targetIp: A.ip }));
  bench.take();
  const ping = icmpEcho({ srcMac: A.mac, dstMac: B.mac, src: A.ip, dst: B.ip, echoId: 1, echoSeq: 1 });
  bench.now += 299_999;
  bench.send('a', ping);
  bench.only('b');
  bench.now += 1;
  bench.send('a', ping);
  t.equal(bench.take().length, 2);
});

t.test(
  'a pod speaks only for itself: another MAC, IP or ARP sender address is dropped by name',
  async (t) => {
    const bench = createBench();
    const udp = { srcMac: A.mac, dstMac: B.mac, src: A.ip, dst: B.ip, srcPort: 1, dstPort: 2 };
    bench.send('a', udpFrame({ ...udp, srcMac: C.mac }));
    t.same(bench.drops(), { 'source-mac': 1 });
    bench.send('a', udpFrame({ ...udp, src: C.ip }));
    t.same(bench.drops(), { 'source-ip': 1 });
    bench.send(
      'a',
      arpReply({ srcMac: A.mac, senderMac: A.mac, senderIp: C.ip, targetMac: B.mac, targetIp: B.ip }),
    );
    t.same(bench.drops(), { 'spoofed-arp': 1 });
    bench.send(
      'a',
      arpReply({ srcMac: A.mac, senderMac: C.mac, senderIp: A.ip, targetMac: B.mac, targetIp: B.ip }),
    );
    t.same(bench.drops(), { 'spoofed-arp': 1 });
    t.same(bench.take(), []);
    bench.send('a', arpRequest({ senderMac: A.mac, senderIp: '0.0.0.0', targetIp: C.ip, dstMac: BROADCAST }));
    t.equal(bench.take().length, 2, 'but a probe (RFC 5227) passes');
  },
);

t.test('pods of a host reach each other through the router too, with a TTL less', async (t) => {
  const bench = createBench();
  bench.send(
    'a',
    udpFrame({ srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: B.ip, srcPort: 1, dstPort: 2, ttl: 9 }),
  );
  const out = bench.only('b');
  t.match(parseFrame(out.bytes), {
    srcMac: ROUTER.mac,
    dstMac: B.mac,
    ttl: 8,
    ipChecksumRight: true,
    l4ChecksumRight: true,
  });
});
