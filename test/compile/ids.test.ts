/** Ids against a search from the front: the lowest that is free, the lowest run that fits. */
import t from 'tap';
import { FreeIds } from '../../src/compile/free-ids.js';
import { Ids } from '../../src/compile/image.js';
import { CAPACITIES } from '../../src/tables/tables.js';
import { random } from '../lib/random.js';

/** More than two levels of words, and no power of two. */
const MANY = 40_000;

t.test('the lowest free id is found wherever others are free, and none in a full table', async (t) => {
  const ids = new FreeIds(MANY);
  for (let id = 0; id < MANY; id++) {
    if (ids.next(0) !== id) return t.fail(`${ids.next(0)} is said to be the lowest, ${id} is`);
    ids.take(id);
  }
  t.equal(ids.next(0), MANY);
  for (const id of [0, 31, 32, 1023, 1024, 32_767, 32_768, MANY - 1]) {
    ids.free(id);
    for (const from of [0, id - 1, id]) t.equal(ids.next(Math.max(from, 0)), id, `${id} from ${from}`);
    t.equal(ids.next(id + 1), MANY, `none behind ${id}`);
    ids.take(id);
  }
  t.notOk(ids.isFree(MANY), 'nor is any behind the end');
});

t.test('ids and runs are the lowest that fit, whatever came and went', async (t) => {
  const capacity = 300;
  const ids = new Ids({ ...CAPACITIES, ranges: capacity });
  const { int } = random(7);
  const taken = new Set([0]);
  const held: { keys: string[]; first: number }[] = [];
  const lowest = (length: number): number => {
    const fits = (first: number): boolean =>
      Array.from({ length }, (_, i) => first + i).every((id) => !taken.has(id));
    let first = 1;
    while (!fits(first)) first++;
    return first;
  };
  let refused = 0;
  for (let turn = 0; turn < 3000; turn++) {
    if (held.length > 0 && int(9) < 4) {
      const [{ keys, first }] = held.splice(int(held.length), 1) as [(typeof held)[number]];
      for (const [i, key] of keys.entries()) {
        ids.free('ranges', key);
        taken.delete(first + i);
      }
      continue;
    }
    const length = 1 + int(8);
    const first = lowest(length);
    const take = (): number => ids.run('ranges', `${turn}`, length);
    if (first + length > capacity) {
      refused++;
      t.throws(take, { name: 'RangeError' });
      continue;
    }
    const got = take();
    if (got !== first) return t.fail(`turn ${turn}: ${length} from ${got}, from ${first} they fit`);
    for (let i = 0; i < length; i++) taken.add(first + i);
    held.push({ keys: Array.from({ length }, (_, i) => ids.keyInRun(`${turn}`, length, i)), first });
  }
  t.ok(refused > 0, 'the table was full now and then');
});
