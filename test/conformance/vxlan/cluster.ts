/** Several networks, other implementations, configuration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../../../src/api/types.js';
import { validate } from '../../../src/api/validate.js';
import { close } from '../../../src/sys/io.js';
import { openUdp } from '../../../src/sys/udp.js';
import { makeNetns, testName } from '../../lib/netns.js';
import * as mmsg from '../../lib/mmsg.js';
import { Overlay, pings, transfer } from '../../lib/overlay.js';
import { capture } from '../../lib/capture.js';
import { parseFrame, udpFrame, vxlan } from '../../lib/packets.js';
import { inRoot } from '../../lib/root.js';
import { output, runSync } from '../../lib/spawn.js';
import { until } from '../../lib/until.js';
import type { Driver } from './cases.js';
import { SINK, isSame, text, type Stage } from './stage.js';
import { parseDatagram, Vtep } from './vtep.js';

const MAX_VNI = 0xffffff;

const labOf = (vni: number): Lab => ({
  apiVersion: 'podwire.dev/v1alpha1',
  kind: 'Lab',
  metadata: { name: testName('v').slice(-12) },
  spec: { backend: { vni }, underlay: { cidr: '192.0.2.0/24' } },
});

export const CLUSTER: Record<string, Driver> = {
  /** Two networks on one underlay; a pod of each has the same addresses, MAC and IP. */
  async 'vx-030'(t, stage) {
    const other = new Overlay(t, true, { vni: MAX_VNI, beside: stage.overlay });
    const red = await other.addHost();
    const redPeer = new Vtep(await other.addPlayedHost());
    const pod = await other.addPod(red);
    const { a, one, peer } = stage;
    t.equal(pod.ip, a.ip, 'both networks have a pod of this address');
    const seen = await capture(t, pod.netns, 'eth0', 'in');

    /** As a pod of `from`'s network would send it to the one at `to`. */
    const datagram = (from: Vtep, to: typeof one, vni: number, payload: Uint8Array): Uint8Array =>
      from.outerFrame(
        to,
        vxlan(
          udpFrame({
            srcMac: from.host.vtepMac,
            dstMac: to.vtepMac,
            src: from === peer ? '10.244.3.2' : '10.244.2.2',
            dst: a.ip,
            srcPort: SINK,
            dstPort: SINK,
            payload,
          }),
          { vni },
        ),
      );
    const before = { one: stage.drops(one, 'vxlan-foreign-vni'), red: stage.drops(red, 'vxlan-foreign-vni') };
    const strays = [0, 2, 0x000100, 0x010000, MAX_VNI - 1];
    const sent = await stage.delivered(() => {
      // Right in one network, on its way to a host of the other.
      redPeer.sendFrame(datagram(redPeer, one, MAX_VNI, text('red')));
      peer.sendFrame(datagram(peer, red, 1, text('blue')));
      // From a peer that the host knows, of a network that is not its own.
      for (const vni of [...strays, MAX_VNI]) peer.sendFrame(datagram(peer, one, vni, text('stray')));
      for (const vni of [...strays, 1]) redPeer.sendFrame(datagram(redPeer, red, vni, text('stray')));
      redPeer.sendFrame(datagram(redPeer, red, MAX_VNI, text('red')));
      peer.sendFrame(datagram(peer, one, 1, text('blue')));
    });
    await seen.until('a datagram of its own network comes', (frame) =>
      isSame(parseFrame(frame).payload, text('red')),
    );
    const payloads = (frames: readonly Uint8Array[]): string[] =>
      frames
        .map(parseFrame)
        .flatMap(({ proto, payload }) => (proto === 17 ? [new TextDecoder().decode(payload)] : []));
    t.same(payloads(sent.map(({ bytes }) => bytes)), ['blue'], 'the pod of VNI 1 was given its own alone');
    t.same(payloads(seen.frames), ['red'], `the pod of VNI ${MAX_VNI} too`);
    t.equal(
      stage.drops(one, 'vxlan-foreign-vni'),
      before.one + strays.length + 1,
      'what is foreign is dropped by name',
    );
    t.equal(stage.drops(red, 'vxlan-foreign-vni'), before.red + strays.length + 1);

    // 10.244.2.2 is a pod in one network, and in the other a pod of another host.
    t.equal(pings(a, '10.244.2.2', 1), 1, 'a ping stays in its network');
    const socket = openUdp({ netns: pod.netns, address: '0.0.0.0', port: 0 });
    t.teardown(() => void close(socket.fd));
    mmsg.send(socket.fd, [{ data: text('out'), to: ['10.244.2.2', SINK] }]);
    const out = await redPeer.until('it comes to its peer', ({ inner }) =>
      isSame(inner.payload, text('out')),
    );
    t.same([...out.header], [0x08, 0, 0, 0, 0xff, 0xff, 0xff, 0], 'with its VNI');
    const crossed = [...stage.toOne.frames, ...stage.toTwo.frames, ...peer.received()]
      .flatMap((frame) => parseDatagram(frame) ?? [])
      .filter(({ outer }) => outer.src === red.address);
    t.same(crossed, [], 'no host of the one network was sent anything by the other');
  },

  async 'vx-047'(t, stage) {
    const { overlay, a, c } = stage;
    const kernel = await overlay.addKernelHost();
    const k = await overlay.addPod(kernel);
    t.equal(pings(a, k.ip), 3, 'ping to a host of the kernel’s VXLAN');
    t.equal(pings(k, c.ip), 3, 'and from it');
    // Without pings, each connection would be waited for in vain.
    if (!t.passing()) return;
    for (const [what, from, to] of [
      ['to it', a, k],
      ['from it', k, a],
    ] as const) {
      const { sent, received } = await transfer(t, from, to, 4 << 20, 5047);
      t.equal(received, sent, `4 MiB over TCP ${what}`);
    }
  },

  'vx-050'(t) {
    for (const vni of [MAX_VNI + 1, -1, 2 ** 31 - 1, 2 ** 32, 1.5])
      t.match(validate(labOf(vni)), [{ field: 'spec.backend.vni' }], `VNI ${vni} is refused`);
    for (const vni of [0, 1, MAX_VNI]) t.same(validate(labOf(vni)), [], `VNI ${vni} is not`);

    // Sockets lie below it: its name must be short.
    const run = mkdtempSync(join(tmpdir(), testName('')));
    t.teardown(() => rmSync(run, { recursive: true }));
    const file = join(run, 'lab.json');
    const lab = labOf(MAX_VNI + 1);
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'node1' },
      status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
    };
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [lab, node] }));
    const podwire = (...argv: string[]) =>
      runSync([process.execPath, inRoot('dist/src/cli/main.js'), ...argv], { env: { PODWIRE_RUN: run } });
    const netns = makeNetns(t);
    output(['ip', '-n', netns, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other']);
    output(['ip', '-n', netns, 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0']);
    const { name } = lab.metadata;
    for (const argv of [
      ['up', '-f', file],
      ['agent', '--node', 'node1', '--lab', name, '--netns', netns, '--objects', file],
    ]) {
      const { status, stderr } = podwire(...argv);
      t.equal(status, 1, `podwire ${argv[0]} ends at once`);
      t.match(stderr, /spec\.backend\.vni.*16777216.*must be 0\.\.16777215/, 'and says why');
    }
  },
};

/** Beyond the cases: IANA's port is a setting away. */
export async function ianaPort(t: Parameters<Driver>[0], stage: Stage): Promise<void> {
  const PORT = 4789;
  const other = new Overlay(t, true, { port: PORT, beside: stage.overlay });
  const host = await other.addHost();
  const peer = new Vtep(await other.addPlayedHost());
  const pod = await other.addPod(host);
  const seen = await capture(t, pod.netns, 'eth0', 'in');
  const payload = text('to the port of IANA');
  const inner = {
    ...{ srcMac: peer.host.vtepMac, dstMac: host.vtepMac, src: '10.244.2.2', dst: pod.ip },
    ...{ srcPort: SINK, dstPort: SINK, payload },
  };
  peer.send(host, udpFrame(inner), { dstPort: PORT });
  await seen.until('it is taken from that port', (frame) => isSame(parseFrame(frame).payload, payload));
  // Nobody listens in the pod: its kernel answers, through the tunnel.
  const answer = await until('it is sent to that port', () =>
    peer
      .received()
      .flatMap((frame) => parseDatagram(frame, PORT) ?? [])
      .find(({ outer }) => outer.src === host.address),
  );
  t.match(answer.inner, { icmpType: 3, icmpCode: 3, src: pod.ip }, 'and answered there');
}
