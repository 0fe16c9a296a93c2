/** What our hosts make of what comes by the wire. */
import { concat } from '../../lib/hex.js';
import { headerOf, type Driver } from './cases.js';
import { isSame, text, type Delivered, type Stage } from './stage.js';
import type { OuterFields } from './vtep.js';

const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** Whether a frame is one that {@link sendTo} sent. */
const isTested = (payload: Uint8Array) => (frame: Delivered) => isSame(frame.payload, payload);

/** A datagram with this VXLAN header and these outer fields is delivered to pod a, and to nobody else. */
async function isDelivered(
  stage: Stage,
  what: string,
  header?: Uint8Array,
  outer?: Partial<OuterFields>,
): Promise<string> {
  const { a, peer } = stage;
  const payload = text(what);
  const frames = await stage.delivered(() =>
    peer.send(a.host, stage.innerUdp(a, { payload }), outer, header),
  );
  const found = frames.filter(isTested(payload));
  if (found.length !== 1) return `delivered ${found.length} times`;
  return found[0]!.dst === a.ip && found[0]!.dstMac === a.mac ? 'delivered' : 'delivered to another';
}

export const DECAP: Record<string, Driver> = {
  async 'vx-022'(t, stage, item) {
    t.equal(await isDelivered(stage, 'all flags', headerOf(item)), 'delivered');
  },

  async 'vx-023'(t, stage, item) {
    t.equal(await isDelivered(stage, 'reserved fields', headerOf(item)), 'delivered');
  },

  async 'vx-024'(t, stage, item) {
    const { one } = stage;
    const before = stage.drops(one, 'vxlan-no-vni');
    t.equal(await isDelivered(stage, 'no I flag', headerOf(item)), 'delivered 0 times');
    t.equal(stage.drops(one, 'vxlan-no-vni'), before + 1, 'and dropped by name');
  },

  async 'vx-025'(t, stage) {
    t.equal(await isDelivered(stage, 'no UDP checksum', undefined, { checksum: 0 }), 'delivered');
  },

  async 'vx-028'(t, stage) {
    for (const srcPort of [1024, 4789, 65535, 1, 8472])
      t.equal(
        await isDelivered(stage, `from port ${srcPort}`, undefined, { srcPort }),
        'delivered',
        `port ${srcPort}`,
      );
  },

  async 'vx-031'(t, stage) {
    const { a, b, peer, one } = stage;
    const payload = text('whose MAC?');
    const before = stage.drops(one, 'vxlan-not-our-mac');
    const others = ['0a:58:0a:f4:01:63', '02:02:03:04:05:06', a.mac, b.mac, stage.two.vtepMac, BROADCAST];
    const frames = await stage.delivered(() => {
      for (const dstMac of others) peer.send(one, stage.innerUdp(a, { dstMac, payload }));
    });
    t.same(frames.filter(isTested(payload)), [], 'a MAC address that is not the VTEP’s leads to no pod');
    t.equal(stage.drops(one, 'vxlan-not-our-mac'), before + others.length, 'and is dropped by name');
    // Behind the VTEP, the IP address tells the pod.
    const right = await stage.delivered(() => {
      for (const pod of [a, b]) peer.send(one, stage.innerUdp(pod, { payload: text(pod.ip) }));
      peer.send(one, stage.innerUdp(a, { dst: '10.244.1.99', payload: text('10.244.1.99') }));
    });
    t.same(
      right.map((frame) => [frame.dst, frame.dstMac, isSame(frame.payload, text(frame.dst!))]).sort(),
      [a, b].map((pod) => [pod.ip, pod.mac, true]),
      'each pod gets its own, nobody a stranger’s',
    );
  },

  async 'vx-040'(t, stage) {
    const { a, one, peer } = stage;
    const payload = text('tagged inside');
    const plain = stage.innerUdp(a, { payload });
    const before = stage.drops(one, 'vlan-tagged');
    const frames = await stage.delivered(() => {
      for (const dstMac of [one.vtepMac, a.mac, BROADCAST]) {
        const inner = stage.innerUdp(a, { dstMac, payload });
        const tag = Uint8Array.of(0x81, 0x00, 0x00, 0x64);
        peer.send(one, concat(inner.slice(0, 12), tag, inner.slice(12)));
      }
      // A tag for providers (802.1ad) is no better.
      peer.send(one, concat(plain.slice(0, 12), Uint8Array.of(0x88, 0xa8, 0x00, 0x64), plain.slice(12)));
    });
    t.same(frames, [], 'a tagged inner frame is not delivered');
    t.equal(stage.drops(one, 'vlan-tagged'), before + 3, 'and dropped by name');
  },
};
