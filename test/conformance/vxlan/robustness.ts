/** Broken, cut and forged datagrams. That the host lives on, the marker behind each of them tells. */
import { close } from '../../../src/sys/io.js';
import { openUdp } from '../../../src/sys/udp.js';
import { concat } from '../../lib/hex.js';
import * as mmsg from '../../lib/mmsg.js';
import { icmpEcho, ipv4Frame, parseFrame, tcpFrame, udpFrame, vxlan } from '../../lib/packets.js';
import { random } from '../../lib/random.js';
import { until } from '../../lib/until.js';
import type { Driver } from './cases.js';
import {
  PEER_POD,
  SINK,
  isSame,
  text,
  untilDropped,
  type ActingPod,
  type Delivered,
  type Stage,
} from './stage.js';
import { HEADER } from './vtep.js';

const ETHERNET_HEADER_LEN = 14;
const IPV4_HEADER_LEN = 20;
const IANA_PORT = 4789;
const FLANNEL_PORT = 8472;

/** The fragments of a frame's IPv4 packet, its payload cut at `cuts` (multiples of 8). */
function fragments(
  frame: Uint8Array,
  cuts: readonly number[],
  id: number,
  to: Stage['one'],
  stage: Stage,
): Uint8Array[] {
  const payload = frame.slice(ETHERNET_HEADER_LEN + IPV4_HEADER_LEN);
  const mac = (at: number): string =>
    [...frame.slice(at, at + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  return [0, ...cuts].map((from, i) =>
    ipv4Frame({
      dstMac: mac(0),
      srcMac: mac(6),
      src: stage.peer.host.address,
      dst: to.address,
      proto: 17,
      id,
      fragmentOffset: from,
      mf: i < cuts.length,
      payload: payload.slice(from, cuts[i]),
    }),
  );
}

/** An inner frame whose IPv4 header tells another length than it has, with a right header checksum. */
function withTotalLen(frame: Uint8Array, difference: number): Uint8Array {
  const packet = frame.slice(ETHERNET_HEADER_LEN);
  const view = new DataView(packet.buffer);
  const [before, checksum] = [view.getUint16(2), view.getUint16(10)];
  view.setUint16(2, before + difference);
  // RFC 1624 equation 3.
  let sum = (~checksum & 0xffff) + (~before & 0xffff) + ((before + difference) & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(10, ~sum & 0xffff);
  return concat(frame.slice(0, ETHERNET_HEADER_LEN), packet);
}

/** A frame that is right for the pod that was given it. */
const isFor = (pod: ActingPod, frame: Delivered): boolean =>
  frame.dstMac === pod.mac && frame.dst === pod.ip && frame.ipChecksumRight === true;

export const ROBUSTNESS: Record<string, Driver> = {
  async 'vx-041'(t, stage) {
    const { a, one, peer } = stage;
    const payload = new Uint8Array(800).map((_, i) => i);
    const whole = peer.outerFrame(one, concat(HEADER, stage.innerUdp(a, { payload })));
    const expected = (frame: Delivered): boolean =>
      isSame(frame.payload, payload) && frame.l4ChecksumRight === true;
    let id = 0x4100;
    for (const [what, pick] of [
      ['both, in order', [0, 1]],
      ['both, the last one first', [1, 0]],
      ['the first one alone', [0]],
      ['the last one alone', [1]],
      ['the first one twice', [0, 0]],
    ] as const) {
      const pieces = fragments(whole, [400], id++, one, stage);
      const frames = await stage.delivered(() => pick.forEach((i) => peer.sendFrame(pieces[i]!)));
      t.ok(
        frames.length <= 1 && frames.every(expected),
        `${what}: ${frames.length === 0 ? 'nothing' : 'all'} arrives`,
      );
      if (!what.startsWith('both')) t.same(frames, [], 'no partial frame');
    }
    // The last piece overlaps the first: one of the two lies.
    const [first, last] = fragments(whole, [400], id, one, stage);
    const lie = ipv4Frame({
      ...{ srcMac: peer.host.mac, src: peer.host.address, dst: one.address, proto: 17, id },
      dstMac: [...first!.slice(0, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
      fragmentOffset: 200,
      mf: true,
      payload: new Uint8Array(400).fill(0xee),
    });
    const frames = await stage.delivered(() =>
      [first!, lie, last!].forEach((piece) => peer.sendFrame(piece)),
    );
    t.ok(frames.every(expected), 'overlapping fragments put together no other frame');
  },

  async 'vx-042'(t, stage) {
    const { a, one, peer } = stage;
    const datagram = concat(HEADER, stage.innerUdp(a, { payload: text('short') }));
    const before = stage.drops(one, 'vxlan-short');
    const lengths = [0, 1, 7, 8, 9, 21];
    const frames = await stage.delivered(() => {
      for (const len of lengths) peer.sendFrame(peer.outerFrame(one, datagram.slice(0, len)));
    });
    t.same(frames, [], 'no short datagram leads to a frame');
    t.equal(stage.drops(one, 'vxlan-short'), before + lengths.length, 'each is dropped by name');
    // Long enough for both headers, too short for the packet inside.
    const inside = await stage.delivered(() => {
      for (let len = 22; len < datagram.length; len++)
        peer.sendFrame(peer.outerFrame(one, datagram.slice(0, len)));
    });
    t.same(inside, [], 'nor one that is cut anywhere else');
    // A UDP header that tells less, or more, than the packet has.
    const lies = await stage.delivered(() => {
      for (const length of [0, 7, 8, 15, 0xffff]) {
        const frame = peer.outerFrame(one, datagram, { checksum: 0 });
        new DataView(frame.buffer).setUint16(ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + 4, length);
        peer.sendFrame(frame);
      }
    });
    t.same(lies, [], 'nor one whose UDP length lies');
  },

  async 'vx-044'(t, stage) {
    const { a, one, peer } = stage;
    const to = { srcMac: peer.host.vtepMac, dstMac: one.vtepMac, src: PEER_POD, dst: a.ip };
    const payload = text('sixteen bytes...');
    const inner: [string, Uint8Array][] = [
      ['UDP', udpFrame({ ...to, srcPort: SINK, dstPort: SINK, payload })],
      ['TCP', tcpFrame({ ...to, srcPort: 9, dstPort: 9, payload })],
      ['ICMP', icmpEcho({ ...to, echoId: 44, echoSeq: 1, payload })],
      ['another protocol', ipv4Frame({ ...to, proto: 99, payload })],
    ];
    for (const [what, frame] of inner) {
      const before = stage.drops(one, 'malformed-ipv4');
      const tooLong = await stage.delivered(() => {
        for (const more of [1, 2, 8, 1400, 60_000]) peer.send(one, withTotalLen(frame, more));
      });
      t.same(tooLong, [], `${what}: a packet longer than its frame is dropped`);
      t.equal(stage.drops(one, 'malformed-ipv4'), before + 5, 'by name');
      for (const padding of [1, 2, 18, 300]) {
        const padded = await stage.delivered(() =>
          peer.send(one, concat(frame, new Uint8Array(padding).fill(0xdd))),
        );
        t.same(
          padded.map(({ bytes, l4ChecksumRight }) => [bytes.length, l4ChecksumRight !== false]),
          [[frame.length, true]],
          `${what}: ${padding} bytes behind it are trimmed`,
        );
      }
    }
    // Told shorter than it was made: what is left must not pass for whole.
    const cut = await stage.delivered(() => peer.send(one, withTotalLen(inner[0]![1], -1)));
    t.notOk(cut.some((frame) => frame.l4ChecksumRight && isSame(frame.payload, payload)));
  },

  async 'vx-046'(t, stage) {
    const { a, b, c, one, two, peer } = stage;
    const forged = text('from inside a pod');
    // As the peer would send it, to a pod of either host.
    const handMade = [b, c].map((to) => vxlan(stage.innerUdp(to, { payload: forged }), { vni: 1 }));
    const isForged = (frame: Delivered): boolean => isSame(frame.payload, forged);
    const before = { forged: stage.drops(one, 'tunnel-forged'), stray: stage.drops(one, 'vxlan-not-a-vtep') };
    const fromPeer = peer.received().length;
    const targets = [two.address, one.address, peer.host.address, '10.244.1.1', '10.244.2.1'];
    // A socket of the host that hears what pods send to it shows when they have arrived.
    const ear = openUdp({ netns: two.netns, address: two.address, port: SINK, gro: false });
    t.teardown(() => void close(ear.fd));
    const frames = await stage.delivered(async () => {
      a.sendUdp(
        targets.flatMap((address) =>
          [FLANNEL_PORT, IANA_PORT].flatMap((port) =>
            handMade.map((data) => ({ data, to: [address, port] as const })),
          ),
        ),
      );
      // With the address of a VTEP as its own, a pod gets nowhere at all.
      for (const host of [one, two])
        for (const data of handMade)
          a.sendFrame(
            stage.podUdp(a, {
              src: peer.host.address,
              dst: host.address,
              dstPort: FLANNEL_PORT,
              payload: data,
            }),
          );
      a.sendUdp([{ data: text('ear'), to: [two.address, SINK] }]);
      await until('a pod’s datagram reaches the other host', () => {
        const heard = mmsg.receive(ear.fd);
        return typeof heard !== 'number' && heard.length > 0;
      });
    }, [b, c]);
    t.same(frames.filter(isForged), [], 'no pod is given what another pod put into a tunnel of its own');
    await untilDropped(stage, one, 'tunnel-forged', before.forged);
    t.pass('what would leave with the address of a VTEP is dropped by name');
    await untilDropped(stage, one, 'vxlan-not-a-vtep', before.stray);
    t.pass('what comes from a pod’s own address too');
    t.same(
      peer.datagrams(fromPeer).filter(({ inner }) => isSame(inner.payload, forged)),
      [],
      'a host that looks at the address alone is given none either',
    );

    // To a pod it is a datagram like any other.
    const from = c.seen.frames.length;
    const isUnopened = (frame: Uint8Array): boolean =>
      isSame(frame.slice(-handMade[1]!.length), handMade[1]!);
    for (const port of [FLANNEL_PORT, IANA_PORT]) {
      a.sendUdp([{ data: handMade[1]!, to: [c.ip, port] }]);
      await c.seen.until('it arrives unopened', isUnopened, from);
    }
    await stage.delivered(() => undefined, [c]);
    t.notOk(
      c.seen.frames.slice(from).some((frame) => isSame(parseFrame(frame).payload, forged)),
      'as a datagram for a pod it arrives unopened, and in no other form',
    );
  },
};

/** Beyond the cases: seeded nonsense. A pod is given only what is for it, and the host lives. */
export async function fuzz(t: Parameters<Driver>[0], stage: Stage): Promise<void> {
  const { a, b, one, peer } = stage;
  const source = random(7348);
  const to = { srcMac: peer.host.vtepMac, dstMac: one.vtepMac, src: PEER_POD, dst: a.ip };
  const seeds = [
    stage.innerUdp(a, { payload: text('fuzz') }),
    tcpFrame({ ...to, srcPort: 1, dstPort: 2, payload: source.bytes(300) }),
    icmpEcho({ ...to, echoId: 1, echoSeq: 1, payload: source.bytes(40) }),
    udpFrame({ ...to, srcPort: 1, dstPort: SINK, mf: true, id: 5, payload: source.bytes(64) }),
  ].map((inner) => concat(HEADER, inner));
  for (let round = 0; round < 20; round++) {
    const frames = await stage.delivered(() => {
      for (let i = 0; i < 50; i++) {
        const datagram = Uint8Array.from(source.pick(seeds));
        for (let flips = 1 + source.int(4); flips > 0; flips--)
          datagram[source.int(datagram.length)] = source.pick([0, 1, 0x7f, 0x80, 0xff, source.int(256)]);
        const len = source.int(4) === 0 ? source.int(datagram.length + 1) : datagram.length;
        peer.sendFrame(peer.outerFrame(one, datagram.slice(0, len)));
      }
    });
    const wrong = frames.filter((frame) => !isFor(a, frame) && !isFor(b, frame));
    if (wrong.length > 0) t.same(wrong, [], `round ${round}: frames that are for no pod`);
  }
  t.pass('a thousand broken datagrams led to no stranger’s frame, and the host lives');
}
