/** The flow table and its readable twin, a Map of both directions' tuples. */
import t from 'tap';
import {
  Conntrack,
  FLAGS,
  FLAG_REPLIED,
  FROM_INI,
  FROM_TGT,
  ROW_WORDS,
  SEEN_MS,
  STATE,
  TIMEOUT_MS,
} from '../../src/tables/conntrack.js';
import { random } from '../lib/random.js';

type Tuple = [number, number, number, number, number, number, number, number, number, number];
const alloc = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

/** The tuple of an IPv4 flow, or of an IPv6 one where `high` is not 0. */
const tuple = (src: number, dst: number, ports: number, high = 0): Tuple => [
  high,
  0,
  high === 0 ? 0xffff : 0,
  src,
  high,
  0,
  high === 0 ? 0xffff : 0,
  dst,
  ports,
  (1 << 8) | 6,
];
const reversed = (one: Tuple): Tuple => [
  ...(one.slice(4, 8) as [number, number, number, number]),
  ...(one.slice(0, 4) as [number, number, number, number]),
  (one[8] << 16) | (one[8] >>> 16),
  one[9],
];

function add(flows: Conntrack, one: Tuple, now: number, timeoutMs: number, replied = false): number {
  const row = flows.take(now);
  flows.setTuple(row, FROM_INI, ...one);
  flows.setTuple(row, FROM_TGT, ...reversed(one));
  const at = row * ROW_WORDS;
  flows.words[at + STATE] = 1;
  flows.words[at + SEEN_MS] = now;
  flows.words[at + TIMEOUT_MS] = timeoutMs;
  flows.words[at + FLAGS] = replied ? FLAG_REPLIED : 0;
  flows.link(row);
  return row;
}

const find = (flows: Conntrack, one: Tuple, now: number): number =>
  flows.find(flows.hash(...one), ...one, now);

t.test('a flow is found from both sides, and the number tells which', async (t) => {
  const flows = new Conntrack(alloc, 8, 1);
  const one = tuple(1, 2, (1000 << 16) | 80);
  const row = add(flows, one, 0, 100);
  t.equal(find(flows, one, 0), row * 2 + FROM_INI);
  t.equal(find(flows, reversed(one), 0), row * 2 + FROM_TGT);
  t.equal(find(flows, tuple(1, 2, (1000 << 16) | 81), 0), 0);
});

t.test('upper words of an address count: IPv6 flows with equal ends are different', async (t) => {
  const flows = new Conntrack(alloc, 8, 1);
  const rows = [5, 6, 7].map((high) => add(flows, tuple(1, 2, 3, high), 0, 100));
  t.same(
    [5, 6, 7].map((high) => find(flows, tuple(1, 2, 3, high), 0) >> 1),
    rows,
  );
});

t.test('a flow that was silent for too long is not found, and makes room', async (t) => {
  const flows = new Conntrack(alloc, 2, 1);
  add(flows, tuple(1, 2, 3), 0, 100);
  t.equal(find(flows, tuple(1, 2, 3), 100), 0);
  add(flows, tuple(1, 2, 4), 100, 100);
  t.equal(flows.evicted, 0, 'nobody alive had to go');
});

t.test('who gives way: never replied before replied, then the longest silent', async (t) => {
  const flows = new Conntrack(alloc, 5, 1);
  add(flows, tuple(1, 1, 1), 0, 10_000, true);
  add(flows, tuple(2, 2, 2), 50, 10_000);
  add(flows, tuple(3, 3, 3), 20, 10_000);
  add(flows, tuple(4, 4, 4), 10, 10_000, true);
  const known = (): number[] => [1, 2, 3, 4].filter((i) => find(flows, tuple(i, i, i), 100) !== 0);
  add(flows, tuple(9, 9, 1), 100, 10_000, true);
  t.same(known(), [1, 2, 4]);
  add(flows, tuple(9, 9, 2), 100, 10_000, true);
  t.same(known(), [1, 4]);
  add(flows, tuple(9, 9, 3), 100, 10_000, true);
  t.same(known(), [4]);
  t.equal(flows.evicted, 3);
});

t.test('a flow to itself is one flow', async (t) => {
  const flows = new Conntrack(alloc, 8, 1);
  const one = tuple(1, 1, (5 << 16) | 5);
  const row = add(flows, one, 0, 100);
  t.equal(find(flows, one, 0) >> 1, row);
  flows.remove(row);
  t.equal(find(flows, one, 0), 0);
});

t.test('it does what a Map does, through timeouts, removals and rows used again', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const chance = random(seed);
    const flows = new Conntrack(alloc, 64, seed);
    const twin = new Map<string, { row: number; ends: number }>();
    const tuples = Array.from({ length: 40 }, (_, i) =>
      tuple(i & 3, 8 + (i & 4), i << 16, i % 5 === 0 ? i : 0),
    );
    let now = 0;
    for (let step = 0; step < 3000; step++) {
      now += chance.int(10);
      const one = chance.pick(tuples);
      const entry = twin.get(one.join());
      const isAlive = entry !== undefined && entry.ends > now;
      switch (chance.int(4)) {
        case 0:
          if (isAlive) break;
          {
            const timeout = 1 + chance.int(300);
            // A flow that has timed out may still lie in the table; a new one is found before it.
            twin.set(one.join(), { row: add(flows, one, now, timeout), ends: now + timeout });
          }
          break;
        case 1:
          if (!isAlive) break;
          flows.remove(entry.row);
          twin.delete(one.join());
          break;
        case 2:
          if (!isAlive) break;
          flows.words[entry.row * ROW_WORDS + SEEN_MS] = now;
          entry.ends = now + flows.words[entry.row * ROW_WORDS + TIMEOUT_MS]!;
          break;
        case 3:
          flows.age(chance.int(16), now);
      }
      for (const each of tuples) {
        const expected = twin.get(each.join());
        const row = expected && expected.ends > now ? expected.row : 0;
        if (find(flows, each, now) >> 1 !== row || find(flows, reversed(each), now) >> 1 !== row) {
          t.fail(`seed ${seed}, step ${step}`);
          return;
        }
      }
    }
    flows.age(1000, now + 1_000_000);
    if (flows.size !== 0) t.fail(`seed ${seed}: ${flows.size} rows are lost`);
  }
  t.pass();
});
