/** The router: to the host's kernel and back, ICMP errors, and what never goes where. */
import t, { type Test } from 'tap';
import {
  A,
  B,
  GATEWAY,
  REMOTE,
  ROUTER,
  VTEP1,
  VTEP2,
  createBench,
  needsCsum,
  type HostBench,
} from '../lib/host-bench.js';
import { EVENT_ICMP_ERRORS } from '../../src/tables/counters.js';
import { icmpEcho, icmpFrame, parseFrame, parseVxlan, tcpFrame, udpFrame, vxlan } from '../lib/packets.js';

const FROM_A = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip };
/** From the host's kernel, out of pw0: its permanent neighbor is the router. */
const FROM_HOST = { srcMac: GATEWAY.mac, dstMac: ROUTER.mac, src: GATEWAY.ip };
const UDP = { srcPort: 1000, dstPort: 2000 };

t.test('the gateway address is the host’s own: delivered to pw0 with its TTL', async (t) => {
  const bench = createBench();
  bench.send('a', icmpEcho({ ...FROM_A, dst: GATEWAY.ip, echoId: 1, echoSeq: 1, ttl: 1 }));
  t.match(parseFrame(bench.only('pw0').bytes), {
    srcMac: ROUTER.mac,
    dstMac: GATEWAY.mac,
    ttl: 1,
    l4ChecksumRight: true,
  });
  bench.send('pw0', icmpEcho({ ...FROM_HOST, dst: A.ip, isReply: true, echoId: 1, echoSeq: 1, ttl: 64 }));
  t.match(parseFrame(bench.only('a').bytes), { srcMac: ROUTER.mac, dstMac: A.mac, ttl: 63 });
});

t.test('destinations outside the cluster go to the host’s kernel, a TTL less', async (t) => {
  const bench = createBench();
  bench.send('a', udpFrame({ ...FROM_A, dst: '9.9.9.9', ...UDP, ttl: 64 }));
  t.match(parseFrame(bench.only('pw0').bytes), { dst: '9.9.9.9', ttl: 63, dstMac: GATEWAY.mac });
});

t.test('the host reaches its pods and those of other hosts', async (t) => {
  const bench = createBench();
  bench.send('pw0', udpFrame({ ...FROM_HOST, dst: A.ip, ...UDP }));
  bench.only('a');
  bench.send('pw0', udpFrame({ ...FROM_HOST, dst: REMOTE.ip, ...UDP }));
  t.equal(bench.only('vxlan').peer, VTEP2.underlay);
});

t.test('the router answers a ping to its own address, and nothing else there', async (t) => {
  const bench = createBench();
  bench.send(
    'a',
    icmpEcho({ ...FROM_A, dst: ROUTER.ip, echoId: 5, echoSeq: 6, payload: Uint8Array.of(1, 2, 3) }),
  );
  t.match(parseFrame(bench.only('a').bytes), {
    srcMac: ROUTER.mac,
    dstMac: A.mac,
    src: ROUTER.ip,
    dst: A.ip,
    isReply: true,
    echoId: 5,
    echoSeq: 6,
    ttl: 64,
    ipChecksumRight: true,
    l4ChecksumRight: true,
    payload: Uint8Array.of(1, 2, 3),
  });
  bench.send('a', udpFrame({ ...FROM_A, dst: ROUTER.ip, ...UDP }));
  t.same(bench.drops(), { 'not-for-router': 1 });
  t.same(bench.take(), []);
});

t.test('another host’s pod pings the router through the tunnel', async (t) => {
  const bench = createBench();
  bench.receive(VTEP2.underlay, [
    vxlan(
      icmpEcho({
        srcMac: VTEP2.mac,
        dstMac: VTEP1.mac,
        src: REMOTE.ip,
        dst: ROUTER.ip,
        echoId: 5,
        echoSeq: 6,
      }),
      { vni: 1 },
    ),
  ]);
  const out = bench.only('vxlan');
  t.equal(out.peer, VTEP2.underlay);
  t.match(parseFrame(parseVxlan(out.bytes).inner), {
    src: ROUTER.ip,
    dst: REMOTE.ip,
    dstMac: VTEP2.mac,
    isReply: true,
  });
});

/** The error that `frame` is answered with. */
function errorOf(t: Test, bench: HostBench, frame: Uint8Array, header = {}) {
  bench.send('a', frame, header);
  const bytes = bench.only('a').bytes;
  const error = parseFrame(bytes);
  t.match(error, {
    srcMac: ROUTER.mac,
    dstMac: A.mac,
    src: ROUTER.ip,
    dst: A.ip,
    tos: 0xc0,
    ttl: 64,
    ipChecksumRight: true,
    l4ChecksumRight: true,
  });
  t.equal(bytes.length, 14 + error.totalLen!);
  t.ok(error.totalLen! <= 576);
  return error;
}

t.test('a TTL that runs out is told to the sender, with the packet quoted as it came', async (t) => {
  const bench = createBench();
  for (const ttl of [0, 1]) {
    const error = errorOf(
      t,
      bench,
      udpFrame({ ...FROM_A, dst: REMOTE.ip, ...UDP, ttl, payload: new Uint8Array(600) }),
    );
    t.match(error, { icmpType: 11, icmpCode: 0, quoted: { src: A.ip, dst: REMOTE.ip, ttl, ...UDP } });
    t.equal(error.totalLen, 576);
    t.same(bench.drops(), { 'ttl-exceeded': 1 });
  }
});

t.test('an address of no node, and one of no pod, are unreachable hosts', async (t) => {
  const bench = createBench();
  t.match(errorOf(t, bench, udpFrame({ ...FROM_A, dst: '10.244.77.5', ...UDP })), {
    icmpType: 3,
    icmpCode: 1,
  });
  t.same(bench.drops(), { 'no-such-node': 1 });
  t.match(errorOf(t, bench, udpFrame({ ...FROM_A, dst: '10.244.1.99', ...UDP })), {
    icmpType: 3,
    icmpCode: 1,
  });
  t.same(bench.drops(), { 'no-such-pod': 1 });
});

t.test('a Service address that no Service has is an unreachable port', async (t) => {
  const bench = createBench();
  t.match(errorOf(t, bench, udpFrame({ ...FROM_A, dst: '10.96.0.10', ...UDP })), {
    icmpType: 3,
    icmpCode: 3,
  });
  t.same(bench.drops(), { 'no-such-service': 1 });
});

t.test('a packet larger than the way out is answered with the MTU that fits', async (t) => {
  const bench = createBench();
  for (const df of [true, false])
    t.match(
      errorOf(t, bench, udpFrame({ ...FROM_A, dst: REMOTE.ip, ...UDP, df, payload: new Uint8Array(1423) })),
      {
        icmpType: 3,
        icmpCode: 4,
        rest: 1450,
      },
    );
  t.same(bench.drops(), { 'too-big': 2 });
  const frame = tcpFrame({
    ...FROM_A,
    dst: REMOTE.ip,
    ...UDP,
    payload: new Uint8Array(4000),
    checksum: 'unfinished',
  });
  t.match(errorOf(t, bench, frame, needsCsum(frame, { gsoType: 1, gsoSize: 1411 })), {
    icmpCode: 4,
    rest: 1450,
  });
  t.same(bench.drops(), { 'too-big': 3 }, 'a super-frame counts the segments that it stands for');
  bench.send('a', udpFrame({ ...FROM_A, dst: REMOTE.ip, ...UDP, payload: new Uint8Array(1422) }));
  bench.only('vxlan');
});

t.test('no error is sent about an error, a later fragment, or a bridged frame', async (t) => {
  const bench = createBench();
  bench.send('a', udpFrame({ ...FROM_A, dst: REMOTE.ip, ...UDP }));
  bench.take();
  const quoted = udpFrame({ src: REMOTE.ip, dst: A.ip, srcPort: 2000, dstPort: 1000 }).slice(14);
  bench.send(
    'a',
    icmpFrame({ ...FROM_A, dst: REMOTE.ip, icmpType: 3, icmpCode: 3, payload: quoted, ttl: 1 }),
  );
  t.same(bench.take(), []);
  t.same(bench.drops(), { 'ttl-exceeded': 1 });
  const fragment = { ...FROM_A, dst: '10.244.77.5', id: 9, ...UDP };
  bench.send('a', udpFrame({ ...fragment, mf: true, payload: new Uint8Array(64) }));
  bench.only('a');
  bench.send('a', udpFrame({ ...fragment, fragmentOffset: 72, payload: new Uint8Array(64) }));
  t.same(bench.take(), []);
});

t.test(
  'a ping to the router from an address that leads nowhere is dropped once, without an error',
  async (t) => {
    const bench = createBench();
    const frame = icmpEcho({ ...FROM_HOST, src: '10.244.128.1', dst: ROUTER.ip, echoId: 1, echoSeq: 1 });
    bench.send('pw0', frame);
    t.same(bench.drops(), { 'no-route': 1 });
    t.same(bench.take(), []);
    t.equal(bench.host.dp.counters.events[EVENT_ICMP_ERRORS], 0);
  },
);

t.test('an error that cannot be sent is a drop of its own', async (t) => {
  const bench = createBench();
  bench.view = { ...bench.view, nodes: bench.view.nodes.slice(0, 1) };
  bench.update();
  const fields = { srcMac: GATEWAY.mac, dstMac: ROUTER.mac, src: '10.244.128.1', dst: '10.244.99.1', ...UDP };
  bench.send('pw0', udpFrame(fields));
  t.same(bench.drops(), { 'no-such-node': 1, 'no-route': 1 });
});

t.test('an error that is dropped for the reason it tells counts beside it', async (t) => {
  const bench = createBench();
  bench.send('b', udpFrame({ srcMac: B.mac, dstMac: ROUTER.mac, src: B.ip, dst: '10.244.1.4', ...UDP }));
  bench.only('c');
  bench.view = { ...bench.view, pods: [] };
  bench.update();
  // Both ends of the flow are gone, and somebody sends on in their names.
  bench.receive(VTEP2.underlay, [
    vxlan(udpFrame({ srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: B.ip, dst: '10.244.1.4', ...UDP }), {
      vni: 1,
    }),
  ]);
  t.same(bench.drops(), { 'no-such-pod': 2 });
});

t.test('ICMP errors are rate limited: a hundred at once, a thousand a second', async (t) => {
  const bench = createBench();
  const frame = udpFrame({ ...FROM_A, dst: '10.244.77.5', ...UDP });
  bench.batch(() => {
    for (let i = 0; i < 150; i++) bench.send('a', frame);
  });
  t.equal(bench.take().length, 100);
  t.match(bench.drops(), { 'no-such-node': 150, 'icmp-rate': 50 });
  bench.now += 10;
  bench.batch(() => {
    for (let i = 0; i < 150; i++) bench.send('a', frame);
  });
  t.equal(bench.take().length, 10);
});

t.test('what came from pw0 does not go back there', async (t) => {
  const bench = createBench();
  bench.send('pw0', udpFrame({ ...FROM_HOST, dst: '9.9.9.9', ...UDP }));
  t.match(bench.drops(), { 'back-to-host': 1 });
  bench.take();
});

t.test(
  'what the host steers here and nobody wants is handed up: a program of the host listens there',
  async (t) => {
    const bench = createBench();
    const src = '192.168.50.254';
    for (const dst of [VTEP1.underlay, '127.0.0.1'])
      for (const frame of [
        udpFrame({ ...FROM_HOST, src, dst, srcPort: 1000, dstPort: 31000, ttl: 1 }),
        tcpFrame({ ...FROM_HOST, src, dst, srcPort: 1000, dstPort: 31000, flags: 2, ttl: 1 }),
        tcpFrame({ ...FROM_HOST, src, dst, srcPort: 1000, dstPort: 31000, flags: 16, ttl: 1 }),
      ]) {
        bench.send('pw0', frame);
        t.match(parseFrame(bench.only('pw0').bytes), {
          srcMac: ROUTER.mac,
          dstMac: GATEWAY.mac,
          src,
          dst,
          ttl: 1,
        });
      }
    t.same(bench.drops(), {});

    // An echo reply has been with the kernel already: handed up again it would come again.
    bench.send(
      'pw0',
      icmpEcho({ ...FROM_HOST, src, dst: VTEP1.underlay, isReply: true, echoId: 1, echoSeq: 1 }),
    );
    t.match(bench.drops(), { 'icmp-unasked': 1 });
    bench.send('a', udpFrame({ ...FROM_A, dst: '127.0.0.1', ...UDP }));
    t.match(bench.drops(), { multicast: 1 });
    bench.take();
  },
);

t.test('impossible senders and destinations are dropped by name', async (t) => {
  const bench = createBench();
  for (const src of ['127.0.0.1', '224.0.0.1', '0.0.0.0', A.ip, ROUTER.ip]) {
    bench.send('pw0', udpFrame({ ...FROM_HOST, src, dst: B.ip, ...UDP }));
    t.same(bench.drops(), { martian: 1 }, src);
  }
  bench.receive(VTEP2.underlay, [
    vxlan(udpFrame({ srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: A.ip, dst: B.ip, ...UDP }), { vni: 1 }),
  ]);
  t.same(bench.drops(), { martian: 1 }, 'our pod’s address from another host');
  for (const dst of ['224.0.0.1', '127.0.0.1', '255.255.255.255', '0.1.2.3']) {
    bench.send('a', udpFrame({ ...FROM_A, dst, ...UDP }));
    t.same(bench.drops(), { multicast: 1 }, dst);
  }
  t.same(bench.take(), []);
});

t.test('the host’s kernel speaks to the router or to nobody', async (t) => {
  const bench = createBench();
  bench.send('pw0', udpFrame({ ...FROM_HOST, dstMac: '01:00:5e:00:00:fb', dst: '224.0.0.251', ...UDP }));
  t.same(bench.drops(), { 'not-for-us': 1 });
});
