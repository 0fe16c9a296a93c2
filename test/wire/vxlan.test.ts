import t from 'tap';
import * as ethernet from '../../src/wire/ethernet.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as udp from '../../src/wire/udp.js';
import * as vxlan from '../../src/wire/vxlan.js';
import { hex, memory, toHex } from '../lib/hex.js';
import { vxlan as twin } from '../lib/packets.js';

const AT = 52;

const HEADER = hex(`
  08            # flags: I
  00 00 00      # reserved
  fe dc ba      # VNI 16702650
  00            # reserved
`);

t.test('a header is taken apart', async (t) => {
  const { v } = memory(HEADER, AT);
  t.ok(vxlan.check(HEADER.length));
  t.equal(vxlan.hasVni(v, AT), true);
  t.equal(vxlan.vni(v, AT), 0xfedcba, 'unsigned');
});

t.test('a header is put together', async (t) => {
  const m = memory();
  vxlan.write(m.v, AT, 0xfedcba);
  t.equal(m.show(AT, vxlan.HEADER_LEN), toHex(HEADER));
  t.ok(m.isUntouchedAround(AT, vxlan.HEADER_LEN));
  t.equal(toHex(twin(new Uint8Array(0), { vni: 0xfedcba })), toHex(HEADER), 'as the twin does it');
});

t.test('every VNI survives the way there and back', async (t) => {
  const { v } = memory();
  for (const vni of [0, 1, 0xff, 0x100, 0x7fffff, 0x800000, vxlan.MAX_VNI]) {
    vxlan.write(v, AT, vni);
    t.equal(vxlan.vni(v, AT), vni);
    t.equal(vxlan.hasVni(v, AT), true);
  }
});

t.test('only the I flag counts; what is reserved is not looked at', async (t) => {
  const { v } = memory(hex('ff ff ff ff 00 00 01 ff'), AT);
  t.equal(vxlan.hasVni(v, AT), true);
  t.equal(vxlan.vni(v, AT), 1);
  for (const flags of ['00', 'f7']) {
    const { v } = memory(hex(`${flags} 00 00 00 00 00 01 00`), AT);
    t.equal(vxlan.hasVni(v, AT), false, `flags ${flags}`);
  }
});

t.test('seven bytes are no header', async (t) => {
  t.equal(vxlan.check(8), true);
  t.equal(vxlan.check(7), false);
  t.equal(vxlan.check(0), false);
});

t.test(
  'the overhead is all that stands in front of the inner packet, but the outer Ethernet header',
  async (t) => {
    const headers = ipv4.MIN_HEADER_LEN + udp.HEADER_LEN + vxlan.HEADER_LEN + ethernet.HEADER_LEN;
    t.equal(vxlan.OVERHEAD, headers);
    t.equal(1500 - vxlan.OVERHEAD, 1450, 'the MTU of a pod on an Ethernet');
  },
);
