/** A segment of two ports without a router: a cable. Rows are put directly, as no object makes one yet. */
import t from 'tap';
import { PORT_POD } from '../../src/tables/ports.js';
import { SEGMENT_BRIDGED } from '../../src/tables/segments.js';
import { ALL_OFFLOADS, createBench, needsCsum, podMac, type HostBench } from '../lib/host-bench.js';
import { arpRequest, ethernetFrame, icmpEcho, parseFrame, tcpFrame, udpFrame } from '../lib/packets.js';

const X = { ip: '10.0.0.1', mac: podMac('10.0.0.1') };
const Y = { ip: '10.0.0.2', mac: podMac('10.0.0.2') };
const XY = { srcMac: X.mac, dstMac: Y.mac, src: X.ip, dst: Y.ip };
const SEGMENT = 7;

/** A bench whose ports 20 and 21 are the ends of a cable. */
function pairBench(offload = ALL_OFFLOADS): HostBench {
  const bench = createBench();
  bench.setRow('segments', SEGMENT, [SEGMENT_BRIDGED, 0, 0, 0, 0, 0, 0]);
  for (const port of [20, 21])
    bench.setRow('ports', port, [PORT_POD, SEGMENT, port, 0, 0, 0, 1500, offload, 0, 0]);
  return bench;
}

t.test('what goes in at one end comes out at the other, whatever it is', async (t) => {
  const bench = pairBench();
  const frames = [
    arpRequest({ senderMac: X.mac, senderIp: X.ip, targetIp: Y.ip }),
    icmpEcho({ ...XY, echoId: 1, echoSeq: 1, ttl: 1 }),
    udpFrame({ ...XY, srcPort: 1, dstPort: 2, src: '127.0.0.1' }),
    ethernetFrame({
      srcMac: X.mac,
      dstMac: Y.mac,
      etherType: 0x8100,
      payload: Uint8Array.of(0, 5, 8, 0, 1, 2),
    }),
    ethernetFrame({
      srcMac: X.mac,
      dstMac: '33:33:00:00:00:01',
      etherType: 0x86dd,
      payload: new Uint8Array(40),
    }),
    ethernetFrame({
      srcMac: X.mac,
      dstMac: '01:80:c2:00:00:0e',
      etherType: 0x88cc,
      payload: new Uint8Array(40),
    }),
  ];
  for (const frame of frames) {
    bench.send(20, frame);
    t.same(bench.only('port21').bytes, frame);
  }
  bench.send(
    21,
    icmpEcho({ srcMac: Y.mac, dstMac: X.mac, src: Y.ip, dst: X.ip, isReply: true, echoId: 1, echoSeq: 1 }),
  );
  bench.only('port20');
  t.same(bench.drops(), {});
});

t.test('nothing of it reaches the pods, nor theirs the cable', async (t) => {
  const bench = pairBench();
  bench.send(
    'a',
    arpRequest({ senderMac: podMac('10.244.1.2'), senderIp: '10.244.1.2', targetIp: '10.244.1.3' }),
  );
  t.same(
    bench.take().map(({ port }) => port),
    ['b', 'c'],
  );
});

t.test('the same flow in two segments is two flows', async (t) => {
  const bench = pairBench();
  bench.setRow('segments', SEGMENT + 1, [SEGMENT_BRIDGED, 0, 0, 0, 0, 0, 0]);
  for (const port of [30, 31])
    bench.setRow('ports', port, [PORT_POD, SEGMENT + 1, port, 0, 0, 0, 1500, 0, 0, 0]);
  const frame = udpFrame({ ...XY, srcPort: 1, dstPort: 2 });
  bench.send(20, frame);
  bench.only('port21');
  bench.send(30, frame);
  bench.only('port31');
  t.equal(bench.host.dp.conntrack.size, 2);
});

t.test('super-frames cross it whole, or cut where the other end takes none', async (t) => {
  const frame = tcpFrame({
    ...XY,
    srcPort: 1,
    dstPort: 2,
    payload: new Uint8Array(5000),
    checksum: 'unfinished',
  });
  const header = needsCsum(frame, { gsoType: 1, gsoSize: 1460, hdrLen: 54 });
  const whole = pairBench();
  whole.send(20, frame, header);
  t.equal(whole.only('port21').bytes.length, 5054);
  const cut = pairBench(0);
  cut.send(20, frame, header);
  const out = cut.take();
  t.equal(out.length, 4);
  t.ok(out.every(({ bytes }) => parseFrame(bytes).l4ChecksumRight));
});
