/**
 * What a TAP with virtio_net_hdr hands over, for each kind of offload. The packet path relies on all of it.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { EINVAL, EIO } from '../../src/sys/errno.js';
import * as io from '../../src/sys/io.js';
import { ip } from '../../src/sys/iproute2.js';
import type { Offload } from '../../src/sys/tap.js';
import { openUdp } from '../../src/sys/udp.js';
import { finish, fold, load, pseudoIpv4, sum } from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as udp from '../../src/wire/udp.js';
import * as virtio from '../../src/wire/virtio-net.js';
import {
  L2,
  L3,
  L4,
  isIpv4,
  isReadable,
  makePod,
  readFrame,
  waitFrame,
  wire,
  writeFrame,
} from '../lib/frames.js';
import type { Frame } from '../lib/frames.js';
import { receive, send } from '../lib/mmsg.js';
import { needsRoot } from '../lib/netns.js';
import { printed, start } from '../lib/spawn.js';

const skip = needsRoot();
const OFFLOADS: Offload[] = ['all', 'tso', 'none'];
const MTU = 1450;
/** Offset of the checksum in the header. */
const FIELD = { [ipv4.TCP]: 16, [ipv4.UDP]: udp.CHECKSUM };

/** Whether the checksum field holds the folded pseudo-header sum, and the header says where it is. */
function isUnfinished({ v, b, len }: Frame, proto: 6 | 17): boolean {
  return (
    virtio.flags(v, 0) === virtio.NEEDS_CSUM &&
    virtio.csumStart(v, 0) === L4 - L2 &&
    virtio.csumOffset(v, 0) === FIELD[proto] &&
    load(b, L4 + FIELD[proto]) === fold(pseudoIpv4(b, L3, proto, len - L4))
  );
}

/** Whether the checksum is there and right, and nothing is asked of us. */
function isFinished({ v, b, len }: Frame, proto: 6 | 17): boolean {
  return virtio.flags(v, 0) === 0 && finish(pseudoIpv4(b, L3, proto, len - L4) + sum(b, L4, len - L4)) === 0;
}

/** A program in the pod sends one datagram, or with `segment` a train of them. How many messages went. */
function sendFrom(t: Test, netns: string, data: Buffer, segment?: number): number {
  const socket = openUdp({ netns, address: '10.0.0.1', port: 0 });
  t.teardown(() => io.close(socket.fd));
  return send(socket.fd, [{ data, to: ['10.0.0.2', 5000], segment }]);
}

const isUdp = (frame: Frame): boolean => isIpv4(frame, ipv4.UDP);
const TRAIN = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));

for (const offload of OFFLOADS)
  t.test(
    `offload ${offload}: a datagram comes ${offload === 'none' ? 'finished' : 'unfinished'}`,
    { skip },
    async (t) => {
      const { netns, tap } = makePod(t, 1, { offload });
      t.equal(sendFrom(t, netns, Buffer.from('odd')), 1);
      const frame = waitFrame(tap.fd, isUdp);
      t.equal(virtio.gsoType(frame.v, 0), virtio.GSO_NONE);
      t.equal(isUnfinished(frame, ipv4.UDP), tap.csum);
      t.equal(isFinished(frame, ipv4.UDP), !tap.csum);
      t.equal(ipv4.isChecksumRight(frame.b, L3), true, 'the IPv4 header is always finished');
    },
  );

t.test(
  'with USO a train of datagrams comes as one frame, and the pod behind another TAP gets datagrams',
  { skip },
  async (t) => {
    const a = makePod(t, 1);
    const b = makePod(t, 2);
    if (!a.tap.uso)
      return void t.skip('this kernel has no UDP segmentation on TAPs (6.2 and later)', () => {});
    const to = openUdp({ netns: b.netns, address: b.address, port: 5000, gro: false });
    t.teardown(() => io.close(to.fd));
    t.equal(sendFrom(t, a.netns, TRAIN, 100), 1);
    const frame = waitFrame(a.tap.fd, isUdp);
    t.equal(virtio.gsoType(frame.v, 0), virtio.GSO_UDP_L4);
    t.equal(virtio.gsoSize(frame.v, 0), 100);
    t.equal(frame.len, L4 + udp.HEADER_LEN + TRAIN.length);
    t.equal(udp.length(frame.v, L4), udp.HEADER_LEN + TRAIN.length);
    t.ok(isUnfinished(frame, ipv4.UDP));

    t.equal(writeFrame(b.tap.fd, frame), frame.len);
    t.ok(isReadable(to.fd));
    const messages = receive(to.fd);
    if (typeof messages === 'number') return void t.fail('nothing received');
    t.same(
      messages.map(({ data }) => data.length),
      Array(10).fill(100),
    );
    t.same(Buffer.concat(messages.map(({ data }) => data)), TRAIN);
  },
);

for (const offload of ['tso', 'none'] as const)
  t.test(`offload ${offload}: the kernel cuts a train of datagrams before the TAP`, { skip }, async (t) => {
    const { netns, tap } = makePod(t, 1, { offload });
    t.equal(sendFrom(t, netns, TRAIN, 100), 1);
    for (let i = 0; i < 10; i++) {
      const frame = waitFrame(tap.fd, isUdp);
      t.equal(frame.len, L4 + udp.HEADER_LEN + 100);
      t.equal(virtio.gsoType(frame.v, 0), virtio.GSO_NONE);
      t.equal(tap.csum ? isUnfinished(frame, ipv4.UDP) : isFinished(frame, ipv4.UDP), true);
    }
  });

const RECEIVER = `
  const hash = require('node:crypto').createHash('sha256');
  require('node:net').createServer((socket) => {
    socket.on('data', (data) => hash.update(data));
    socket.on('end', () => socket.end(() => { console.log('digest', hash.digest('hex')); process.exit(); }));
  }).listen(5000, '10.0.0.2', () => console.log('ready'));`;
const SENDER = `require('node:net').connect(5000, '10.0.0.2').end(Buffer.alloc(1 << 20, 'podwire'));`;
const DIGEST = createHash('sha256')
  .update(Buffer.alloc(1 << 20, 'podwire'))
  .digest('hex');

for (const offload of OFFLOADS)
  t.test(
    offload === 'none'
      ? 'offload none: TCP comes in whole segments of the MTU with right checksums'
      : `offload ${offload}: TCP comes in super-frames with unfinished checksums, which another TAP takes unchanged`,
    { skip },
    async (t) => {
      const a = makePod(t, 1, { offload });
      const b = makePod(t, 2, { offload });
      const run = (netns: string, script: string) =>
        start(t, ['nsenter', `--net=/run/netns/${netns}`, process.execPath, '-e', script]);
      const receiver = run(b.netns, RECEIVER);
      await printed(receiver, /ready/);
      const digest = printed(receiver, /digest .*\n/);
      const gone = once(run(a.netns, SENDER), 'exit');

      const seen = { super: 0, unfinished: 0, finished: 0, odd: 0, longest: 0 };
      await wire([a.tap.fd, b.tap.fd], Promise.all([digest, gone]), (frame) => {
        if (!isIpv4(frame, ipv4.TCP)) return;
        const { v, len } = frame;
        seen.longest = Math.max(seen.longest, len - L3);
        const type = virtio.gsoType(v, 0);
        const isSuper =
          type === virtio.GSO_TCPV4 && virtio.gsoSize(v, 0) <= MTU - 40 && ipv4.totalLen(v, L3) === len - L3;
        if (isSuper) seen.super += 1;
        else if (type !== virtio.GSO_NONE) seen.odd += 1;
        if (isUnfinished(frame, ipv4.TCP)) seen.unfinished += 1;
        else if (isFinished(frame, ipv4.TCP)) seen.finished += 1;
        else seen.odd += 1;
      });
      t.match(await digest, `digest ${DIGEST}`);
      t.equal(seen.odd, 0);
      if (a.tap.tso) {
        t.ok(seen.super > 0, `${seen.super} super-frames`);
        t.ok(seen.longest > MTU, `the longest has ${seen.longest} bytes`);
        t.ok(seen.unfinished > 0);
      } else {
        t.ok(seen.finished > (1 << 20) / MTU);
        t.equal(seen.longest, MTU);
        t.equal(seen.unfinished, 0);
      }
    },
  );

t.test(
  'a wrong checksum is thrown away by the receiving kernel, unless we vouch for it',
  { skip },
  async (t) => {
    const a = makePod(t, 1, { offload: 'none' });
    const b = makePod(t, 2);
    const to = openUdp({ netns: b.netns, address: b.address, port: 5000 });
    t.teardown(() => io.close(to.fd));
    t.equal(sendFrom(t, a.netns, Buffer.from('good')), 1);
    const frame = waitFrame(a.tap.fd, isUdp);
    const flip = (): void => frame.v.setUint8(frame.len - 1, frame.v.getUint8(frame.len - 1) ^ 1);

    flip();
    t.equal(writeFrame(b.tap.fd, frame), frame.len);
    frame.v.setUint8(0, virtio.DATA_VALID);
    t.equal(writeFrame(b.tap.fd, frame), frame.len, 'a TAP does not mind DATA_VALID');
    frame.v.setUint8(0, 0);
    flip();
    t.equal(writeFrame(b.tap.fd, frame), frame.len);
    t.ok(isReadable(to.fd));
    t.match(receive(to.fd), [{ data: Buffer.from('good') }], 'only the right one arrives');

    flip();
    virtio.write(frame.v, 0, virtio.NEEDS_CSUM, virtio.GSO_NONE, 0, 0, L4 - L2, udp.CHECKSUM);
    t.equal(writeFrame(b.tap.fd, frame), frame.len);
    t.ok(isReadable(to.fd));
    t.match(
      receive(to.fd),
      [{ data: Buffer.from('gooe') }],
      'NEEDS_CSUM is believed: never set it unverified',
    );
  },
);

t.test('a virtio header with nonsense in it is refused, and the TAP goes on', { skip }, async (t) => {
  const { netns, tap } = makePod(t, 1);
  t.equal(sendFrom(t, netns, Buffer.alloc(500)), 1);
  const frame = waitFrame(tap.fd, isUdp);
  const nonsense: [string, [number, number, number, number, number, number]][] = [
    ['a header longer than the frame', [1, virtio.GSO_TCPV4, 2000, 100, 34, 6]],
    ['segments of no size', [1, virtio.GSO_TCPV4, 42, 0, 34, 6]],
    ['a kind of super-frame that there is not', [1, 0x55, 42, 100, 34, 6]],
    ['a checksum beyond the end', [1, virtio.GSO_NONE, 42, 0, 600, 6]],
  ];
  for (const [name, header] of nonsense) {
    virtio.write(frame.v, 0, ...header);
    t.equal(writeFrame(tap.fd, frame), -EINVAL, name);
  }
  virtio.write(frame.v, 0, 1, virtio.GSO_NONE, 0, 0, 34, 6);
  t.equal(writeFrame(tap.fd, frame), frame.len);
});

t.test('a TAP whose link is down takes no frame', { skip }, async (t) => {
  const { netns, tap } = makePod(t, 1);
  t.equal(sendFrom(t, netns, Buffer.from('up')), 1);
  const frame = waitFrame(tap.fd, isUdp);
  ip(['link set eth0 down'], { netns });
  t.equal(writeFrame(tap.fd, frame), -EIO);
  ip(['link set eth0 up'], { netns });
  while (readFrame(tap.fd) !== undefined);
  t.equal(writeFrame(tap.fd, frame), frame.len);
});
