/** A client that writes frames byte by byte, and what the server makes of them. */
import t from 'tap';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { openSpdy, type SpdyStream } from '../../../src/server/streams/spdy-connection.js';
import {
  CANCEL,
  createFrameReader,
  createHeaderWriter,
  dataHeader,
  ping,
  rstStream,
  synStream,
  type Frame,
} from '../../../src/server/streams/spdy.js';
import { concat } from '../../lib/hex.js';
import { duplexPair } from '../../lib/duplex-pair.js';
import { random } from '../../lib/random.js';
import { until } from '../../lib/until.js';

const text = (value: string): Uint8Array => Buffer.from(value);
const data = (id: number, bytes: Uint8Array, isLast = false): Uint8Array =>
  concat(dataHeader(id, bytes.length, isLast), bytes);

/** A connection; what the client has got, and the streams that the server was told of. */
function connection() {
  const [client, server] = duplexPair();
  const opened: SpdyStream[] = [];
  const got: Frame[] = [];
  const spdy = openSpdy(server, (stream) => opened.push(stream));
  const read = createFrameReader((frame) => got.push(frame));
  client.on('data', (chunk: Buffer) => read(chunk));
  const writeHeaders = createHeaderWriter();
  const open = (id: number, isLast = false): Uint8Array =>
    synStream(id, writeHeaders(new Map([['streamtype', `s${id}`]])), isLast);
  return { client, server, opened, got, spdy, open };
}

/** What comes until the end; what is written stays open. */
async function rest(duplex: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(duplex, 'end');
  return Buffer.concat(chunks).toString('latin1');
}

t.test('wherever the bytes are cut, streams have their headers, their data and their end', async (t) => {
  const talk = (open: (id: number) => Uint8Array) =>
    concat(
      open(1),
      data(1, text('hello ')),
      open(3),
      ping(7),
      data(1, text('world'), true),
      data(3, text('x'), true),
    );
  const { length } = talk(connection().open);
  for (let cut = 0; cut <= length; cut++) {
    const { client, opened, got, open } = connection();
    const bytes = talk(open);
    client.write(bytes.subarray(0, cut));
    client.write(bytes.subarray(cut));
    await until('both are there', () => opened.length === 2);
    t.equal(await rest(opened[0]!.duplex), 'hello world');
    t.equal(await rest(opened[1]!.duplex), 'x');
    t.same(
      opened.map(({ headers }) => headers.get('streamtype')),
      ['s1', 's3'],
    );
    const answers = got.map(({ type }) => type);
    t.same(
      answers.filter((type) => type === 'ping'),
      ['ping'],
      'a ping is answered once',
    );
  }
});

t.test('each side of a stream ends by itself, and what is long is cut into frames', async (t) => {
  const { client, opened, got, open } = connection();
  client.write(open(1, true));
  await until('it is open', () => opened.length === 1);
  const { duplex } = opened[0]!;
  t.equal(await rest(duplex), '', 'the client had nothing to say');
  const bytes = random(3).bytes(200_000);
  duplex.end(bytes);
  const frames = () => got.flatMap((frame) => (frame.type === 'data' ? [frame] : []));
  await until('it has ended', () => frames().at(-1)?.isLast);
  t.ok(frames().every((frame) => frame.bytes.length <= 65_536));
  t.ok(Buffer.concat(frames().map((frame) => frame.bytes)).equals(bytes));
});

t.test('RST_STREAM breaks one stream, and what was under way for it is no error', async (t) => {
  const { client, server, opened, open } = connection();
  client.write(concat(open(1), open(3), data(1, text('a'))));
  await until('both are there', () => opened.length === 2);
  const broken = new Promise<Error>((resolve) => opened[0]!.duplex.once('error', resolve));
  client.write(
    concat(rstStream(1, CANCEL), data(1, text('late')), rstStream(99, CANCEL), data(99, text('?'))),
  );
  t.match(await broken, /The client has ended the stream/);
  client.write(data(3, text('fine'), true));
  t.equal(await rest(opened[1]!.duplex), 'fine');
  t.notOk(server.destroyed);
});

t.test('a stream that we give up is reset', async (t) => {
  const { client, opened, got, open } = connection();
  client.write(open(1));
  await until('it is open', () => opened.length === 1);
  opened[0]!.duplex.destroy();
  await until('the client hears', () => got.some(({ type }) => type === 'rst-stream'));
  t.match(got.at(-1), { type: 'rst-stream', id: 1 });
});

t.test('ids that no client may use are refused, one by one', async (t) => {
  const { client, opened, got, open } = connection();
  client.write(concat(open(5), open(2), open(3), open(5)));
  await until('all are answered', () => got.length === 3);
  t.equal(opened.length, 1);
  t.match(
    got,
    [2, 3, 5].map((id) => ({ type: 'rst-stream', id })),
  );
});

t.test('too many streams are refused, and those that are there go on', async (t) => {
  const { client, opened, got, open } = connection();
  for (let id = 1; id <= 4001; id += 2) client.write(open(id));
  await until('all are answered', () => got.length === 1);
  t.equal(opened.length, 2000);
  t.match(got.at(-1), { type: 'rst-stream', id: 4001 });
  client.write(data(1, text('still'), true));
  t.equal(await rest(opened[0]!.duplex), 'still');
});

t.test('a client that is far ahead of a reader waits, and loses nothing', async (t) => {
  const { client, server, opened, open } = connection();
  client.write(open(1));
  await until('it is open', () => opened.length === 1);
  const piece = random(4).bytes(50_000);
  for (let i = 0; i < 20; i++) client.write(data(1, piece, i === 19));
  await until('the connection has stopped', () => server.isPaused());
  t.equal((await rest(opened[0]!.duplex)).length, 20 * piece.length);
});

t.test('with the connection all streams break', async (t) => {
  const { client, opened, open } = connection();
  client.write(concat(open(1), open(3)));
  await until('both are there', () => opened.length === 2);
  const broken = opened.map(({ duplex }) => new Promise<Error>((resolve) => duplex.once('error', resolve)));
  client.end();
  for (const error of await Promise.all(broken)) t.match(error, /The connection has ended/);
});

t.test('goodbye is said after all that was written', async (t) => {
  const { client, opened, got, open, spdy } = connection();
  client.write(open(1));
  await until('it is open', () => opened.length === 1);
  opened[0]!.duplex.write('last');
  spdy.end();
  await until(
    'the client hears',
    () => got.some(({ type }) => type !== 'data' && type !== 'ping') && client.readableEnded,
  );
  t.ok(got.some((frame) => frame.type === 'data' && Buffer.from(frame.bytes).toString() === 'last'));
});

t.test('whatever comes, the connection goes on or is closed', async (t) => {
  const { int, bytes, pick } = random(11);
  let closed = 0;
  for (let round = 0; round < 300; round++) {
    const { client, server, opened, open } = connection();
    const parts = [
      open(1),
      data(1, bytes(int(40))),
      ping(int(9)),
      open(3, true),
      rstStream(int(5), int(9)),
      data(int(9), bytes(int(9)), true),
    ];
    const all = Uint8Array.from(concat(...parts));
    for (let i = int(6); i > 0; i--) all[int(all.length)] = pick([0, 1, 0x80, 0xff, int(256)]);
    for (const stream of opened) stream.duplex.resume();
    const cut = int(all.length);
    client.write(all.subarray(0, cut));
    client.write(all.subarray(cut));
    await new Promise((resolve) => setImmediate(resolve));
    for (const stream of opened) stream.duplex.resume();
    if (server.destroyed) closed += 1;
    else server.destroy();
    t.ok(opened.length <= 2);
  }
  t.ok(closed > 0, `${closed} of 300 were closed`);
});
