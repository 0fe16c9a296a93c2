import t from 'tap';
import * as checksum from '../../src/wire/checksum.js';
import { hex, memory } from '../lib/hex.js';
import { naiveChecksum, naiveSum, pseudoHeader } from '../lib/packets.js';
import { random } from '../lib/random.js';

const { fold, finish, load, store, sum, swap16, swap32, update16, update32, updatePartial32 } = checksum;

/** The numbers at which a carry is won or lost. */
const CORNERS_16 = [0x0000, 0x0001, 0x00ff, 0x0100, 0x7fff, 0x8000, 0xff00, 0xfffe, 0xffff];
const CORNERS_32 = CORNERS_16.flatMap((hi) => [0x0000, 0x0001, 0xfffe, 0xffff].map((lo) => (hi << 16) | lo));

/** RFC 1071 §3: these eight bytes sum up to 2ddf0. */
const RFC_1071 = hex('00 01 f2 03 f4 f5 f6 f7');

/** The two bytes of a number as they stand on the wire, and the four of a word. */
const wire16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];
const wire32 = (word: number): number[] => [...wire16(word >>> 16), ...wire16(word)];

/** Sum, folded, in the byte order of the wire. */
const wireSum = (b: checksum.Bytes, at: number, len: number): number => swap16(fold(sum(b, at, len)));

t.test('the example of RFC 1071 §3 sums up to ddf2', async (t) => {
  const { b } = memory(RFC_1071);
  t.equal(wireSum(b, 0, 8), 0xddf2);
  t.equal(swap16(finish(sum(b, 0, 8))), 0x220d);
  t.equal(naiveSum(RFC_1071), 0xddf2, 'the twin says the same');
});

t.test('sum equals the naive one for every offset and every short length', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1071);
  const bytes = rnd.bytes(96);
  const { b } = memory(bytes);
  for (let at = 0; at < 12; at++)
    for (let len = 0; len <= 80; len++)
      if (wireSum(b, at, len) !== naiveSum(bytes.slice(at, at + len))) wrong.push(`${len} bytes at ${at}`);
  t.same(wrong, [], '12 offsets, 81 lengths');
});

t.test('sum equals the naive one for random runs up to the largest packet', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1072);
  const bytes = rnd.bytes(65536 + 16);
  const { b } = memory(bytes);
  for (let i = 0; i < 200; i++) {
    const at = rnd.int(16);
    const len = rnd.int(2) === 0 ? rnd.int(1600) : rnd.int(65536);
    if (wireSum(b, at, len) !== naiveSum(bytes.slice(at, at + len))) wrong.push(`${len} bytes at ${at}`);
  }
  t.same(wrong, [], '200 runs');
  t.equal(wireSum(b, 0, 65535), naiveSum(bytes.slice(0, 65535)), 'the largest packet');
});

t.test('a run full of ff sums up to ffff, a run full of 00 to 0', async (t) => {
  for (const len of [1, 2, 3, 4, 5, 20, 1460, 65534, 65535])
    for (const at of [0, 1, 2, 3]) {
      const { b } = memory(new Uint8Array(len).fill(0xff), at);
      t.equal(wireSum(b, at, len), len % 2 === 0 ? 0xffff : 0xff00, `${len} at ${at}`);
      t.equal(fold(sum(memory(new Uint8Array(len), at).b, at, len)), 0);
    }
});

t.test('sum reads nothing outside of its run', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1073);
  for (let at = 4; at < 12; at++)
    for (let len = 0; len < 20; len++) {
      const bytes = rnd.bytes(len);
      const one = memory(bytes, at);
      const other = memory(bytes, at);
      for (let i = 0; i < other.b.u8.length; i++) if (i < at || i >= at + len) other.b.u8[i] = rnd.int(256);
      if (sum(one.b, at, len) !== sum(other.b, at, len)) wrong.push(`${len} bytes at ${at}`);
    }
  t.same(wrong, [], '8 offsets, 20 lengths');
});

t.test('sums of pieces add up when every piece but the last has an even length', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1074);
  const bytes = rnd.bytes(301);
  const { b } = memory(bytes);
  for (let i = 0; i < 200; i++) {
    const cut = rnd.int(151) * 2;
    const inPieces = swap16(fold(sum(b, 0, cut) + sum(b, cut, bytes.length - cut)));
    if (inPieces !== naiveSum(bytes)) wrong.push(`cut at ${cut}`);
  }
  t.same(wrong, [], '200 cuts');
});

t.test('fold keeps the rest modulo ffff, and 0 only for 0', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1075);
  const totals = [0, 1, 0xfffe, 0xffff, 0x10000, 0x1ffff, 0x1fffe, 0xffffffff, 0x100000000, 0xffff00000000];
  totals.push(
    Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER - 1,
    2 ** 48 + 2 ** 32 - 1,
    0xfffeffff,
    0xfffe0001,
    0x1_fffe_ffff,
  );
  for (let i = 0; i < 2000; i++) totals.push(Math.floor(rnd.next() * 2 ** (1 + rnd.int(53))));
  for (const total of totals) {
    const rest = Number(BigInt(total) % 0xffffn);
    const expected = total === 0 ? 0 : rest === 0 ? 0xffff : rest;
    if (fold(total) !== expected) wrong.push(`fold(${total})`);
    if (finish(total) !== 0xffff - expected) wrong.push(`finish(${total})`);
  }
  t.same(wrong, [], `${totals.length} sums`);
  t.equal(fold(0x2ddf0), 0xddf2, 'the carry of RFC 1071 §3');
});

t.test('swap16 and swap32 turn wire order into machine order and back', async (t) => {
  t.equal(swap16(0x1234), 0x3412);
  t.equal(swap16(0xff00), 0x00ff);
  t.equal(swap32(0x12345678), 0x78563412);
  t.equal(swap32(0x000000ff), 0xff000000, 'unsigned');
  t.equal(swap32(-1), 0xffffffff);
  t.equal(swap32(0x80000001 | 0), 0x01000080);
});

t.test('a checksum is stored in the byte order in which it was summed', async (t) => {
  const m = memory(RFC_1071, 6);
  store(m.b, 14, finish(sum(m.b, 6, 8)));
  t.equal(m.show(14, 2), '22 0d');
  t.equal(load(m.b, 14), 0x0d22);
  t.equal(fold(sum(m.b, 6, 10)), 0xffff, 'the run with its checksum sums up');
  t.ok(m.isUntouchedAround(6, 10));
});

t.test('bytesOf wants whole words', async (t) => {
  t.throws(() => checksum.bytesOf(new ArrayBuffer(6)), RangeError);
  t.equal(checksum.bytesOf(new SharedArrayBuffer(8)).u32.length, 2, 'shared memory is as good');
});

t.test('pseudoIpv4 equals the sum of a pseudo header that is written out', async (t) => {
  const wrong: string[] = [];
  const rnd = random(768);
  for (let i = 0; i < 500; i++) {
    const header = rnd.bytes(20);
    const l3 = 2 * rnd.int(8);
    const proto = rnd.pick([6, 17]);
    const len = rnd.pick([8, 20, 255, 256, 0xff00, 0xffff, rnd.int(65536)]);
    const ip = (at: number): string => header.slice(at, at + 4).join('.');
    const got = swap16(fold(checksum.pseudoIpv4(memory(header, l3).b, l3, proto, len)));
    const expected = naiveSum(pseudoHeader(ip(12), ip(16), proto, len));
    if (got !== expected) wrong.push(`${ip(12)} ${ip(16)} ${proto} ${len}`);
  }
  t.same(wrong, [], '500 headers');
});

t.test('update16 gives 0000 for the example of RFC 1624 §4, where eq. 2 gave ffff', async (t) => {
  t.equal(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
  t.equal(swap16(update16(swap16(0xdd2f), swap16(0x5555), swap16(0x3285))), 0x0000, 'in either byte order');
});

t.test('update16 equals summing afresh, at every corner', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1624);
  for (const before of CORNERS_16)
    for (const after of CORNERS_16)
      for (const other of [1, 0xfffe, 0xffff, 1 + rnd.int(0xffff)]) {
        const old = naiveChecksum(wire16(before), wire16(other));
        const expected = naiveChecksum(wire16(after), wire16(other));
        if (update16(old, before, after) !== expected) wrong.push(`${[before, after, other]}`);
      }
  t.same(wrong, [], '81 changes');
});

t.test('update16 equals summing afresh for random headers, in both byte orders', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1625);
  for (let i = 0; i < 2000; i++) {
    const header = rnd.bytes(20);
    header[0] = 0x45;
    const at = 2 + 2 * rnd.int(9);
    const before = header[at]! * 256 + header[at + 1]!;
    const after = rnd.int(4) === 0 ? rnd.pick(CORNERS_16) : rnd.int(65536);
    const old = naiveChecksum(header);
    header.set(wire16(after), at);
    const expected = naiveChecksum(header);
    const got = update16(old, before, after);
    const gotSwapped = swap16(update16(swap16(old), swap16(before), swap16(after)));
    if (got !== expected || gotSwapped !== expected) wrong.push(`${[old, before, after]}`);
  }
  t.same(wrong, [], '2000 headers');
});

t.test('update32 equals summing afresh for signed words, in both byte orders', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1626);
  const changes = CORNERS_32.flatMap((before) => CORNERS_32.map((after) => [before, after] as const));
  for (let i = 0; i < 2000; i++) changes.push([rnd.int(2 ** 32) | 0, rnd.int(2 ** 32) | 0]);
  for (const [before, after] of changes) {
    const other = 1 + rnd.int(0xffff);
    const old = naiveChecksum(wire32(before), wire16(other));
    const expected = naiveChecksum(wire32(after), wire16(other));
    const got = update32(old, before, after);
    const gotSwapped = swap16(update32(swap16(old), swap32(before), swap32(after)));
    if (got !== expected || gotSwapped !== expected) wrong.push(`${[old, before, after]}`);
  }
  t.same(wrong, [], `${changes.length} changes`);
});

t.test('a change and its reverse give the checksum back', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1627);
  for (let i = 0; i < 1000; i++) {
    const [before, after] = [rnd.int(2 ** 32) | 0, rnd.int(2 ** 32) | 0];
    const old = naiveChecksum([0x45], wire32(before));
    if (update32(update32(old, before, after), after, before) !== old) wrong.push(`${[before, after]}`);
  }
  t.same(wrong, [], '1000 changes');
});

t.test('updatePartial32 equals the sum with the new word, at every corner', async (t) => {
  const wrong: string[] = [];
  for (const before of CORNERS_32)
    for (const after of CORNERS_32)
      for (const other of [1, 0x00ff, 0x8000, 0xfffe, 0xffff]) {
        const old = naiveSum(wire32(before), wire16(other));
        const expected = naiveSum(wire32(after), wire16(other));
        if (updatePartial32(old, before, after) !== expected) wrong.push(`${[before, after, other]}`);
      }
  t.same(wrong, []);
  t.equal(updatePartial32(1, 0, 0), 1, 'two carries');
});

t.test('updatePartial32 equals the pseudo header sum with the new address', async (t) => {
  const wrong: string[] = [];
  const rnd = random(1628);
  const changes = CORNERS_32.flatMap((before) => CORNERS_32.map((after) => [before, after] as const));
  for (let i = 0; i < 2000; i++) changes.push([rnd.int(2 ** 32) | 0, rnd.int(2 ** 32) | 0]);
  const ip = (word: number): string => wire32(word).join('.');
  for (const [before, after] of changes) {
    const peer = ip(rnd.int(2 ** 32));
    const len = 8 + rnd.int(65000);
    const old = naiveSum(pseudoHeader(ip(before), peer, 6, len));
    const expected = naiveSum(pseudoHeader(ip(after), peer, 6, len));
    const got = updatePartial32(old, before, after);
    const gotSwapped = swap16(updatePartial32(swap16(old), swap32(before), swap32(after)));
    if (got !== expected || gotSwapped !== expected) wrong.push(`${[old, before, after]}`);
  }
  t.same(wrong, [], `${changes.length} changes`);
});
