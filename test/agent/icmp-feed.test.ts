import { EventEmitter } from 'node:events';
import { pino } from 'pino';
import t from 'tap';
import { framesOf, mayBeForPod, openIcmpFeed } from '../../src/agent/icmp-feed.js';
import { parseCidr, parseIpv4 } from '../../src/wire/address.js';
import { bytesOf } from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { hex } from '../lib/hex.js';

const OPTIONS = {
  nodeIp: parseIpv4('192.168.50.1')!,
  inside: [parseCidr('10.244.0.0/16')!, parseCidr('10.96.0.0/12')!],
  hostMac: { hi: 0x0a58, lo: 0x0af40101 },
  routerMac: { hi: 0x0a58, lo: 0x0af401fe },
  mtu: 1450,
};

const word = (text: string): string =>
  text
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('');

/** An IPv4 header without a checksum. */
const ip = (src: string, dst: string, proto: string, length: string, fragment = '0000'): string =>
  `45 00 ${length}  0000 ${fragment}  40 ${proto} 0000  ${word(src)} ${word(dst)} `;
const REPLY = '00 00 0000 1267 0001'; // echo reply, id 4711
const OUTSIDE = '198.51.100.7';
const NODE = '192.168.50.1';

/** An error of type and code (`0b00`) from `src` that quotes a packet. */
const error = (type: string, src: string, quoted: string): string =>
  ip(src, NODE, '01', '0038') + `${type} 0000 00000000 ` + quoted;
const udp = (src: string, port: number): string =>
  ip(src, OUTSIDE, '11', '0024') + `${port.toString(16).padStart(4, '0')} 0035 0010 0000`;
const echo = (src: string, type = '08'): string =>
  ip(src, OUTSIDE, '01', '0024') + `${type} 00 0000 1267 0001`;

const isFor = (text: string): boolean => {
  const packet = hex(text);
  const v = new DataView(packet.buffer, packet.byteOffset, packet.length);
  return mayBeForPod(v, packet.length, OPTIONS);
};

t.test('what may be for a masqueraded pod', async (t) => {
  for (const [what, text] of [
    ['an echo reply', ip(OUTSIDE, NODE, '01', '001c') + REPLY],
    ['time exceeded about a datagram', error('0b00', OUTSIDE, udp(NODE, 61000))],
    ['an error of the host itself', error('0301', NODE, udp(NODE, 64999))],
    ['fragmentation needed', error('0304', OUTSIDE, udp(NODE, 62000))],
    ['time exceeded about an echo request', error('0b00', OUTSIDE, echo(NODE))],
  ] as const)
    t.ok(isFor(text), what);
});

t.test('what is for nobody behind us', async (t) => {
  for (const [what, text] of [
    ['the host asked itself', ip(NODE, NODE, '01', '001c') + REPLY],
    ['a reply of a pod, which came through the packet path', ip('10.244.1.2', NODE, '01', '001c') + REPLY],
    ['another address of the host', ip(OUTSIDE, '127.0.0.1', '01', '001c') + REPLY],
    ['an echo request', ip(OUTSIDE, NODE, '01', '001c') + '08' + REPLY.slice(2)],
    ["a datagram of the host's own", error('0303', OUTSIDE, udp(NODE, 60999))],
    ['a datagram of somebody else', error('0303', OUTSIDE, udp(OUTSIDE, 61000))],
    ['an error about an echo reply', error('0b00', OUTSIDE, echo(NODE, '00'))],
    ['too little quoted', error('0b00', OUTSIDE, udp(NODE, 61000)).slice(0, -12)],
    ['no ICMP', ip(OUTSIDE, NODE, '11', '001c') + REPLY],
    ['cut short', ip(OUTSIDE, NODE, '01', '001c') + '0000'],
    ['nothing', ''],
  ] as const)
    t.notOk(isFor(text), what);
});

t.test('a frame goes from the host to the router', async (t) => {
  const packet = hex(ip(OUTSIDE, NODE, '01', '001c') + REPLY);
  const [frame, ...more] = framesOf(packet, OPTIONS);
  t.same(more, []);
  t.same(frame, new Uint8Array([...hex('0a580af401fe 0a580af40101 0800'), ...packet]));
});

t.test('a packet larger than the MTU is cut into fragments, and each has a right checksum', async (t) => {
  const packet = new Uint8Array(3020);
  packet.set(hex(ip(OUTSIDE, NODE, '01', '0bcc', '4000') + REPLY));
  packet[3019] = 0xa5;
  const frames = framesOf(packet, OPTIONS);
  const parts = frames.map((frame) => {
    const v = new DataView(frame.buffer);
    t.ok(ipv4.isChecksumRight(bytesOf(frame.buffer), 14));
    return [ipv4.totalLen(v, 14), ipv4.fragmentOffset(v, 14), ipv4.hasMf(v, 14), ipv4.hasDf(v, 14)];
  });
  t.same(parts, [
    [1444, 0, true, false],
    [1444, 1424, true, false],
    [172, 2848, false, false],
  ]);
  t.equal(frames[2]!.at(-1), 0xa5);
});

t.test('without raw-socket the feed is off and says so once', async (t) => {
  const lines: string[] = [];
  const log = pino({}, { write: (line) => void lines.push(line) });
  const feed = await openIcmpFeed({ ...OPTIONS, inject: () => t.fail('nothing comes'), log }, () =>
    Promise.resolve(undefined),
  );
  t.match(feed.problem(), /^The ICMP feed is off: npm's raw-socket is not there: .*npm rebuild raw-socket/);
  t.equal(lines.length, 1);
  feed.close();
});

t.test('a raw socket that closes by an error is a problem', async (t) => {
  const socket = Object.assign(new EventEmitter(), {
    setOption: () => undefined,
    close: () => socket.emit('close'),
  });
  const frames: Uint8Array[] = [];
  const log = pino({ level: 'silent' });
  const module = { createSocket: () => socket, Protocol: { ICMP: 1 } };
  const feed = await openIcmpFeed({ ...OPTIONS, inject: (frame) => frames.push(frame), log }, () =>
    Promise.resolve(module as never),
  );
  // A packet in the middle of the module's own buffer, which it uses again.
  const room = Buffer.alloc(64);
  const packet = hex(ip(OUTSIDE, NODE, '01', '001c') + REPLY);
  room.set(packet, 3);
  socket.emit('message', room.subarray(3, 3 + packet.length), OUTSIDE);
  room.fill(0);
  t.same(frames[0]!.subarray(14), packet);
  t.equal(feed.problem(), undefined);
  socket.emit('close');
  t.match(feed.problem(), /closed by an error/);
  feed.close();
});
