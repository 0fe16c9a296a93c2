import t from 'tap';
import * as ethernet from '../../src/wire/ethernet.js';
import { hex, memory } from '../lib/hex.js';
import { ethernetFrame, parseFrame } from '../lib/packets.js';

/** Headers begin at an even offset in the pool, not at 0. */
const L2 = 10;

const HEADER = `
  0a 58 0a f4 01 fe   # destination
  fe 58 8a f4 01 02   # source
  08 00               # type: IPv4
`;

t.test('a header is taken apart', async (t) => {
  const { v } = memory(hex(HEADER), L2);
  t.equal(ethernet.dstHi(v, L2), 0x0a58);
  t.equal(ethernet.dstLo(v, L2), 0x0af401fe);
  t.equal(ethernet.srcHi(v, L2), 0xfe58, 'two bytes are unsigned');
  t.equal(ethernet.srcLo(v, L2), 0x8af40102 | 0, 'four bytes are signed');
  t.equal(ethernet.type(v, L2), ethernet.TYPE_IPV4);
});

t.test('a header is put together', async (t) => {
  const m = memory();
  ethernet.setDst(m.v, L2, 0x0a58, 0x0af401fe);
  ethernet.setSrc(m.v, L2, 0xfe58, 0x8af40102 | 0);
  ethernet.setType(m.v, L2, ethernet.TYPE_IPV4);
  t.equal(m.show(L2, ethernet.HEADER_LEN), memory(hex(HEADER)).show(0, 14));
  t.ok(m.isUntouchedAround(L2, ethernet.HEADER_LEN));
});

t.test('each setter writes its field and no other', async (t) => {
  const m = memory();
  ethernet.setSrc(m.v, L2, 0x0102, 0x03040506);
  t.equal(m.show(L2, 14), 'a5 a5 a5 a5 a5 a5 01 02 03 04 05 06 a5 a5');
  ethernet.setType(m.v, L2, ethernet.TYPE_IPV6);
  t.equal(m.show(L2, 14), 'a5 a5 a5 a5 a5 a5 01 02 03 04 05 06 86 dd');
});

t.test('what is put together here is taken apart by the twin', async (t) => {
  const bytes = ethernetFrame({ etherType: 0, payload: hex('01') });
  const { v, b } = memory(bytes, L2);
  ethernet.setDst(v, L2, 0x3333, 1);
  ethernet.setSrc(v, L2, 0x0e58, 0xc0a83201 | 0);
  ethernet.setType(v, L2, ethernet.TYPE_VLAN);
  const expected = { dstMac: '33:33:00:00:00:01', srcMac: '0e:58:c0:a8:32:01', etherType: 0x8100 };
  t.match(parseFrame(b.u8.slice(L2, L2 + bytes.length)), { ...expected, payload: hex('01') });
});

t.test('multicast and broadcast are groups, a station is none', async (t) => {
  const isGroup = (mac: string): boolean => ethernet.isGroup(memory(hex(mac), L2).v, L2);
  t.ok(isGroup('ff ff ff ff ff ff'), 'broadcast');
  t.ok(isGroup('01 00 5e 00 00 01'), 'IPv4 multicast');
  t.ok(isGroup('33 33 00 00 00 01'), 'IPv6 multicast');
  t.notOk(isGroup('0a 58 0a f4 01 02'), 'a pod');
  t.notOk(isGroup('fe ff ff ff ff ff'), 'only the lowest bit of the first byte counts');
});

t.test('thirteen bytes are no header', async (t) => {
  t.equal(ethernet.check(14), true);
  t.equal(ethernet.check(1514), true);
  t.equal(ethernet.check(13), false);
  t.equal(ethernet.check(0), false);
});
