import { constants, createDeflate, createInflate } from 'node:zlib';
import t from 'tap';
import {
  controlFrame,
  createFrameReader,
  createHeaderReader,
  createHeaderWriter,
  dataHeader,
  DICTIONARY,
  goAway,
  ping,
  PING,
  rstStream,
  synReply,
  synStream,
  type Frame,
} from '../../../src/server/streams/spdy.js';
import { concat, hex } from '../../lib/hex.js';
import { random } from '../../lib/random.js';

/** RFC 1950 §9. */
function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b * 65536 + a;
}

/** Blocks as a client's zlib makes them: one stream, flushed after each. */
async function deflate(texts: readonly Uint8Array[]): Promise<Buffer[]> {
  const stream = createDeflate({ dictionary: DICTIONARY });
  const blocks: Buffer[] = [];
  for (const text of texts) {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.write(text);
    await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, resolve));
    stream.removeAllListeners('data');
    blocks.push(Buffer.concat(chunks));
  }
  stream.destroy();
  return blocks;
}

const word = (text: string): Buffer => {
  const bytes = Buffer.alloc(4 + text.length, text);
  bytes.writeUInt32BE(text.length);
  bytes.write(text, 4);
  return bytes;
};
const headerText = (headers: readonly (readonly [string, string])[]): Uint8Array =>
  concat(Buffer.of(0, 0, 0, headers.length), ...headers.flatMap((pair) => pair.map(word)));

t.test('the dictionary is that of SPDY/3', async (t) => {
  t.equal(DICTIONARY.length, 1423);
  t.equal(adler32(DICTIONARY), 0xe3c6a7c2, 'as every stream of header blocks names it: 78 bb e3 c6 a7 c2');
});

t.test('header blocks of one stream are read one by one', async (t) => {
  const headers = [
    [
      ['streamtype', 'error'],
      ['port', '80'],
      ['requestid', '0'],
    ],
    [
      ['Streamtype', 'data'],
      ['port', '80'],
      ['requestid', '0'],
    ],
    [],
    [['x', 'y'.repeat(3000)]],
    [['x', 'y'.repeat(3000)]],
  ] as const;
  const blocks = await deflate(headers.map(headerText));
  t.equal(blocks[0]!.toString('hex').slice(0, 12), '78bbe3c6a7c2');
  const read = createHeaderReader();
  for (const [i, expected] of headers.entries())
    t.strictSame(
      [...read(blocks[i]!)],
      expected.map(([name, value]) => [name.toLowerCase(), value]),
    );
});

t.test('header blocks that we write are read by zlib', async (t) => {
  const write = createHeaderWriter();
  const first = write(new Map([['a', 'bc']]));
  t.strictSame(
    Uint8Array.from(first),
    hex(`
      78 01                           # zlib, no dictionary
      00 0f00 f0ff                    # stored, 15 bytes, not the last
      00000001                        # one header
      00000001 61  00000002 6263      # a: bc
      00 0000 ffff                    # flushed
    `),
  );
  const inflate = createInflate();
  const chunks: Buffer[] = [];
  inflate.on('data', (chunk: Buffer) => chunks.push(chunk));
  inflate.write(first);
  inflate.write(write(new Map()));
  await new Promise<void>((resolve) => inflate.flush(resolve));
  t.equal(Buffer.concat(chunks).toString('hex'), '00000001000000016100000002626300000000');
  const read = createHeaderReader();
  const rewrite = createHeaderWriter();
  t.strictSame([...read(rewrite(new Map([['a', 'bc']])))], [['a', 'bc']]);
});

t.test('frames have their bits where the draft has them', async (t) => {
  t.strictSame(Uint8Array.from(dataHeader(5, 3, true)), hex('00000005 01 000003'));
  t.strictSame(Uint8Array.from(ping(7)), hex('80030006 00 000004 00000007'));
  t.strictSame(Uint8Array.from(rstStream(5, 3)), hex('80030003 00 000008 00000005 00000003'));
  t.strictSame(Uint8Array.from(goAway(9)), hex('80030007 00 000008 00000009 00000000'));
  t.strictSame(Uint8Array.from(synReply(1, hex('aa'))), hex('80030002 00 000005 00000001 aa'));
  t.strictSame(
    Uint8Array.from(synStream(3, hex('aa'), true)),
    hex('80030001 01 00000b 00000003 00000000 0000 aa'),
  );
});

t.test('frames are found however they are cut', async (t) => {
  const blocks = await deflate([
    headerText([['streamtype', 'stdin']]),
    headerText([['streamtype', 'error']]),
  ]);
  const stream = concat(
    synStream(1, blocks[0]!),
    ping(1),
    dataHeader(1, 5, false),
    Buffer.from('hello'),
    synStream(3, blocks[1]!, true),
    controlFrame(9, 0, hex('00000001 00001000')), // WINDOW_UPDATE, of no interest
    dataHeader(1, 0, true),
    rstStream(3, 5),
    goAway(0),
  );
  const expected = [
    'syn-stream 1 streamtype=stdin',
    'ping 1',
    'data 1 hello',
    'syn-stream 3 streamtype=error last',
    'data 1  last',
    'rst-stream 3',
    'goaway',
  ];
  const rnd = random(3);
  for (let round = 0; round < 100; round++) {
    const found: string[] = [];
    const read = createFrameReader((frame) => {
      const text = wordsOf(frame);
      const before = found.at(-1);
      if (
        frame.type === 'data' &&
        before?.startsWith('data') &&
        !before.endsWith('last') &&
        frame.bytes.length > 0
      )
        found[found.length - 1] = before + Buffer.from(frame.bytes).toString();
      else found.push(text);
    });
    for (let at = 0; at < stream.length;) {
      const end = at + 1 + rnd.int(round === 0 ? 1 : 30);
      read(stream.subarray(at, end));
      at = end;
    }
    t.strictSame(found, expected);
  }
});

function wordsOf(frame: Frame): string {
  const last = 'isLast' in frame && frame.isLast ? ' last' : '';
  if (frame.type === 'goaway') return frame.type;
  if (frame.type === 'data') return `data ${frame.id} ${Buffer.from(frame.bytes).toString()}${last}`;
  if (frame.type !== 'syn-stream') return `${frame.type} ${frame.id}`;
  return `syn-stream ${frame.id} ${[...frame.headers].map((pair) => pair.join('=')).join(' ')}${last}`;
}

t.test('what is not SPDY is refused with a RangeError, whatever it is', async (t) => {
  const none = (): void => {};
  t.throws(() => createFrameReader(none)(hex('80020001 00 000000')), /SPDY version 2/);
  t.throws(() => createFrameReader(none)(hex('80030001 00 ffffff')), /control frame of 16777215 bytes/);
  t.throws(() => createFrameReader(none)(hex('80030006 00 000002 0000')), /too short/);
  t.throws(() => createFrameReader(none)(synStream(1, hex('ffff'))), /not compressed by zlib/);
  const bomb = await deflate([concat(hex('00000001 00000001 61 00ffffff'), Buffer.alloc(1 << 20))]);
  t.throws(() => createHeaderReader()(bomb[0]!), /Cannot read a header block/);

  const rnd = random(11);
  const [block] = await deflate([headerText([['streamtype', 'stdin']])]);
  const whole = concat(synStream(1, block!), ping(1), dataHeader(1, 2, true), Buffer.from('ab'));
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = round % 2 === 0 ? Uint8Array.from(whole) : rnd.bytes(rnd.int(80));
    for (let n = rnd.int(4); n > 0; n--) bytes[rnd.int(bytes.length)] = rnd.int(256);
    try {
      createFrameReader(none)(bytes);
    } catch (error) {
      refused += 1;
      if (!(error instanceof RangeError))
        return t.fail(`${String(error)} of ${Buffer.from(bytes).toString('hex')}`);
    }
  }
  t.ok(refused > 300, `${refused} of 3000 were refused`);
});

t.test('a ping is told from others by its type alone', async (t) => {
  const found: Frame[] = [];
  createFrameReader((frame) => found.push(frame))(controlFrame(PING, 0, hex('80000001')));
  t.strictSame(found, [{ type: 'ping', id: 0x80000001 }]);
});
