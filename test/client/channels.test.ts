import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import t from 'tap';
import { openChannels } from '../../src/client/channels.js';
import { header } from '../../src/wire/channel-frame.js';
import { duplexPair } from '../lib/duplex-pair.js';
import { random } from '../lib/random.js';
import { until } from '../lib/until.js';

const collect = async (stream: Readable): Promise<Buffer> =>
  Buffer.concat((await stream.toArray()) as Buffer[]);

t.test('channels share a connection, and each ends by itself', async (t) => {
  const [near, far] = duplexPair();
  const here = openChannels(near, near, [1]);
  const there = openChannels(far, far, [0, 4]);
  const bytes = Buffer.from(random(7).bytes(300_000));
  const sent = pipeline(Readable.from([bytes]), here.output(0));
  here.output(4).end('small');
  const [large, small] = await Promise.all([collect(there.input(0)), collect(there.input(4))]);
  t.ok(large.equals(bytes));
  t.equal(small.toString(), 'small');
  await sent;
  there.output(1).end('back');
  t.equal((await collect(here.input(1))).toString(), 'back');
});

t.test('who does not read stops who writes', async (t) => {
  const [near, far] = duplexPair();
  const output = openChannels(near, near, []).output(1);
  const input = openChannels(far, far, [1]).input(1);
  let taken = 0;
  const pieces = Readable.from(
    (function* () {
      for (let i = 0; i < 1000; i++) {
        taken += 10_000;
        yield Buffer.alloc(10_000, i);
      }
    })(),
  );
  const sent = pipeline(pieces, output);
  await until('it has stopped', () => near.writableNeedDrain || far.isPaused());
  const before = taken;
  t.ok(before < 1_000_000, `${before} bytes are under way`);
  t.equal((await collect(input)).length, 10_000_000);
  await sent;
});

t.test('an input that is thrown away does not keep the others', async (t) => {
  const [near, far] = duplexPair();
  const here = openChannels(near, near, []);
  const there = openChannels(far, far, [1, 2]);
  there.input(1).destroy();
  const sent = pipeline(Readable.from([Buffer.alloc(1_000_000)]), here.output(1));
  here.output(2).end('heard');
  t.equal((await collect(there.input(2))).toString(), 'heard');
  await sent;
});

t.test('what breaks off does not look whole', async (t) => {
  for (const breakOff of ['end', 'destroy'] as const) {
    const [near, far] = duplexPair();
    openChannels(near, near, []).output(1).write('half');
    const input = openChannels(far, far, [1]).input(1);
    await until('the half has come', () => input.readableLength === 4);
    near[breakOff]();
    await t.rejects(collect(input), { message: 'The connection ended' }, breakOff);
  }
  const [near, far] = duplexPair();
  const input = openChannels(far, far, [1]).input(1);
  near.write(header(9, 5));
  near.write('xxxxx');
  await t.rejects(collect(input), { message: 'Cannot read channel 9: it was not agreed on' });
});
