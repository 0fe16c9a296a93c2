import t from 'tap';
import * as icmp from '../../src/wire/icmp.js';
import { hex, memory, toHex } from '../lib/hex.js';
import { icmpEcho, icmpFrame } from '../lib/packets.js';

const L4 = 44;

const ECHO = hex(`
  08            # echo request
  00            # code
  73 d3         # checksum
  f4 d2         # identifier
  8f 01         # sequence number
  00 58         # data
`);

const TOO_BIG = hex(`
  03            # destination unreachable
  04            # fragmentation needed and DF set
  f7 51         # checksum
  00 00         # unused
  05 aa         # next-hop MTU 1450
`);

t.test('an echo is taken apart', async (t) => {
  const { v } = memory(ECHO, L4);
  t.ok(icmp.check(ECHO.length));
  t.equal(icmp.type(v, L4), icmp.ECHO_REQUEST);
  t.equal(icmp.code(v, L4), 0);
  t.equal(icmp.id(v, L4), 0xf4d2, 'unsigned');
  t.equal(icmp.seq(v, L4), 0x8f01);
  t.equal(v.getUint16(L4 + icmp.CHECKSUM), 0x73d3);
});

t.test('an error about a packet that is too big is taken apart', async (t) => {
  const { v } = memory(TOO_BIG, L4);
  t.equal(icmp.type(v, L4), icmp.UNREACHABLE);
  t.equal(icmp.code(v, L4), icmp.FRAGMENTATION_NEEDED);
  t.equal(icmp.mtu(v, L4), 1450);
});

t.test('the twin puts the same messages together', async (t) => {
  const ends = { src: '10.0.0.1', dst: '10.0.0.2' };
  const echo = icmpEcho({ ...ends, echoId: 0xf4d2, echoSeq: 0x8f01, payload: hex('00 58') });
  t.equal(toHex(echo.slice(34)), toHex(ECHO));
  t.equal(toHex(icmpFrame({ ...ends, icmpType: 3, icmpCode: 4, rest: 1450 }).slice(34)), toHex(TOO_BIG));
});

t.test('errors are those types that quote a datagram', async (t) => {
  // RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem.
  const errors = Array.from({ length: 256 }, (_, type) => type).filter(icmp.isError);
  t.same(errors, [3, 4, 5, 11, 12]);
  t.notOk(icmp.isError(icmp.ECHO_REPLY));
});

t.test('seven bytes are no message', async (t) => {
  t.equal(icmp.check(8), true);
  t.equal(icmp.check(1480), true);
  t.equal(icmp.check(7), false);
  t.equal(icmp.check(0), false);
});
