import t from 'tap';
import * as virtioNet from '../../src/wire/virtio-net.js';
import { hex, memory, toHex } from '../lib/hex.js';

const AT = 6;

// What the kernel puts in front of a TCP super-frame: 14 + 20 + 32 bytes of headers. Little-endian.
const SUPER_FRAME = hex(`
  01      # flags: needs a checksum
  81      # a TCP super-frame over IPv4, the first segment has CWR
  42 00   # 66 bytes of headers
  82 f5   # 62850 bytes of payload in each segment
  22 00   # checksum starts at byte 34
  10 01   # and is stored 272 bytes behind
`);

t.test('a header is taken apart', async (t) => {
  const { v } = memory(SUPER_FRAME, AT);
  t.equal(virtioNet.flags(v, AT), virtioNet.NEEDS_CSUM);
  t.equal(virtioNet.gsoType(v, AT), virtioNet.GSO_TCPV4 | virtioNet.GSO_ECN);
  t.equal(virtioNet.hdrLen(v, AT), 66);
  t.equal(virtioNet.gsoSize(v, AT), 62850, 'unsigned');
  t.equal(virtioNet.csumStart(v, AT), 34);
  t.equal(virtioNet.csumOffset(v, AT), 272);
});

t.test('a header is put together', async (t) => {
  const m = memory();
  const gsoType = virtioNet.GSO_TCPV4 | virtioNet.GSO_ECN;
  virtioNet.write(m.v, AT, virtioNet.NEEDS_CSUM, gsoType, 66, 62850, 34, 272);
  t.equal(m.show(AT, virtioNet.HEADER_LEN), toHex(SUPER_FRAME));
  t.ok(m.isUntouchedAround(AT, virtioNet.HEADER_LEN));
});

t.test('a frame that asks for nothing has a header full of zeros', async (t) => {
  const m = memory();
  virtioNet.write(m.v, AT, 0, virtioNet.GSO_NONE, 0, 0, 0, 0);
  t.equal(m.show(AT, virtioNet.HEADER_LEN), '00 00 00 00 00 00 00 00 00 00');
});

t.test('flags and kinds are the numbers of linux/virtio_net.h', async (t) => {
  t.same([virtioNet.NEEDS_CSUM, virtioNet.DATA_VALID], [1, 2]);
  const { GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN } = virtioNet;
  t.same([GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN], [0, 1, 3, 4, 5, 0x80]);
});
