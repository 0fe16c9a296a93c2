import t from 'tap';
import * as dns from '../../src/wire/dns.js';
import { hex } from '../lib/hex.js';

t.test('names', async (t) => {
  const table: [bytesText: string, end: number, plainEnd: number, text: string | undefined, what: string][] =
    [
      ['00', 1, 1, '', 'the root'],
      ['03575757 02636f 00', 8, 8, 'www.co', 'two labels, lower case as text'],
      ['03612e62 00', 5, 5, 'a\\.b', 'a dot inside of a label'],
      ['02 5cff 00', 4, 4, '\\\\\u00ff', 'a backslash and a byte beyond ASCII'],
      ['01 61 c00c', 4, -1, undefined, 'a pointer at the end'],
      ['01 61 c0', -1, -1, undefined, 'half a pointer'],
      ['01 61', -1, -1, undefined, 'no end'],
      ['05 6161', -1, -1, undefined, 'a label that is cut'],
      ['40 61 00', -1, -1, undefined, 'label type 01'],
      ['80 61 00', -1, -1, undefined, 'label type 10'],
      [('3f' + '61'.repeat(63)).repeat(3) + '3d' + '61'.repeat(61) + '00', 255, 255, undefined, '255 bytes'],
      [('3f' + '61'.repeat(63)).repeat(3) + '3e' + '61'.repeat(62) + '00', -1, -1, undefined, '256 bytes'],
    ];
  for (const [bytesText, end, plainEnd, text, what] of table) {
    const bytes = hex(bytesText);
    t.equal(dns.skipName(bytes, 0, bytes.length), end, what);
    t.equal(dns.skipPlainName(bytes, 0, bytes.length), plainEnd, what);
    if (text !== undefined) t.equal(dns.nameText(bytes, 0), text, what);
  }
});

t.test('a walk over records', async (t) => {
  const bytes = hex(`
    01 61 00   0001 0001 00000005 0004 0a000001  # a. 5 IN A 10.0.0.1
    c000       0010 0001 ffffffff 0000           # a. IN TXT, no data
  `);
  const seen: number[][] = [];
  t.equal(
    dns.walkRecords(bytes, 0, bytes.length, 2, (...record) => seen.push(record)),
    bytes.length,
  );
  t.same(seen, [
    [0, 3, 13, 4, 0],
    [17, 19, 29, 0, 1],
  ]);
  t.equal(dns.i32(bytes, 19 + 4), -1);
  for (let end = 0; end < bytes.length; end++)
    t.equal(
      dns.walkRecords(bytes, 0, end, 2, () => {}),
      -1,
      `cut to ${end}`,
    );
});
