/** How many calls and passes it takes to receive, on sockets of loopback. */
import t, { type Test } from 'tap';
import { AT_ONCE, TunnelReceiver } from '../../../src/agent/packet/tunnel-receiver.js';
import { FLANNEL_PUBLIC_IP } from '../../../src/api/types.js';
import { BATCH } from '../../../src/host/host.js';
import * as io from '../../../src/sys/io.js';
import { addressOf } from '../../../src/sys/memory.js';
import { openUdp } from '../../../src/sys/udp.js';
import { EVENT_PASSES } from '../../../src/tables/counters.js';
import { A, createBench, REMOTE, VTEP1, VTEP2 } from '../../lib/host-bench.js';
import { send } from '../../lib/mmsg.js';
import { tcpFrame, vxlan } from '../../lib/packets.js';

const MSS = 1398;
const PEER = '127.0.0.2';

/** A host whose peer is an address of loopback, and a socket there. */
function make(t: Test) {
  const bench = createBench({ batch: BATCH });
  bench.view.nodes[1]!.metadata.annotations![FLANNEL_PUBLIC_IP] = PEER;
  bench.update();
  const open = (address: string) => openUdp({ address, port: 0, gro: false, receiveBuffer: 4 << 20 });
  const [to, from] = [open('127.0.0.1'), open(PEER)];
  t.teardown(() => [to, from].forEach(({ fd }) => io.close(fd)));
  const receiver = new TunnelReceiver(bench.host, addressOf(bench.host.frames.b.u8), BATCH.slots);
  return {
    bench,
    receiver,
    /** Segments of one stream, each a datagram. */
    send(count: number): void {
      for (let i = 0; i < count; i++) {
        const frame = tcpFrame({
          ...{ srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: REMOTE.ip, dst: A.ip, srcPort: 1000, dstPort: 80 },
          ...{ seq: i * MSS, payload: new Uint8Array(MSS).fill(i) },
        });
        send(from.fd, [{ data: vxlan(frame, { vni: 1 }), to: ['127.0.0.1', to.port] }]);
      }
    },
    /** A turn of the worker. @returns datagrams received, and passes of the pipeline that they took */
    turn(): { received: number; passes: number } {
      const { events } = bench.host.dp.counters;
      const before = events[EVENT_PASSES]!;
      bench.host.begin(0);
      const received = receiver.receive(to.fd, bench.port('vxlan'));
      bench.host.run();
      return { received, passes: events[EVENT_PASSES]! - before };
    },
  };
}

t.test('datagrams that come one by one are merged as those are that the kernel put together', async (t) => {
  const { bench, receiver, send, turn } = make(t);
  send(BATCH.slots);
  // 64 segments of 1398 bytes: two super-frames, for one holds 46.
  t.same(turn(), { received: BATCH.slots, passes: 2 });
  t.equal(receiver.calls, BATCH.slots / AT_ONCE);
  t.equal(
    bench.take().reduce((sum, { bytes }) => sum + bytes.length - 54, 0),
    BATCH.slots * MSS,
  );
  t.same(turn(), { received: -11, passes: 0 }, 'EAGAIN');
});

t.test('a batch ends with what waits: no call is made in vain', async (t) => {
  const { receiver, send, turn } = make(t);
  send(AT_ONCE + 3);
  t.same(turn(), { received: AT_ONCE + 3, passes: 1 });
  t.equal(receiver.calls, 2);
});
