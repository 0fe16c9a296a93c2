import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { BATCH, UdpBatch, type Answerer, type Peer } from '../../src/dns/udp-batch.js';
import { close } from '../../src/sys/io.js';
import { openUdp } from '../../src/sys/udp.js';
import { until } from '../lib/until.js';

interface Client {
  readonly socket: Socket;
  readonly port: number;
  readonly got: string[];
}

async function client(t: Test): Promise<Client> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const got: string[] = [];
  socket.on('message', (message) => void got.push(message.toString('latin1')));
  return { socket, port: socket.address().port, got };
}

/** A batch on a socket of its own, and what was left to be sent later. */
function batch(t: Test, answer: Answerer) {
  const { fd, port } = openUdp({ address: '127.0.0.1', port: 0, gro: false, gso: false });
  t.teardown(() => close(fd));
  const left: { peer: Peer; answer: string }[] = [];
  const one = new UdpBatch(fd, answer, (peer, bytes) =>
    left.push({ peer, answer: Buffer.from(bytes).toString('latin1') }),
  );
  return { one, port, left };
}

const send = (from: Client, port: number, text: string | Buffer): Promise<void> =>
  new Promise((resolve, reject) =>
    from.socket.send(text, port, '127.0.0.1', (error) => (error ? reject(error) : resolve())),
  );

const echo: Answerer = (message, answer) =>
  answer(Buffer.from(`re ${Buffer.from(message).toString('latin1')}`));

t.test('all that wait are taken, and each answer goes to whoever asked', async (t) => {
  const { one, port, left } = batch(t, echo);
  const clients = [await client(t), await client(t)];
  const COUNT = BATCH + 7;
  const texts = (who: number): string[] => Array.from({ length: COUNT }, (_, i) => `${who}:${i}`);
  for (let i = 0; i < COUNT; i++) for (const who of [0, 1]) await send(clients[who]!, port, texts(who)[i]!);
  let taken = 0;
  await until('all are there', () => (taken += one.drain()) === 2 * COUNT);
  for (const who of [0, 1]) {
    await until('all are answered', () => clients[who]!.got.length === COUNT);
    t.same(
      clients[who]!.got,
      texts(who).map((text) => `re ${text}`),
    );
  }
  t.same(left, []);
  t.equal(one.drain(), 0);
});

t.test('an answer that comes later is left to the caller, with the address of whoever asked', async (t) => {
  const waiting: (() => void)[] = [];
  const { one, port, left } = batch(t, (message, answer) => {
    const text = Buffer.from(message);
    waiting.push(() => answer(text));
  });
  const [a, b] = [await client(t), await client(t)];
  await send(a, port, 'of a');
  await send(b, port, 'of b');
  let taken = 0;
  await until('both are there', () => (taken += one.drain()) === 2);
  // Their places in the batch are somebody else's by now.
  await send(b, port, 'another');
  await until('it is there', () => one.drain() === 1);
  for (const say of waiting) say();
  t.same(left, [
    { peer: { address: '127.0.0.1', port: a.port }, answer: 'of a' },
    { peer: { address: '127.0.0.1', port: b.port }, answer: 'of b' },
    { peer: { address: '127.0.0.1', port: b.port }, answer: 'another' },
  ]);
});

t.test('a datagram that came otherwise is answered first', async (t) => {
  const { one, port, left } = batch(t, echo);
  const a = await client(t);
  const full = Array.from({ length: BATCH }, (_, i) => String(i));
  for (const text of full) await send(a, port, text);
  const taken = one.answer(Buffer.from('first'), { address: '127.0.0.1', port: a.port });
  t.equal(taken, BATCH, 'loopback delivers at once');
  await until('all are answered', () => a.got.length === BATCH + 1);
  t.same(
    a.got,
    ['first', ...full].map((text) => `re ${text}`),
  );
  t.same(left, []);
});

t.test('an answer that is too long for its place is left to the caller', async (t) => {
  const long = 'x'.repeat(4000);
  const { one, port, left } = batch(t, (_, answer) => answer(Buffer.from(long)));
  const a = await client(t);
  await send(a, port, 'q');
  await until('it is there', () => one.drain() === 1);
  t.same(left, [{ peer: { address: '127.0.0.1', port: a.port }, answer: long }]);
});

t.test('the longest and the shortest datagram are whole, and what is dropped is not answered', async (t) => {
  const seen: number[] = [];
  const { one, port } = batch(t, (message, answer) => {
    seen.push(message.length);
    if (message.length > 0) answer(Buffer.from(`${message.length} ${message.at(-1)}`));
  });
  const a = await client(t);
  const longest = Buffer.alloc(65507, 1);
  longest[65506] = 9;
  await send(a, port, longest);
  await send(a, port, Buffer.alloc(0));
  let taken = 0;
  await until('both are there', () => (taken += one.drain()) === 2);
  t.same(seen, [65507, 0]);
  await until('one is answered', () => a.got.length === 1);
  t.same(a.got, ['65507 9']);
});
