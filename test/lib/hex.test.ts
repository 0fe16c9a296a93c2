import t from 'tap';
import { concat, hex, memory, toHex } from './hex.js';

t.test('hex reads digits, white space and comments', async (t) => {
  t.same(hex('00 Ff\n1234  # a comment: 99\n\n  # another'), Uint8Array.of(0, 255, 18, 52));
  t.same(hex(''), new Uint8Array(0));
  t.throws(() => hex('0'), { message: 'Cannot read hex: the last byte has one digit' });
  t.throws(() => hex('0g'), { message: 'Cannot read hex: "g" is no digit' });
});

t.test('toHex writes what hex reads, sixteen bytes in a line', async (t) => {
  const bytes = Uint8Array.from({ length: 18 }, (_, i) => i);
  t.equal(toHex(bytes), '00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n10 11');
  t.same(hex(toHex(bytes)), bytes);
  t.same(concat(bytes.slice(0, 3), bytes.slice(3)), bytes);
});

t.test('memory shows what was written and what was not', async (t) => {
  const m = memory(hex('01 02'), 6);
  t.equal(m.show(5, 4), 'a5 01 02 a5');
  t.equal(m.v.getUint16(6), 0x0102);
  t.ok(m.isUntouchedAround(6, 2));
  t.notOk(m.isUntouchedAround(7, 1));
  t.notOk(m.isUntouchedAround(6, 1));
});
