/** The index and its readable twin, a Map. */
import t from 'tap';
import { HashIndex } from '../../src/tables/hash-index.js';
import { random } from '../lib/random.js';

type Key = [number, number, number, number, number];
const alloc = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

t.test('a key that was never set has row 0', async (t) => {
  const index = new HashIndex(alloc, 4, 1);
  t.equal(index.find(1, 2, 3, 4, 5), 0);
  index.delete(1, 2, 3, 4, 5);
  t.equal(index.find(0, 0, 0, 0, 0), 0, 'nor has the key of all zeros');
});

t.test('every word of a key counts', async (t) => {
  const index = new HashIndex(alloc, 8, 1);
  index.set(1, 2, 3, 4, 5, 7);
  for (let i = 0; i < 5; i++) {
    const key: Key = [1, 2, 3, 4, 5];
    key[i] = -1;
    t.equal(index.find(...key), 0, `word ${i}`);
  }
  t.equal(index.find(1, 2, 3, 4, 5), 7);
});

t.test('a key that is set again has its new row', async (t) => {
  const index = new HashIndex(alloc, 8, 1);
  index.set(1, 2, 3, 4, 5, 7);
  index.set(1, 2, 3, 4, 5, 8);
  t.equal(index.find(1, 2, 3, 4, 5), 8);
  index.delete(1, 2, 3, 4, 5);
  t.equal(index.find(1, 2, 3, 4, 5), 0);
});

t.test('it does what a Map does, however keys collide', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const chance = random(seed);
    const rows = 1 + chance.int(40);
    const index = new HashIndex(alloc, rows, seed);
    const twin = new Map<string, number>();
    // Few different keys, so that they meet often; at most as many as rows were promised.
    const keys = Array.from({ length: rows }, (_, i): Key => [i & 1, -(i & 6), i << 24, 0, i]);
    for (let step = 0; step < 2000; step++) {
      const key = chance.pick(keys);
      if (chance.int(2) === 0) {
        const row = 1 + chance.int(1000);
        index.set(...key, row);
        twin.set(key.join(), row);
      } else {
        index.delete(...key);
        twin.delete(key.join());
      }
      const wrong = keys.filter((one) => index.find(...one) !== (twin.get(one.join()) ?? 0));
      if (wrong.length > 0) {
        t.fail(`seed ${seed}, step ${step}: ${wrong.join(' | ')}`);
        return;
      }
    }
  }
  t.pass();
});
