import t from 'tap';
import * as ipv4 from '../../src/wire/ipv4.js';
import { hex, memory, toHex } from '../lib/hex.js';
import type { Memory } from '../lib/hex.js';
import { ipv4Frame, naiveChecksum, parsePacket } from '../lib/packets.js';
import { random } from '../lib/random.js';

const L3 = 24;

/** A header and nothing else, by the twin. */
const header = (fields: Omit<Parameters<typeof ipv4Frame>[0], 'payload'>, payloadLen = 0): Uint8Array =>
  ipv4Frame({ ...fields, payload: new Uint8Array(payloadLen) }).slice(14);

/** The header in a memory, taken apart by the twin. */
const parsed = (m: Memory, len = 20) => parsePacket(m.b.u8.slice(L3, L3 + len));

/** A header with a value of its own in every field. */
const PLAIN = hex(`
  45            # version 4, five words of header
  b9            # TOS: DSCP 46, ECN 1
  00 73         # 115 bytes
  be ef         # identification
  40 00         # flags: DF
  40            # TTL 64
  11            # protocol: UDP
  ae b9         # checksum
  c0 a8 00 01   # source 192.168.0.1
  0a a8 00 c7   # destination 10.168.0.199
`);

t.test('a header is taken apart', async (t) => {
  const { v, b } = memory(PLAIN, L3);
  t.ok(ipv4.check(v, L3, 115));
  t.equal(ipv4.headerLen(v, L3), 20);
  t.equal(ipv4.tos(v, L3), 0xb9);
  t.equal(ipv4.totalLen(v, L3), 115);
  t.equal(ipv4.id(v, L3), 0xbeef);
  t.equal(ipv4.hasDf(v, L3), true);
  t.equal(ipv4.hasMf(v, L3), false);
  t.equal(ipv4.fragmentOffset(v, L3), 0);
  t.equal(ipv4.isFragment(v, L3), false, 'DF makes no fragment');
  t.equal(ipv4.ttl(v, L3), 64);
  t.equal(ipv4.proto(v, L3), ipv4.UDP);
  t.equal(ipv4.src(v, L3), 0xc0a80001 | 0, 'addresses are signed');
  t.equal(ipv4.dst(v, L3), 0x0aa800c7);
  t.equal(ipv4.isChecksumRight(b, L3), true);
});

t.test('a header is put together', async (t) => {
  const m = memory();
  const fields = { totalLen: 115, id: 0xbeef, flags: ipv4.FLAG_DF, ttl: 64, proto: ipv4.UDP, tos: 0xb9 };
  ipv4.write(m.v, m.b, L3, { ...fields, src: 0xc0a80001 | 0, dst: 0x0aa800c7 });
  t.equal(m.show(L3, 20), toHex(PLAIN));
  t.ok(m.isUntouchedAround(L3, 20));
});

t.test('what is not said is 0 in a header that is put together', async (t) => {
  const m = memory();
  ipv4.write(m.v, m.b, L3, { totalLen: 20, ttl: 1, proto: ipv4.ICMP, src: 0, dst: -1 });
  const expected = header({ src: '0.0.0.0', dst: '255.255.255.255', ttl: 1, proto: 1 });
  t.equal(m.show(L3, 20), toHex(expected));
});

t.test('the pieces of a packet are fragments', async (t) => {
  const ends = { src: '10.0.0.1', dst: '10.0.0.2', proto: 17 };
  const pieces = [
    { name: 'first', mf: true, fragmentOffset: 0 },
    { name: 'middle', mf: true, fragmentOffset: 1480 },
    { name: 'last', mf: false, fragmentOffset: 2960 },
    { name: 'furthest', mf: false, fragmentOffset: 65528 },
  ];
  for (const { name, ...piece } of pieces) {
    const { v } = memory(header({ ...ends, ...piece }), L3);
    t.equal(ipv4.isFragment(v, L3), true, name);
    t.equal(ipv4.hasMf(v, L3), piece.mf);
    t.equal(ipv4.hasDf(v, L3), false);
    t.equal(ipv4.fragmentOffset(v, L3), piece.fragmentOffset);
  }
  const m = memory(PLAIN, L3);
  m.v.setUint16(L3 + 6, 0x8000);
  t.equal(ipv4.isFragment(m.v, L3), false, 'the reserved bit means nothing');
});

t.test('a header with options is as long as it says and sums up with them', async (t) => {
  for (const words of [1, 5, 10]) {
    const ipOptions = new Uint8Array(4 * words).fill(1);
    const bytes = header({ src: '10.0.0.1', dst: '10.0.0.2', proto: 6, ipOptions });
    const { v, b } = memory(bytes, L3);
    t.ok(ipv4.check(v, L3, bytes.length));
    t.equal(ipv4.headerLen(v, L3), 20 + 4 * words);
    t.equal(ipv4.isChecksumRight(b, L3), true);
    b.u8[L3 + 20]!++;
    t.equal(ipv4.isChecksumRight(b, L3), false, 'options count');
    ipv4.writeChecksum(b, L3);
    t.equal(ipv4.isChecksumRight(b, L3), true);
  }
});

t.test('check refuses lengths that do not agree, and other versions', async (t) => {
  const check = (first: string, total: string, len: number): boolean =>
    ipv4.check(memory(hex(`${first} 00 ${total}`), L3).v, L3, len);
  t.equal(check('45', '00 14', 20), true, 'a header without payload');
  t.equal(check('45', '00 14', 46), true, 'with Ethernet padding');
  t.equal(check('4f', '00 3c', 60), true, 'all options');
  t.equal(check('45', 'ff ff', 65535), true, 'the largest packet');
  t.equal(check('45', '00 14', 19), false, 'the header is cut');
  t.equal(check('45', '00 14', 0), false, 'nothing');
  t.equal(check('45', '00 15', 20), false, 'the packet is cut');
  t.equal(check('45', '00 13', 20), false, 'shorter than its header');
  t.equal(check('45', '00 00', 20), false, 'length 0');
  t.equal(check('46', '00 14', 60), false, 'shorter than its header with options');
  t.equal(check('46', '00 18', 20), false, 'the options are cut');
  t.equal(check('44', '00 14', 20), false, 'IHL 4');
  t.equal(check('40', '00 14', 20), false, 'IHL 0');
  t.equal(check('65', '00 14', 20), false, 'version 6');
  t.equal(check('05', '00 14', 20), false, 'version 0');
});

t.test('every flipped bit makes the checksum wrong', async (t) => {
  const unseen: number[] = [];
  for (let bit = 8; bit < 160; bit++) {
    const { b } = memory(PLAIN, L3);
    b.u8[L3 + (bit >> 3)]! ^= 1 << (bit & 7);
    if (ipv4.isChecksumRight(b, L3)) unseen.push(bit);
  }
  t.same(unseen, []);
});

t.test('decrementTtl counts down from 255 to 1, with the right checksum all the way', async (t) => {
  const rnd = random(1812);
  const wrong: string[] = [];
  for (let i = 0; i < 32; i++) {
    const bytes = header({
      src: rnd.bytes(4).join('.'),
      dst: rnd.bytes(4).join('.'),
      ttl: 255,
      proto: rnd.int(256),
    });
    const m = memory(bytes, L3);
    for (let ttl = 254; ttl >= 1; ttl--) {
      const isForwarded = ipv4.decrementTtl(m.b, L3);
      bytes[8] = ttl;
      bytes.set([0, 0], 10);
      const expected = naiveChecksum(bytes);
      if (!isForwarded || ipv4.ttl(m.v, L3) !== ttl || m.v.getUint16(L3 + 10) !== expected)
        wrong.push(`TTL ${ttl} of ${toHex(bytes)}`);
    }
    t.equal(ipv4.decrementTtl(m.b, L3), false, 'TTL 1 stays');
  }
  t.same(wrong, []);
});

t.test('decrementTtl leaves a header with TTL 0 or 1 as it is', async (t) => {
  for (const ttl of [0, 1]) {
    const bytes = header({ src: '10.0.0.1', dst: '10.0.0.2', proto: 6, ttl });
    const m = memory(bytes, L3);
    t.equal(ipv4.decrementTtl(m.b, L3), false);
    t.equal(m.show(L3, 20), toHex(bytes));
  }
});

t.test('decrementTtl carries over the end of the checksum', async (t) => {
  // One less in the high byte of a word is 0x100 more in the checksum. fe ff becomes 00 00, never ff ff (RFC 1624 §3).
  for (const [before, after] of [
    [0xfeff, 0x0000],
    [0xff00, 0x0001],
    [0xff01, 0x0002],
    [0xffff, 0x0100],
    [0x0000, 0x0100],
  ]) {
    const m = memory(header({ src: '10.0.0.1', dst: '10.0.0.2', proto: 6, ipChecksum: before }), L3);
    ipv4.decrementTtl(m.b, L3);
    t.equal(m.v.getUint16(L3 + 10), after, `from ${before!.toString(16)}`);
  }
});

t.test('decrementTtl does not make a wrong checksum right', async (t) => {
  const m = memory(header({ src: '10.0.0.1', dst: '10.0.0.2', proto: 6, ipChecksum: 0x1234 }), L3);
  ipv4.decrementTtl(m.b, L3);
  t.match(parsed(m), { ttl: 63, ipChecksumRight: false });
});

t.test('setEcn changes these two bits and the checksum, and makes no wrong checksum right', async (t) => {
  for (let tos = 0; tos < 256; tos++)
    for (const ecn of [ipv4.NOT_ECT, ipv4.ECT_1, ipv4.ECT_0, ipv4.CE]) {
      const fields = { src: '192.168.0.1', dst: '10.168.0.199', proto: 17, id: tos * 257 };
      const m = memory(header({ ...fields, tos }), L3);
      ipv4.setEcn(m.b, L3, ecn);
      const expected = memory(header({ ...fields, tos: (tos & 0xfc) | ecn }), L3);
      if (m.show(L3, 20) !== expected.show(L3, 20) || ipv4.ecn(m.v, L3) !== ecn)
        t.fail(`TOS ${tos}, ECN ${ecn}`);
      if (!m.isUntouchedAround(L3, 20)) t.fail('bytes around it changed');
    }
  const wrong = memory(header({ src: '1.2.3.4', dst: '5.6.7.8', proto: 6, tos: 2, ipChecksum: 0x1234 }), L3);
  ipv4.setEcn(wrong.b, L3, ipv4.CE);
  t.equal(ipv4.isChecksumRight(wrong.b, L3), false);
});

t.test('setLengthAndId equals a header that is put together afresh', async (t) => {
  const rnd = random(791);
  const wrong: string[] = [];
  const corners = [20, 0xff, 0x100, 0xfffe, 0xffff];
  for (let i = 0; i < 200; i++) {
    const ipOptions = new Uint8Array(4 * rnd.int(3)).fill(1);
    const fields = {
      src: rnd.bytes(4).join('.'),
      dst: rnd.bytes(4).join('.'),
      proto: 6,
      df: true,
      ipOptions,
    };
    const [oldId, newId] = [rnd.int(65536), rnd.pick([0, 1, 0xffff, rnd.int(65536)])];
    const len = 20 + ipOptions.length;
    const [oldLen, newLen] = [len + rnd.int(65000), Math.max(len, rnd.pick([...corners, rnd.int(65536)]))];
    const m = memory(header({ ...fields, id: oldId }, oldLen - len).slice(0, len), L3);
    ipv4.setLengthAndId(m.v, L3, newLen, newId);
    ipv4.writeChecksum(m.b, L3);
    const expected = header({ ...fields, id: newId }, newLen - len).slice(0, len);
    if (m.show(L3, len) !== toHex(expected) || !m.isUntouchedAround(L3, len))
      wrong.push(`${[oldLen, oldId]} → ${[newLen, newId]}`);
  }
  t.same(wrong, [], '200 changes');
});

t.test('random headers are put together as the twin does it', async (t) => {
  const rnd = random(792);
  const wrong: string[] = [];
  for (let i = 0; i < 500; i++) {
    const [srcWord, dstWord] = [rnd.int(2 ** 32) | 0, rnd.int(2 ** 32) | 0];
    const text = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
    const [df, mf, units] = [rnd.int(2) === 1, rnd.int(2) === 1, rnd.int(8192)];
    const common = { tos: rnd.int(256), id: rnd.int(65536), ttl: rnd.int(256), proto: rnd.int(256) };
    const payloadLen = rnd.int(100);
    const flags = (df ? ipv4.FLAG_DF : 0) | (mf ? ipv4.FLAG_MF : 0) | units;
    const m = memory();
    ipv4.write(m.v, m.b, L3, { ...common, flags, totalLen: 20 + payloadLen, src: srcWord, dst: dstWord });
    const ends = { src: text(srcWord), dst: text(dstWord) };
    const expected = header({ ...common, ...ends, df, mf, fragmentOffset: 8 * units }, payloadLen);
    if (m.show(L3, 20) !== toHex(expected.slice(0, 20))) wrong.push(toHex(expected.slice(0, 20)));
  }
  t.same(wrong, [], '500 headers');
});
