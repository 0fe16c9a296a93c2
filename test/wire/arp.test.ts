import t from 'tap';
import { parseIpv4, parseMac } from '../../src/wire/address.js';
import * as arp from '../../src/wire/arp.js';
import { hex, memory, toHex } from '../lib/hex.js';
import { arpReply, arpRequest } from '../lib/packets.js';

const L3 = 24;

const REQUEST = hex(`
  00 01               # hardware: Ethernet
  08 00               # protocol: IPv4
  06 04               # lengths of their addresses
  00 01               # request
  0a 58 0a f4 01 02   # sender MAC
  0a f4 01 02         # sender 10.244.1.2
  00 00 00 00 00 00   # target MAC: that is the question
  c0 a8 32 fe         # target 192.168.50.254
`);

const REPLY = hex(`
  00 01 08 00         # Ethernet, IPv4
  06 04               # lengths of their addresses
  00 02               # reply
  fe 58 ca fe 01 fe   # sender MAC: the answer
  c0 a8 32 fe         # sender 192.168.50.254
  0a 58 0a f4 01 02   # target MAC
  0a f4 01 02         # target 10.244.1.2
`);

t.test('a request is taken apart', async (t) => {
  const { v } = memory(REQUEST, L3);
  t.ok(arp.check(v, L3, arp.LEN));
  t.equal(arp.op(v, L3), arp.REQUEST);
  t.equal(arp.senderMacHi(v, L3), 0x0a58);
  t.equal(arp.senderMacLo(v, L3), 0x0af40102);
  t.equal(arp.senderIp(v, L3), 0x0af40102);
  t.equal(arp.targetIp(v, L3), 0xc0a832fe | 0, 'addresses are signed');
});

t.test('a request and a reply are put together', async (t) => {
  const m = memory();
  const pod = { hi: 0x0a58, lo: 0x0af40102 };
  const router = { hi: 0xfe58, lo: 0xcafe01fe | 0 };
  arp.write(m.v, L3, arp.REQUEST, pod, 0x0af40102, { hi: 0, lo: 0 }, 0xc0a832fe | 0);
  t.equal(m.show(L3, arp.LEN), toHex(REQUEST));
  arp.write(m.v, L3, arp.REPLY, router, 0xc0a832fe | 0, pod, 0x0af40102);
  t.equal(m.show(L3, arp.LEN), toHex(REPLY));
  t.ok(m.isUntouchedAround(L3, arp.LEN));
});

t.test('the twin puts the same packets together', async (t) => {
  const pod = { senderMac: '0a:58:0a:f4:01:02', senderIp: '10.244.1.2' };
  t.equal(toHex(arpRequest({ ...pod, targetIp: '192.168.50.254' }).slice(14)), toHex(REQUEST));
  const router = { senderMac: 'fe:58:ca:fe:01:fe', senderIp: '192.168.50.254' };
  const reply = arpReply({ ...router, targetMac: pod.senderMac, targetIp: pod.senderIp });
  t.equal(toHex(reply.slice(14)), toHex(REPLY));
  const m = memory();
  const [from, to] = [parseMac(router.senderMac)!, parseMac(pod.senderMac)!];
  arp.write(m.v, L3, arp.REPLY, from, parseIpv4(router.senderIp)!, to, parseIpv4(pod.senderIp)!);
  t.equal(m.show(L3, arp.LEN), toHex(REPLY));
});

t.test('a request becomes its reply in place', async (t) => {
  const m = memory(REQUEST, L3);
  arp.replyInPlace(m.v, L3, 0xfe58, 0xcafe01fe | 0);
  t.equal(m.show(L3, arp.LEN), toHex(REPLY));
  t.ok(m.isUntouchedAround(L3, arp.LEN));
});

t.test('a probe is answered to the address that nobody has yet', async (t) => {
  // RFC 5227 §1.1: the sender IP of a probe is 0.0.0.0.
  const probe = REQUEST.slice();
  probe.fill(0, 14, 18);
  const m = memory(probe, L3);
  arp.replyInPlace(m.v, L3, 0xfe58, 0xcafe01fe | 0);
  t.equal(m.show(L3 + 18, 10), '0a 58 0a f4 01 02 00 00 00 00');
});

t.test('check refuses what is cut, and other hardware, protocols and lengths', async (t) => {
  const check = (bytes: Uint8Array, len = bytes.length): boolean => arp.check(memory(bytes, L3).v, L3, len);
  t.equal(check(REQUEST), true);
  t.equal(check(REQUEST, 46), true, 'with Ethernet padding');
  for (const len of [0, 1, 8, 27]) t.equal(check(REQUEST, len), false, `${len} bytes`);
  for (let at = 0; at < 6; at++) {
    const bad = REQUEST.slice();
    bad[at]! ^= 0x10;
    t.equal(check(bad), false, `byte ${at} is wrong`);
  }
  t.equal(check(hex('00 06')), false, 'IEEE 802 hardware');
});
