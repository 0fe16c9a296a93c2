import t from 'tap';
import * as udp from '../../src/wire/udp.js';
import { hex, memory, toHex } from '../lib/hex.js';
import { parseFrame, udpFrame } from '../lib/packets.js';

const L4 = 44;

const DATAGRAM = hex(`
  c0 00         # source port 49152
  00 35         # destination port 53
  00 0b         # 11 bytes
  67 3d         # checksum
  61 62 63      # payload
`);

t.test('a datagram is taken apart', async (t) => {
  const { v } = memory(DATAGRAM, L4);
  t.ok(udp.check(v, L4, DATAGRAM.length));
  t.equal(udp.srcPort(v, L4), 49152, 'unsigned');
  t.equal(udp.dstPort(v, L4), 53);
  t.equal(udp.length(v, L4), 11);
  t.equal(v.getUint16(L4 + udp.CHECKSUM), 0x673d);
});

t.test('the twin puts the same datagram together', async (t) => {
  const ends = { src: '10.0.0.1', dst: '10.0.0.2', srcPort: 49152, dstPort: 53 };
  const frame = udpFrame({ ...ends, payload: hex('61 62 63') });
  t.equal(toHex(frame.slice(34)), toHex(DATAGRAM));
  t.match(parseFrame(frame), { ...ends, l4ChecksumRight: true });
});

t.test('the length is set, and nothing else', async (t) => {
  const m = memory();
  udp.setLength(m.v, L4, 0xff01);
  t.equal(m.show(L4, 8), 'a5 a5 a5 a5 ff 01 a5 a5');
  t.ok(m.isUntouchedAround(L4 + 4, 2));
});

t.test('check refuses a cut datagram and a length that cannot be', async (t) => {
  const check = (length: string, len: number): boolean =>
    udp.check(memory(hex(`00 00 00 00 ${length} 00 00`), L4).v, L4, len);
  t.equal(check('00 08', 8), true, 'no payload');
  t.equal(check('00 08', 20), true, 'more bytes than the datagram has');
  t.equal(check('ff e3', 65507), true, 'the largest datagram');
  t.equal(check('00 08', 7), false, 'the header is cut');
  t.equal(check('00 08', 0), false, 'nothing');
  t.equal(check('00 09', 8), false, 'the payload is cut');
  t.equal(check('00 07', 8), false, 'shorter than its header');
  t.equal(check('00 00', 8), false, 'length 0');
});
