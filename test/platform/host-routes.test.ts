/**
 * How a host reaches its pods through `pw0`: the routes, the neighbour and what the kernel does with them.
 */
import t from 'tap';
import type { Test } from 'tap';
import * as io from '../../src/sys/io.js';
import { ip } from '../../src/sys/iproute2.js';
import { openTap } from '../../src/sys/tap.js';
import type { Tap } from '../../src/sys/tap.js';
import { openUdp } from '../../src/sys/udp.js';
import { formatIpv4, formatMac } from '../../src/wire/address.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { L2, L3, L4, isIpv4, isReadable, waitFrame, writeFrame } from '../lib/frames.js';
import type { Frame } from '../lib/frames.js';
import { receive, send } from '../lib/mmsg.js';
import { makeNetns, needsRoot } from '../lib/netns.js';

const skip = needsRoot();
const ROUTER = '0a:58:0a:f4:01:fe';

/** A host with its `pw0`, gateway address 10.244.1.1, as DESIGN §3 has it. */
function makeHost(t: Test): { netns: string; tap: Tap } {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'pw0', netns });
  t.teardown(() => io.close(tap.fd));
  ip(
    [
      'link set pw0 address 0a:58:0a:f4:01:01 mtu 1450 up',
      'addr add 10.244.1.1/32 dev pw0',
      `neigh add 169.254.1.1 lladdr ${ROUTER} dev pw0 nud permanent`,
      'route add 10.244.0.0/16 via 169.254.1.1 dev pw0 onlink src 10.244.1.1',
    ],
    { netns },
  );
  return { netns, tap };
}

t.test(
  'packets for pods leave by pw0, to the router, from the gateway address; no ARP is asked',
  { skip },
  async (t) => {
    const { netns, tap } = makeHost(t);
    const socket = openUdp({ netns, address: '0.0.0.0', port: 7777 });
    t.teardown(() => io.close(socket.fd));
    send(socket.fd, [{ data: Buffer.from('to a pod'), to: ['10.244.2.7', 9] }]);
    let asked = 0;
    const frame = waitFrame(tap.fd, (frame) => {
      if (ethernet.type(frame.v, L2) === ethernet.TYPE_ARP) asked += 1;
      return isIpv4(frame, ipv4.UDP);
    });
    t.equal(asked, 0);
    t.equal(formatMac(ethernet.dstHi(frame.v, L2), ethernet.dstLo(frame.v, L2)), ROUTER);
    t.equal(formatIpv4(ipv4.src(frame.v, L3)), '10.244.1.1');

    turnRound(frame);
    t.equal(writeFrame(tap.fd, frame), frame.len);
    t.ok(isReadable(socket.fd), 'a server on the host is reached by the gateway address');
    t.match(receive(socket.fd), [{ data: Buffer.from('to a pod') }]);
  },
);

t.test('a /24 on pw0 would make the host ask for each pod by ARP', { skip }, async (t) => {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'pw0', netns });
  t.teardown(() => io.close(tap.fd));
  ip(['link set pw0 up', 'addr add 10.244.1.1/24 dev pw0'], { netns });
  const socket = openUdp({ netns, address: '0.0.0.0', port: 0 });
  t.teardown(() => io.close(socket.fd));
  send(socket.fd, [{ data: Buffer.from('to a pod'), to: ['10.244.1.7', 9] }]);
  t.ok(waitFrame(tap.fd, (frame) => ethernet.type(frame.v, L2) === ethernet.TYPE_ARP));
});

t.test("the host's own address is refused as a next hop", { skip }, async (t) => {
  const { netns } = makeHost(t);
  t.throws(
    () => ip(['route add 10.96.0.0/12 via 10.244.1.1 dev pw0 onlink'], { netns }),
    /`ip route add .* onlink`.*(invalid gateway|Invalid argument)/i,
  );
});

/** Make of a UDP frame its answer: MACs, addresses and ports change sides, which no checksum minds. */
function turnRound({ b }: Frame): void {
  for (const [at, size] of [
    [L2, 6],
    [L3 + 12, 4],
    [L4, 2],
  ]) {
    const first = b.u8.slice(at, at + size);
    b.u8.copyWithin(at, at + size, at + 2 * size);
    b.u8.set(first, at + size);
  }
}
