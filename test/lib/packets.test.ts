import t from 'tap';
import { concat, hex, toHex } from './hex.js';
import * as packets from './packets.js';
import { arpReply, arpRequest, icmpEcho, icmpFrame, ipv4Frame, parseFrame } from './packets.js';
import { parsePacket, parseVxlan, tcpFrame, udpFrame, vxlan } from './packets.js';

// Every frame below was read by tcpdump -vvv, which found its checksums correct.

const ends = {
  srcMac: '0a:58:0a:f4:01:02',
  dstMac: '0a:58:0a:f4:01:fe',
  src: '10.244.1.2',
  dst: '10.244.2.3',
};

const ETHERNET = `
  0a 58 0a f4 01 fe   # destination: the router
  0a 58 0a f4 01 02   # source: a pod
  08 00               # type: IPv4
`;

const SYN = hex(`
  ${ETHERNET}
  45 00 00 2c         # version 4, 20 bytes of header; TOS 0; 44 bytes
  30 39 40 00         # identification 12345; DF
  40 06 f1 a6         # TTL 64; TCP; checksum
  0a f4 01 02         # source 10.244.1.2
  0a f4 02 03         # destination 10.244.2.3
  a0 00 00 50         # ports 40960 → 80
  de ad be ef         # sequence number
  00 00 00 00         # acknowledgment number
  60 02 fa f0         # 24 bytes of header; SYN; window 64240
  46 8d 00 00         # checksum; urgent pointer
  02 04 05 82         # option: maximum segment size 1410
`);
const syn = { ...ends, id: 12345, df: true, srcPort: 40960, dstPort: 80, seq: 0xdeadbeef, flags: 2 };

t.test('a TCP segment with options is put together and taken apart', async (t) => {
  const fields = { ...syn, options: hex('02 04 05 82') };
  t.equal(toHex(tcpFrame(fields)), toHex(SYN));
  t.match(parseFrame(SYN), { ...fields, etherType: 0x800, proto: 6, ttl: 64, tos: 0, headerLen: 20 });
  t.match(parseFrame(SYN), { totalLen: 44, window: 64240, ack: 0, checksum: 0x468d, ipChecksum: 0xf1a6 });
  t.match(parseFrame(SYN), { ipChecksumRight: true, l4ChecksumRight: true, payload: hex('') });
});

const QUERY = hex(`
  ${ETHERNET}
  45 b8 00 1f         # TOS b8: expedited forwarding; 31 bytes
  00 00 00 00         # identification 0; no flags
  05 11 9c 2a         # TTL 5; UDP; checksum
  0a f4 01 02         # source
  0a f4 02 03         # destination
  c0 00 00 35         # ports 49152 → 53
  00 0b 62 53         # 11 bytes; checksum
  61 62 63            # payload: abc
`);

t.test('a UDP datagram of odd length is put together and taken apart', async (t) => {
  const fields = { ...ends, tos: 0xb8, ttl: 5, srcPort: 49152, dstPort: 53, payload: hex('61 62 63') };
  t.equal(toHex(udpFrame(fields)), toHex(QUERY));
  t.match(parseFrame(QUERY), {
    ...fields,
    proto: 17,
    length: 11,
    ipChecksumRight: true,
    l4ChecksumRight: true,
  });
});

const ECHO = hex(`
  ${ETHERNET}
  45 00 00 20         # 32 bytes
  00 00 00 00         # identification 0; no flags
  40 01 61 f1         # TTL 64; ICMP; checksum
  0a f4 01 02         # source
  0a f4 02 03         # destination
  08 00 ee ca         # echo request; checksum
  04 d2 00 01         # identifier 1234; sequence number 1
  01 02 03 60         # payload
`);

t.test('an ICMP echo is put together and taken apart', async (t) => {
  const fields = { ...ends, echoId: 1234, echoSeq: 1, payload: hex('01 02 03 60') };
  t.equal(toHex(icmpEcho(fields)), toHex(ECHO));
  t.match(parseFrame(ECHO), { ...fields, icmpType: 8, isReply: false, l4ChecksumRight: true });
  t.match(parseFrame(icmpEcho({ ...fields, isReply: true })), {
    icmpType: 0,
    isReply: true,
    l4ChecksumRight: true,
  });
});

t.test('an ICMP error shows what it quotes, as far as that goes', async (t) => {
  const error = { ...ends, icmpType: 3, icmpCode: 4, rest: 1450 };
  const whole = parseFrame(icmpFrame({ ...error, payload: SYN.slice(14) }));
  t.match(whole, { ...error, l4ChecksumRight: true });
  t.match(whole.quoted, {
    ...ends,
    srcMac: undefined,
    dstMac: undefined,
    dstPort: 80,
    l4ChecksumRight: true,
  });
  const short = parseFrame(icmpFrame({ ...error, payload: SYN.slice(14, 14 + 28) }));
  t.match(short.quoted, { srcPort: 40960, seq: 0xdeadbeef, ipChecksumRight: true, totalLen: 44 });
  t.equal(short.quoted?.ack, undefined, 'not quoted');
  t.equal(short.quoted?.l4ChecksumRight, undefined, 'nobody can know');
});

const WHO_HAS = hex(`
  ff ff ff ff ff ff   # destination: broadcast
  0a 58 0a f4 01 02   # source
  08 06               # type: ARP
  00 01 08 00         # Ethernet; IPv4
  06 04 00 01         # lengths of addresses; request
  0a 58 0a f4 01 02   # sender MAC
  0a f4 01 02         # sender 10.244.1.2
  00 00 00 00 00 00   # target MAC: unknown
  0a f4 01 fe         # target 10.244.1.254
`);

t.test('ARP requests and replies are put together and taken apart', async (t) => {
  const pod = { senderMac: '0a:58:0a:f4:01:02', senderIp: '10.244.1.2' };
  t.equal(toHex(arpRequest({ ...pod, targetIp: '10.244.1.254' })), toHex(WHO_HAS));
  t.match(parseFrame(WHO_HAS), { ...pod, op: 1, targetIp: '10.244.1.254', dstMac: 'ff:ff:ff:ff:ff:ff' });
  const router = { senderMac: '0a:58:0a:f4:01:fe', senderIp: '10.244.1.254' };
  const reply = arpReply({ ...router, targetMac: pod.senderMac, targetIp: pod.senderIp });
  t.match(parseFrame(reply), { ...router, op: 2, dstMac: pod.senderMac, targetMac: pod.senderMac });
});

const OVER_VXLAN = concat(
  hex(`
    0e 58 c0 a8 32 02   # destination: the other host
    0e 58 c0 a8 32 01   # source: this host
    08 00               # type: IPv4
    45 00 00 5e         # 94 bytes: 20, 8, 8 and the inner frame of 58
    00 00 40 00         # DF
    40 11 55 3b         # TTL 64; UDP; checksum
    c0 a8 32 01         # source 192.168.50.1
    c0 a8 32 02         # destination 192.168.50.2
    c3 50 21 18         # ports 50000 → 8472
    00 4a 00 00         # 74 bytes; no checksum
    08 00 00 00         # flags: I
    00 00 01 00         # VNI 1
  `),
  SYN,
);

t.test('a frame travels inside of a VXLAN datagram', async (t) => {
  const outer = {
    srcMac: '0e:58:c0:a8:32:01',
    dstMac: '0e:58:c0:a8:32:02',
    src: '192.168.50.1',
    dst: '192.168.50.2',
    df: true,
    srcPort: 50000,
    dstPort: 8472,
    checksum: 0,
  };
  t.equal(toHex(udpFrame({ ...outer, payload: vxlan(SYN, { vni: 1 }) })), toHex(OVER_VXLAN));
  const found = parseFrame(OVER_VXLAN);
  t.match(found, { ...outer, l4ChecksumRight: true });
  t.same(parseVxlan(found.payload), { flags: 8, vni: 1, inner: SYN });
  t.same(parseVxlan(vxlan(SYN, { vni: 0xfffffe, flags: 0 })), { flags: 0, vni: 0xfffffe, inner: SYN });
});

t.test('a flipped bit makes one of the checksums wrong', async (t) => {
  const unseen: string[] = [];
  for (const frame of [SYN, QUERY, ECHO])
    for (let bit = 8 * 14; bit < 8 * frame.length; bit++) {
      const flipped = frame.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const { ipChecksumRight, l4ChecksumRight } = parseFrame(flipped);
      if (ipChecksumRight && l4ChecksumRight) unseen.push(`bit ${bit} of ${toHex(frame)}`);
    }
  t.same(unseen, []);
  const { ipChecksumRight } = parseFrame(udpFrame({ ...ends, srcPort: 1, dstPort: 2, ipChecksum: 0x1234 }));
  t.equal(ipChecksumRight, false);
  t.match(parseFrame(tcpFrame({ ...syn, checksum: 1 })), { checksum: 1, l4ChecksumRight: false });
});

t.test('an unfinished checksum is the sum of the pseudo header', async (t) => {
  const { checksum, l4ChecksumRight } = parseFrame(tcpFrame({ ...syn, checksum: 'unfinished' }));
  t.equal(checksum, packets.naiveSum(packets.pseudoHeader(syn.src, syn.dst, 6, 20)));
  t.equal(l4ChecksumRight, false);
});

t.test('a UDP checksum that comes out as 0 is sent as ffff', async (t) => {
  const fields = { ...ends, srcPort: 1, dstPort: 2 };
  const { checksum } = parseFrame(udpFrame({ ...fields, payload: hex('00 00') }));
  const payload = hex(checksum!.toString(16).padStart(4, '0'));
  t.match(parseFrame(udpFrame({ ...fields, payload })), { checksum: 0xffff, l4ChecksumRight: true });
});

t.test('fragments and headers with options are taken apart, Ethernet padding is not', async (t) => {
  const fields = { ...ends, mf: true, fragmentOffset: 1480, id: 7, ipOptions: hex('01 01 01 00') };
  const frame = ipv4Frame({ ...fields, proto: 17, payload: hex('aa bb') });
  const found = parseFrame(concat(frame, new Uint8Array(20)));
  t.match(found, { ...fields, headerLen: 24, totalLen: 26, ipChecksumRight: true, payload: hex('aa bb') });
  t.equal(found.srcPort, undefined, 'ports are in the first fragment');
  const first = parseFrame(
    ipv4Frame({ ...ends, mf: true, proto: 17, payload: hex('00 01 00 02 00 10 12 34') }),
  );
  t.match(first, { srcPort: 1, dstPort: 2, length: 16, fragmentOffset: 0 });
  t.equal(first.l4ChecksumRight, undefined, 'nobody can know');
});

t.test('a frame that is cut anywhere is taken apart as far as it goes', async (t) => {
  const wrong: string[] = [];
  for (const frame of [SYN, QUERY, ECHO, WHO_HAS])
    for (let len = 0; len < frame.length; len++) {
      const found = parseFrame(frame.slice(0, len));
      if (found.l4ChecksumRight) wrong.push(`${len} bytes of ${toHex(frame)}`);
    }
  t.same(wrong, []);
  t.equal(parsePacket(hex('45')).src, undefined);
});
