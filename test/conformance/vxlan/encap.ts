/** What our hosts put on the wire. */
import { ip } from '../../../src/sys/iproute2.js';
import { findLink } from '../../../src/sys/link.js';
import { transfer } from '../../lib/overlay.js';
import { icmpEcho, parseFrame } from '../../lib/packets.js';
import { concat } from '../../lib/hex.js';
import type { Driver } from './cases.js';
import { PEER_POD, isSame, routerMac, text, type Stage } from './stage.js';
import { HEADER_LEN, parseDatagram, type Datagram } from './vtep.js';

const UDP_HEADER_LEN = 8;
const ETHERNET_HEADER_LEN = 14;
const MAX_PACKET = 1450;
/** So many in a row that some share a system call with the marker behind them. */
const TOO_LARGE = 20;
/** Headers in front of the data of an inner UDP packet. */
const INNER_HEADERS = 28;

/** Do something while a namespace's NIC has another MTU. */
async function withMtu<T>(netns: string, mtu: number, act: () => Promise<T>): Promise<T> {
  const { mtu: before } = findLink('eth0', netns)!;
  const set = (value: number): void => void ip([`link set eth0 mtu ${value}`], { netns });
  set(mtu);
  try {
    return await act();
  } finally {
    set(before);
  }
}

/** A rule for every datagram of the recorded traffic. */
const everyDatagram =
  (rule: string, isKept: (datagram: Datagram, stage: Stage) => boolean): Driver =>
  async (t, stage) => {
    const datagrams = await stage.recorded();
    const broken = datagrams.filter((datagram) => !isKept(datagram, stage));
    t.ok(
      datagrams.length > 800,
      `${datagrams.length} datagrams were recorded, to hosts of ours and to a stranger`,
    );
    t.equal(broken.length, 0, `${rule}: ${broken.length} broke it`, { first: broken[0] });
  };

/** Frames of pod a that carry an 802.1Q tag: to the router, to another pod's MAC, to all. */
function taggedFrames(stage: Stage): Uint8Array[] {
  const { a, b } = stage;
  return [routerMac(a.host), b.mac, 'ff:ff:ff:ff:ff:ff', stage.peer.host.vtepMac].map((dstMac) => {
    const plain = stage.podUdp(a, { dstMac, payload: text('tagged') });
    return concat(plain.slice(0, 12), Uint8Array.of(0x81, 0x00, 0x00, 0x64), plain.slice(12));
  });
}

export const ENCAP: Record<string, Driver> = {
  'vx-001': everyDatagram('the I flag is set', ({ header }) => (header[0]! & 0x08) !== 0),

  'vx-002': everyDatagram('the other flags are 0', ({ header }) => header[0] === 0x08),

  'vx-004': everyDatagram('the last byte is 0', ({ header }) => header[7] === 0),

  'vx-009': everyDatagram('the source port is a dynamic one', ({ outer }) => outer.srcPort! >= 49152),

  async 'vx-010'(t, stage) {
    const { a, c } = stage;
    const { sent, received } = await transfer(t, a, c, 1 << 20, 5010);
    t.equal(received, sent, 'a connection carries 1 MiB');
    await stage.wiresSeen();
    for (const [direction, capture, least] of [
      ['there', stage.toTwo, 700],
      ['back', stage.toOne, 3], // one acknowledgement may be for much
    ] as const) {
      const datagrams = capture.frames
        .flatMap((frame) => parseDatagram(frame) ?? [])
        .filter(({ inner }) => inner.proto === 6 && [inner.srcPort, inner.dstPort].includes(5010));
      t.ok(datagrams.length >= least, `${datagrams.length} datagrams ${direction}`);
      t.equal(new Set(datagrams.map(({ outer }) => outer.srcPort)).size, 1, 'have one source port');
    }
  },

  'vx-012': everyDatagram(
    'the UDP checksum is right, or 0',
    ({ outer }) => outer.checksum === 0 || outer.l4ChecksumRight === true,
  ),

  'vx-013': everyDatagram(
    'the inner frame ends with its packet',
    ({ outer, bytes, inner }) =>
      outer.length! - UDP_HEADER_LEN - HEADER_LEN === bytes.length &&
      inner.etherType === 0x0800 &&
      bytes.length === ETHERNET_HEADER_LEN + inner.totalLen!,
  ),

  'vx-014': everyDatagram('it goes from VTEP to VTEP', ({ outer, inner }, { one, two, peer }) => {
    const hosts = [one, two, peer.host];
    return (
      hosts.find(({ vtepMac }) => vtepMac === inner.srcMac)?.address === outer.src &&
      hosts.find(({ vtepMac }) => vtepMac === inner.dstMac)?.address === outer.dst
    );
  }),

  async 'vx-016'(t, stage) {
    const { a, one } = stage;
    const payload = new Uint8Array(MAX_PACKET - INNER_HEADERS).fill(0x16);
    const isFragment = (frame: Uint8Array): boolean => {
      const { mf, fragmentOffset } = parseFrame(frame);
      return mf === true || fragmentOffset! > 0;
    };
    const largest = await stage.sentToPeer(() => a.sendFrame(stage.podUdp(a, { payload })));
    t.ok(
      largest.some((frame) => isSame(parseDatagram(frame)?.inner.payload ?? frame, payload)),
      'the largest inner packet arrives whole',
    );
    t.notOk(largest.some(isFragment), 'in one packet');
    await stage.recorded();
    await stage.wiresSeen();
    t.notOk([...stage.toOne.frames, ...stage.toTwo.frames].some(isFragment), 'nor was anything else cut');

    // A NIC that carries less than the lab was told.
    const before = stage.drops(one, 'tunnel-send-failed');
    const less = await withMtu(one.netns, 1400, () =>
      stage.sentToPeer(() => {
        for (let i = 0; i < TOO_LARGE; i++) a.sendFrame(stage.podUdp(a, { payload }));
      }),
    );
    t.notOk(less.some(isFragment), 'nor with a smaller MTU of the NIC');
    t.equal(stage.drops(one, 'tunnel-send-failed'), before + TOO_LARGE, 'where it is dropped by name');
  },

  // "SHOULD NOT": no tag on the wire.
  async 'vx-020'(t, stage) {
    const before = stage.drops(stage.one, 'vlan-tagged');
    const frames = taggedFrames(stage);
    const sent = await stage.sentToPeer(() => frames.forEach((frame) => stage.a.sendFrame(frame)));
    const types = sent.flatMap((frame) => parseDatagram(frame)?.inner.etherType ?? []);
    t.notOk(types.includes(0x8100), 'no inner frame has a tag');
    t.equal(
      stage.drops(stage.one, 'vlan-tagged'),
      before + frames.length,
      'tagged frames are dropped by name',
    );
  },

  // "SHOULD": without its tag, if it is sent at all.
  async 'vx-021'(t, stage) {
    const frames = taggedFrames(stage);
    const sent = await stage.sentToPeer(() => frames.forEach((frame) => stage.a.sendFrame(frame)));
    const passed = sent.flatMap((frame) => parseDatagram(frame) ?? []);
    const untagged = frames[0]!.length - 4;
    t.ok(
      passed.every(({ bytes, inner }) => bytes.length === untagged && inner.etherType === 0x0800),
      `${passed.length} of ${frames.length} tagged frames were sent, each without its tag`,
    );
  },

  async 'vx-049'(t, stage) {
    const { a, peer } = stage;
    const sent: Datagram[] = [];
    const CE = 3;
    for (const ttl of [2, 3, 64, 255])
      for (const tos of [0, 1, 2, CE, 0xb8 + 2]) {
        const payload = text(`ttl ${ttl} tos ${tos}`);
        const frames = await stage.sentToPeer(() => a.sendFrame(stage.podUdp(a, { ttl, tos, payload })));
        const datagram = frames
          .flatMap((frame) => parseDatagram(frame) ?? [])
          .find(({ inner }) => isSame(inner.payload, payload));
        t.match(
          datagram?.inner,
          { ttl: ttl - 1, tos, ipChecksumRight: true },
          `the inner packet keeps TOS ${tos}`,
        );
        if (datagram) sent.push(datagram);
      }
    const ttls = new Set(sent.map(({ outer }) => outer.ttl));
    t.equal(ttls.size, 1, `the outer TTL is always the same: ${[...ttls].join(', ')}`);
    t.ok([...ttls].every((ttl) => ttl! > 1));
    // RFC 6040 §4.1: Not-ECT (compatibility mode), or a copy of the inner field (normal mode).
    t.ok(
      sent.every(({ outer, inner }) => (outer.tos! & CE) === 0 || (outer.tos! & CE) === (inner.tos! & CE)),
      'the outer ECN field claims nothing that the inner one does not',
    );

    // RFC 6040 §4.2, figure 4: what an underlay marked must reach the pod, by the inner field.
    const NAMES = ['Not-ECT', 'ECT(1)', 'ECT(0)', 'CE'];
    const [NOT_ECT, ECT1, ECT0] = [0, 1, 2];
    for (const [inner, outer, expected] of [
      [NOT_ECT, NOT_ECT, NOT_ECT],
      [NOT_ECT, ECT0, NOT_ECT],
      [NOT_ECT, ECT1, NOT_ECT],
      [NOT_ECT, CE, undefined],
      [ECT0, NOT_ECT, ECT0],
      [ECT0, ECT0, ECT0],
      [ECT0, ECT1, ECT1],
      [ECT0, CE, CE],
      [ECT1, NOT_ECT, ECT1],
      [ECT1, ECT0, ECT1],
      [ECT1, ECT1, ECT1],
      [ECT1, CE, CE],
      [CE, NOT_ECT, CE],
      [CE, ECT0, CE],
      [CE, ECT1, CE],
      [CE, CE, CE],
    ] as const) {
      const frames = await stage.delivered(
        () =>
          peer.send(a.host, stage.innerUdp(a, { tos: 0xb8 + inner!, payload: text('ecn') }), { tos: outer }),
        [a],
      );
      t.same(
        frames.map(({ tos, ipChecksumRight }) => [tos, ipChecksumRight]),
        expected === undefined ? [] : [[0xb8 + expected, true]],
        `inner ${NAMES[inner!]}, outer ${NAMES[outer!]}: ${expected === undefined ? 'dropped' : NAMES[expected]}`,
      );
    }
  },
};

export const MTU: Record<string, Driver> = {
  'vx-017'(t, { a, b, c, one }) {
    const underlay = findLink('eth0', one.netns)!.mtu;
    for (const pod of [a, b, c]) {
      const { mtu } = findLink('eth0', pod.netns)!;
      t.ok(mtu <= underlay - 50, `${mtu} of ${underlay} bytes are a pod's`);
    }
  },

  async 'vx-018'(t, stage) {
    const { a } = stage;
    const packets = [
      stage.podUdp(a, { df: true, payload: new Uint8Array(MAX_PACKET + 1 - INNER_HEADERS) }),
      icmpEcho({
        ...{ srcMac: a.mac, dstMac: routerMac(a.host), src: a.ip, dst: PEER_POD, df: true },
        ...{ echoId: 1, echoSeq: 1, payload: new Uint8Array(MAX_PACKET + 22) },
      }),
    ];
    const given = await withMtu(a.netns, 1500, () =>
      stage.delivered(async () => {
        for (const packet of packets) {
          const sent = await stage.sentToPeer(() => a.sendFrame(packet));
          t.notOk(
            sent.some((frame) => parseDatagram(frame)),
            'a packet above the MTU is not sent on',
          );
        }
      }),
    );
    const errors = given.filter(({ icmpType }) => icmpType === 3);
    t.equal(errors.length, packets.length, 'the sender is told each time');
    for (const error of errors)
      t.match(error, {
        icmpCode: 4,
        rest: MAX_PACKET,
        dst: a.ip,
        l4ChecksumRight: true,
        quoted: { src: a.ip, dst: PEER_POD },
      });
  },
};
