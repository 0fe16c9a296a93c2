import t from 'tap';
import { createReader, header, MAX_LEN, STDERR, STDOUT } from '../../src/wire/channel-frame.js';
import { concat, hex } from '../lib/hex.js';
import { random } from '../lib/random.js';

t.test('a header has a channel and a length', async (t) => {
  t.strictSame(header(STDERR, 0x1234), hex('02 00001234'));
  t.strictSame(header(STDOUT, 0), hex('01 00000000'), 'the end of a channel');
});

t.test('frames are found however they are cut', async (t) => {
  const rnd = random(1);
  for (let round = 0; round < 200; round++) {
    const sent = Array.from({ length: 1 + rnd.int(8) }, () => {
      const bytes = rnd.bytes(rnd.int(4) === 0 ? 0 : rnd.int(300));
      return { channel: rnd.int(5), bytes };
    });
    const stream = concat(...sent.flatMap(({ channel, bytes }) => [header(channel, bytes.length), bytes]));
    const found: string[] = [];
    let part = '';
    const read = createReader((channel, bytes) => {
      part += Buffer.from(bytes ?? []).toString('hex');
      if (part.length < 2 * sent[found.length]!.bytes.length) return;
      found.push(`${channel} ${part || 'end'}`);
      part = '';
    });
    for (let at = 0; at < stream.length;) {
      const end = at + 1 + rnd.int(40);
      read(stream.subarray(at, end));
      at = end;
    }
    t.strictSame(
      found,
      sent.map(({ channel, bytes }) => `${channel} ${Buffer.from(bytes).toString('hex') || 'end'}`),
    );
  }
});

t.test('what is no frame is refused', async (t) => {
  const read = createReader(() => {});
  t.doesNotThrow(() => read(header(0, MAX_LEN)));
  const another = createReader(() => {});
  t.throws(() => another(hex('00 00010001')), /Cannot read a frame of 65537 bytes: at most 65536/);
});
