/**
 * What speed rests on, counted instead of timed: passes of the pipeline for a megabyte of TCP, and messages, each of which is a
 * system call or an entry of one.
 */
import t from 'tap';
import { EVENT_PASSES } from '../../src/tables/counters.js';
import {
  A,
  B,
  REMOTE,
  ROUTER,
  VTEP1,
  VTEP2,
  createBench,
  needsCsum,
  type HostBench,
} from '../lib/host-bench.js';
import { tcpFrame, udpFrame, vxlan } from '../lib/packets.js';

const MSS = 1398;
/** Segments of a megabyte, and of a train as a NIC's receive offload makes it. */
const SEGMENTS = Math.ceil(1e6 / MSS);
const TRAIN = 44;

/** Counted while `what` runs. */
function count(bench: HostBench, what: () => void): { passes: number; messages: number } {
  const { events } = bench.host.dp.counters;
  const before = events[EVENT_PASSES]!;
  bench.take();
  what();
  return {
    passes: events[EVENT_PASSES]! - before,
    messages: new Set(bench.take().map(({ message }) => message)).size,
  };
}

/** A megabyte from the tunnel, `streams` of them in turn segment by segment, a train a slot, 16 slots a batch. */
function fromTunnel(streams: number): { passes: number; messages: number } {
  const bench = createBench({ batch: { slots: 16 } });
  const segment = (i: number): Uint8Array =>
    vxlan(
      tcpFrame({
        srcMac: VTEP2.mac,
        dstMac: VTEP1.mac,
        src: REMOTE.ip,
        dst: A.ip,
        srcPort: 1000 + (i % streams),
        dstPort: 80,
        seq: Math.floor(i / streams) * MSS,
        payload: new Uint8Array(MSS),
      }),
      { vni: 1 },
    );
  return count(bench, () => {
    bench.batch(() => {
      for (let i = 0; i < SEGMENTS; i += TRAIN)
        bench.receive(
          VTEP2.underlay,
          Array.from({ length: Math.min(TRAIN, SEGMENTS - i) }, (_, k) => segment(i + k)),
        );
    });
  });
}

t.test('a megabyte of one stream from the tunnel takes as many passes as it has super-frames', async (t) => {
  const { passes, messages } = fromTunnel(1);
  t.ok(passes <= 17, `${passes} passes for ${SEGMENTS} segments`);
  t.equal(messages, passes, 'and as many writes');
});

t.test('eight interleaved streams take little more', async (t) => {
  const { passes, messages } = fromTunnel(8);
  t.ok(passes <= 24, `${passes} passes for ${SEGMENTS} segments`);
  t.equal(messages, passes);
});

const superFrame = (to: string): Uint8Array =>
  tcpFrame({
    srcMac: A.mac,
    dstMac: ROUTER.mac,
    src: A.ip,
    dst: to,
    srcPort: 1,
    dstPort: 2,
    payload: new Uint8Array(TRAIN * MSS),
    checksum: 'unfinished',
  });

for (const [where, to] of [
  ['another pod', B.ip],
  ['another host', REMOTE.ip],
] as const)
  t.test(`a super-frame to ${where} is one pass and one message`, async (t) => {
    const bench = createBench();
    const frame = superFrame(to);
    const counted = count(bench, () =>
      bench.send('a', frame, needsCsum(frame, { gsoType: 1, gsoSize: MSS })),
    );
    t.same(counted, { passes: 1, messages: 1 });
  });

for (const [where, to] of [
  ['another pod', B.ip],
  ['another host', REMOTE.ip],
] as const)
  t.test(`64 small datagrams to ${where} are one message`, async (t) => {
    const bench = createBench();
    const frame = udpFrame({
      srcMac: A.mac,
      dstMac: ROUTER.mac,
      src: A.ip,
      dst: to,
      srcPort: 1,
      dstPort: 2,
      payload: new Uint8Array(64),
      checksum: 'unfinished',
    });
    const counted = count(bench, () =>
      bench.batch(() => {
        for (let i = 0; i < 64; i++) bench.send('a', frame, needsCsum(frame));
      }),
    );
    t.same(counted, { passes: 64, messages: 1 });
  });
