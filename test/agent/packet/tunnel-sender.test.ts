/** What the kernel says of a batch that it will not send as it is. */
import t, { type Test } from 'tap';
import { TunnelSender } from '../../../src/agent/packet/tunnel-sender.js';
import { createOutbox } from '../../../src/host/outbox.js';
import * as io from '../../../src/sys/io.js';
import * as libc from '../../../src/sys/libc.js';
import { addressOf } from '../../../src/sys/memory.js';
import { openUdp } from '../../../src/sys/udp.js';
import { createVteps } from '../../../src/tables/vteps.js';
import { parseIpv4, V4_MAPPED } from '../../../src/wire/address.js';
import { makePair, needsRoot } from '../../lib/netns.js';
import { receive } from '../../lib/mmsg.js';
import { output } from '../../lib/spawn.js';
import { until } from '../../lib/until.js';

const skip = needsRoot();
const PORT = 8472;
const TUNNEL = 1;
const VTEP = 1;
const alloc = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

/** Sockets with this option make the kernel refuse to cut: EINVAL. */
const SOL_SOCKET = 1;
const SO_NO_CHECK = 11;
const on = Int32Array.of(1);

/** A sender whose NIC carries packets of 1400 bytes, and what comes out of it. */
function makeSender(t: Test, gso: boolean, sockets = 1) {
  const [here, there] = makePair(t);
  output(['ip', '-n', here, 'link', 'set', 'eth0', 'mtu', '1400']);
  const from = Array.from({ length: sockets }, () =>
    openUdp({ netns: here, address: '192.0.2.1', port: 0, gso, gro: false, pmtuProbe: true }),
  );
  const to = openUdp({ netns: there, address: '192.0.2.2', port: PORT, gro: false });
  t.teardown(() => [...from, to].forEach(({ fd }) => io.close(fd)));
  const pool = new Uint8Array(alloc(1 << 16));
  const outbox = createOutbox(alloc, 16, 0, pool.length);
  const vteps = createVteps(alloc, 8, 1);
  vteps.setRow(VTEP, Int32Array.of(TUNNEL, 0, 0, V4_MAPPED, parseIpv4('192.0.2.2')!, 0, 0), 0);
  const notices: string[] = [];
  const senders = from.map(({ fd }) => ({ fd, gso }));
  const sender = new TunnelSender(senders, PORT, addressOf(pool), vteps, (text) => notices.push(text));
  const arrived: number[] = [];
  return {
    notices,
    refuseToCut(): void {
      for (const { fd } of from) t.equal(libc.setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, addressOf(on), 4), 0);
    },
    /** Send messages, each a train of datagrams of these lengths, by the sockets in turn. @returns datagrams lost */
    send(...trains: number[][]): number {
      outbox.reset();
      for (const [i, lengths] of trains.entries()) {
        const m = outbox.begin(TUNNEL);
        outbox.socket[m] = i % sockets;
        outbox.vtep[m] = VTEP;
        outbox.segmentSize[m] = lengths[0]!;
        outbox.segments[m] = lengths.length;
        for (const length of lengths) outbox.add(m, 0, length);
      }
      return sender.send(outbox, TUNNEL);
    },
    /** Wait for as many datagrams: their lengths. */
    async received(count: number): Promise<number[]> {
      await until(`${count} datagrams have come`, () => {
        const got = receive(to.fd);
        if (typeof got !== 'number') arrived.push(...got.map(({ data }) => data.length));
        return arrived.length >= count;
      });
      return arrived.splice(0);
    },
  };
}

for (const gso of [true, false])
  t.test(`datagrams too large for the NIC take no others with them, gso ${gso}`, { skip }, async (t) => {
    const { send, received, notices } = makeSender(t, gso);
    t.equal(send([1000], [1450, 1450, 100], [1450], [900, 900, 30], [1401, 7]), 4, 'four are lost');
    t.same(await received(6), [1000, 100, 900, 900, 30, 7], 'all others arrive, in order');
    t.same(notices, [], 'and the kernel still cuts trains');
    t.equal(send([1200, 1200, 1200]), 0);
    t.same(await received(3), [1200, 1200, 1200]);
  });

t.test('a kernel that will not cut is told of once, whatever the number of sockets', { skip }, async (t) => {
  const { send, received, refuseToCut, notices } = makeSender(t, true, 4);
  refuseToCut();
  for (let i = 0; i < 2; i++) {
    t.equal(send([100, 100], [200, 200, 7], [300, 300]), 0);
    t.same((await received(7)).sort(), [100, 100, 200, 200, 300, 300, 7], 'all arrive');
  }
  t.equal(notices.length, 1);
  t.match(notices[0], /cannot segment UDP/);
});
