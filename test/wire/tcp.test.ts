import t from 'tap';
import * as tcp from '../../src/wire/tcp.js';
import { hex, memory, toHex } from '../lib/hex.js';
import { parseFrame, tcpFrame } from '../lib/packets.js';

const L4 = 44;

const SEGMENT = hex(`
  a0 00         # source port 40960
  01 bb         # destination port 443
  de ad be ef   # sequence number
  fe ed 00 01   # acknowledgment number
  80            # eight words of header
  52            # flags: ECE, ACK, SYN
  fa f0         # window 64240
  b9 4c         # checksum
  00 00         # urgent pointer
  02 04 05 82   # option: maximum segment size 1410
  01 01 04 02   # options: two no-ops, selective acknowledgment
  01 03 03 07   # options: no-op, window scale 7
  68 69         # payload
`);
const fields = {
  src: '10.0.0.1',
  dst: '10.0.0.2',
  srcPort: 40960,
  dstPort: 443,
  seq: 0xdeadbeef,
  ack: 0xfeed0001,
  flags: tcp.ECE | tcp.ACK | tcp.SYN,
  options: SEGMENT.slice(20, 32),
  payload: hex('68 69'),
};

t.test('a segment is taken apart', async (t) => {
  const { v } = memory(SEGMENT, L4);
  t.ok(tcp.check(v, L4, SEGMENT.length));
  t.equal(tcp.srcPort(v, L4), 40960, 'unsigned');
  t.equal(tcp.dstPort(v, L4), 443);
  t.equal(tcp.seq(v, L4), 0xdeadbeef, 'unsigned');
  t.equal(tcp.ack(v, L4), 0xfeed0001);
  t.equal(tcp.headerLen(v, L4), 32);
  t.equal(tcp.flags(v, L4), tcp.ECE | tcp.ACK | tcp.SYN);
  t.equal(v.getUint16(L4 + tcp.CHECKSUM), 0xb94c);
});

t.test('the twin puts the same segment together', async (t) => {
  const frame = tcpFrame(fields);
  t.equal(toHex(frame.slice(34)), toHex(SEGMENT));
  t.match(parseFrame(frame), { ...fields, l4ChecksumRight: true });
});

t.test('sequence number and flags are set, and nothing else', async (t) => {
  const m = memory();
  tcp.setSeq(m.v, L4, 0xfffffff0);
  tcp.setFlags(m.v, L4, tcp.FIN | tcp.PSH | tcp.ACK);
  t.equal(m.show(L4, 16), 'a5 a5 a5 a5 ff ff ff f0 a5 a5 a5 a5 a5 19 a5 a5');
  t.ok(m.isUntouchedAround(L4 + 4, 10));
});

t.test('a sequence number wraps at 2³²', async (t) => {
  const { v } = memory(SEGMENT, L4);
  tcp.setSeq(v, L4, 0xfffffff0 + 0x20);
  t.equal(tcp.seq(v, L4), 0x10);
});

t.test('every flag is the bit of RFC 9293', async (t) => {
  const flags = [tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR];
  t.same(flags, [1, 2, 4, 8, 16, 32, 64, 128]);
});

t.test('check refuses a cut header and an impossible data offset', async (t) => {
  const check = (offset: string, len: number): boolean =>
    tcp.check(memory(hex(`00 00 00 00 00 00 00 00 00 00 00 00 ${offset}`), L4).v, L4, len);
  t.equal(check('50', 20), true, 'no options, no payload');
  t.equal(check('5f', 20), true, 'reserved bits mean nothing');
  t.equal(check('f0', 60), true, 'all options');
  t.equal(check('50', 19), false, 'the header is cut');
  t.equal(check('50', 0), false, 'nothing');
  t.equal(check('40', 60), false, 'data offset 4');
  t.equal(check('00', 60), false, 'data offset 0');
  t.equal(check('60', 20), false, 'the options are cut');
  t.equal(check('f0', 59), false, 'the last option is cut');
});
