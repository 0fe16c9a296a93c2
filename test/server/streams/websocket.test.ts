/** A client that makes its WebSocket frames by hand (RFC 6455 §5.2), right ones and wrong ones. */
import t from 'tap';
import type { IncomingMessage } from 'node:http';
import { acceptChannels, V4, V5, type SocketChannels } from '../../../src/server/streams/websocket.js';
import { concat } from '../../lib/hex.js';
import { duplexPair } from '../../lib/duplex-pair.js';
import { random } from '../../lib/random.js';
import { until } from '../../lib/until.js';

const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

/** One frame. @param length  what it says, if not the truth */
function frame(
  opcode: number,
  payload: Uint8Array,
  { isLast = true, mask = true, rsv = 0, length = payload.length } = {},
) {
  const long =
    length < 126
      ? Buffer.of(length)
      : length < 65_536
        ? Buffer.of(126, length >> 8, length & 255)
        : Buffer.concat([Buffer.of(127), Buffer.from(length.toString(16).padStart(16, '0'), 'hex')]);
  long[0]! |= mask ? 0x80 : 0;
  const key = [0xa5, 0x5a, 0x01, 0xff];
  const body = payload.map((byte, i) => (mask ? byte ^ key[i % 4]! : byte));
  return concat(
    Buffer.of((isLast ? 0x80 : 0) | (rsv << 4) | opcode),
    long,
    ...(mask ? [Buffer.from(key)] : []),
    body,
  );
}
const message = (channel: number, text: string): Uint8Array =>
  Buffer.concat([Buffer.of(channel), Buffer.from(text)]);

/** What the server has sent, taken apart. */
function frames(bytes: Buffer): { opcode: number; payload: Buffer }[] {
  const found = [];
  while (bytes.length >= 2) {
    const short = bytes[1]! & 127;
    const at = short === 126 ? 4 : short === 127 ? 10 : 2;
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? bytes.readUInt32BE(6) : short;
    if (bytes.length < at + length) break;
    found.push({ opcode: bytes[0]! & 15, payload: bytes.subarray(at, at + length) });
    bytes = bytes.subarray(at + length);
  }
  return found;
}

async function connect(protocols = V5) {
  const [client, server] = duplexPair();
  let received = Buffer.alloc(0);
  client.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
  const headers = {
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': protocols,
  };
  const request = { method: 'GET', url: '/', headers } as unknown as IncomingMessage;
  const channels: SocketChannels = await acceptChannels(request, server, Buffer.alloc(0), [0, 4]);
  await until('it is answered', () => received.includes('\r\n\r\n'));
  const answer = () => received.toString('latin1', 0, received.indexOf('\r\n\r\n'));
  const sent = () => frames(received.subarray(received.indexOf('\r\n\r\n') + 4));
  return { client, server, channels, answer, sent };
}

t.test('wherever the bytes are cut, channels have what was sent, and their end', async (t) => {
  const bytes = concat(
    frame(BINARY, message(0, 'hello ')),
    frame(PING, Buffer.from('here?')),
    frame(BINARY, message(4, '{}')),
    frame(BINARY, message(0, 'wo'), { isLast: false }),
    frame(CONTINUATION, Buffer.from('rl'), { isLast: false }),
    frame(PONG, Buffer.alloc(0)),
    frame(CONTINUATION, Buffer.from('d')),
    frame(BINARY, Buffer.of(255, 0)),
    frame(BINARY, message(0, 'too late')),
  );
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { client, channels, sent } = await connect();
    // ws takes masks off in place.
    client.write(Uint8Array.from(bytes.subarray(0, cut)));
    client.write(Uint8Array.from(bytes.subarray(cut)));
    t.equal(Buffer.concat((await channels.input(0).toArray()) as Buffer[]).toString(), 'hello world');
    await until('the ping is answered', () => sent().length === 1);
    t.match(sent()[0], { opcode: PONG });
    t.equal(String(sent()[0]!.payload), 'here?');
    t.equal(String(channels.input(4).read()), '{}');
    client.destroy();
  }
});

t.test('the newest protocol that both speak is chosen; without one there is no answer', async (t) => {
  t.match((await connect(`${V5}, ${V4}`)).answer(), /101[^]*Sec-WebSocket-Protocol: v5\.channel\.k8s\.io$/im);
  t.match((await connect(`x, ${V4}`)).answer(), /Sec-WebSocket-Protocol: v4\.channel\.k8s\.io$/im);
  await t.rejects(connect('v9.channel.k8s.io'), { code: 400, message: /Cannot speak v9\.channel\.k8s\.io/ });
});

t.test('what is said comes with its channel’s number, and then goodbye', async (t) => {
  const { client, channels, sent } = await connect();
  const long = 'x'.repeat(70_000);
  channels.output(1).write('out');
  channels.output(2).write(long);
  channels.close();
  await until('all is there', () => sent().length === 3);
  t.same(
    sent().map(({ opcode }) => opcode),
    [BINARY, BINARY, CLOSE],
  );
  t.equal(String(sent()[0]!.payload), '\u0001out');
  t.equal(String(sent()[1]!.payload), `\u0002${long}`);
  t.equal(sent()[2]!.payload.readUInt16BE(), 1000);
  client.destroy();
});

t.test('what has no channel, or one that nobody reads, is left out', async (t) => {
  const { client, channels } = await connect();
  for (const payload of [
    Buffer.alloc(0),
    Buffer.of(0),
    message(1, 'x'),
    message(9, 'x'),
    Buffer.of(255),
    Buffer.of(255, 9),
  ])
    client.write(frame(BINARY, payload));
  client.write(frame(TEXT, message(0, 'as text')));
  client.write(frame(BINARY, Buffer.of(255, 0)));
  t.equal(String(Buffer.concat((await channels.input(0).toArray()) as Buffer[])), 'as text');
});

t.test('what is wrong ends the connection with a code, and the channels with it', async (t) => {
  const cases: [what: string, bytes: Uint8Array, code: number][] = [
    ['more than 4 MiB', frame(BINARY, message(0, 'x'), { length: 4 * 1024 * 1024 + 1 }), 1009],
    ['more than there is memory', frame(BINARY, message(0, 'x'), { length: 2 ** 50 }), 1009],
    ['no mask', frame(BINARY, message(0, 'x'), { mask: false }), 1002],
    ['an opcode that is not', frame(3, message(0, 'x')), 1002],
    ['a control opcode that is not', frame(11, message(0, 'x')), 1002],
    ['a reserved bit', frame(BINARY, message(0, 'x'), { rsv: 4 }), 1002],
    ['a continuation of nothing', frame(CONTINUATION, message(0, 'x')), 1002],
    ['a long ping', frame(PING, Buffer.alloc(126)), 1002],
    ['a ping in pieces', frame(PING, Buffer.alloc(1), { isLast: false }), 1002],
    ['text that is none', frame(TEXT, Buffer.of(0xff, 0xfe)), 1007],
  ];
  for (const [what, bytes, code] of cases) {
    const { client, server, channels, sent } = await connect();
    client.write(bytes);
    await until(`${what}: it is closed`, () => sent().at(-1)?.opcode === CLOSE);
    t.equal(sent().at(-1)!.payload.readUInt16BE(), code, what);
    client.end();
    t.equal((await channels.input(0).toArray()).length, 0, 'its channels end');
    await until('nothing is left', () => server.destroyed);
  }
});

t.test('a client that goes without a word ends its channels', async (t) => {
  const { client, channels } = await connect();
  client.write(frame(BINARY, message(0, 'half')).subarray(0, 4));
  client.destroy();
  t.same(await channels.input(0).toArray(), []);
  channels.output(1).write('to nobody');
});

t.test('a client that is far ahead of a reader waits, and loses nothing', async (t) => {
  const { client, server, channels } = await connect();
  const piece = 'y'.repeat(40_000);
  for (let i = 0; i < 20; i++) client.write(frame(BINARY, message(0, piece)));
  client.write(frame(BINARY, Buffer.of(255, 0)));
  await until('the connection has stopped', () => server.isPaused() || client.writableNeedDrain);
  t.equal(Buffer.concat((await channels.input(0).toArray()) as Buffer[]).length, 20 * piece.length);
});

t.test('whatever comes, the connection goes on or is closed', async (t) => {
  const { int, bytes, pick } = random(12);
  let closed = 0;
  for (let round = 0; round < 200; round++) {
    const { client, server, channels, sent } = await connect();
    const all = Uint8Array.from(
      concat(
        frame(BINARY, bytes(1 + int(20))),
        frame(PING, bytes(int(9))),
        frame(BINARY, Buffer.of(255, int(5))),
        frame(CLOSE, Buffer.of(3, 232)),
      ).subarray(),
    );
    for (let i = 1 + int(5); i > 0; i--) all[int(all.length)] = pick([0, 0x7e, 0x7f, 0x80, 0xff, int(256)]);
    channels.input(0).resume();
    channels.input(4).resume();
    client.write(all);
    await new Promise((resolve) => setImmediate(resolve));
    if (sent().some(({ opcode }) => opcode === CLOSE)) closed += 1;
    client.destroy();
    await until('nothing is left', () => server.destroyed);
  }
  t.ok(closed > 0, `${closed} of 200 were closed`);
});
