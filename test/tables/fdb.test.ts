/** The forwarding database: learning, moving, ageing, and what happens when it is full. */
import t from 'tap';
import { AGEING_MS, createFdb } from '../../src/tables/fdb.js';
import { random } from '../lib/random.js';

const alloc = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

t.test('an address is where it was last seen, in its segment only', async (t) => {
  const fdb = createFdb(alloc, 8, 1);
  fdb.learn(1, 0xa58, 5, 3, 0);
  t.equal(fdb.find(1, 0xa58, 5, 0), 3);
  t.equal(fdb.find(2, 0xa58, 5, 0), 0);
  fdb.learn(1, 0xa58, 5, 4, 10);
  t.equal(fdb.find(1, 0xa58, 5, 10), 4, 'it moved');
});

t.test('a full table forgets somebody and keeps the newcomer', async (t) => {
  const fdb = createFdb(alloc, 5, 1);
  for (let lo = 1; lo <= 10; lo++) {
    fdb.learn(1, 0, lo, lo, lo);
    t.equal(fdb.find(1, 0, lo, lo), lo);
  }
  const known = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter((lo) => fdb.find(1, 0, lo, 10) !== 0);
  t.equal(known.length, 4);
});

t.test('a port that is gone is forgotten with all that was behind it', async (t) => {
  const fdb = createFdb(alloc, 8, 1);
  for (const lo of [1, 2, 3]) fdb.learn(1, 0, lo, lo === 2 ? 9 : 8, 0);
  fdb.forgetPort(8);
  t.same(
    [1, 2, 3].map((lo) => fdb.find(1, 0, lo, 0)),
    [0, 9, 0],
  );
});

t.test('ages are differences: a clock that wraps does no harm', async (t) => {
  const fdb = createFdb(alloc, 8, 1);
  const end = 0x7fffffff;
  fdb.learn(1, 0, 1, 5, end);
  t.equal(fdb.find(1, 0, 1, (end + 1000) | 0), 5);
  t.equal(fdb.find(1, 0, 1, (end + AGEING_MS) | 0), 0);
});

t.test('it does what a Map with times does', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const chance = random(seed);
    const addresses = 30;
    const fdb = createFdb(alloc, addresses + 1, seed);
    const twin = new Map<number, { port: number; seen: number }>();
    let now = 0;
    for (let step = 0; step < 2000; step++) {
      now += chance.int(20_000);
      const lo = chance.int(addresses);
      switch (chance.int(4)) {
        case 0:
        case 1: {
          const port = 1 + chance.int(5);
          fdb.learn(1, 7, lo, port, now);
          twin.set(lo, { port, seen: now });
          break;
        }
        case 2:
          fdb.age(chance.int(10), now);
          break;
        case 3:
          if (chance.int(10) > 0) break;
          fdb.forgetPort(3);
          for (const [key, { port }] of twin) if (port === 3) twin.delete(key);
      }
      for (let one = 0; one < addresses; one++) {
        const entry = twin.get(one);
        const expected = entry && now - entry.seen < AGEING_MS ? entry.port : 0;
        if (fdb.find(1, 7, one, now) !== expected) {
          t.fail(`seed ${seed}, step ${step}, address ${one}`);
          return;
        }
      }
    }
  }
  t.pass();
});
