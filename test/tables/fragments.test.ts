/** Pieces of packets on their way, and the readable twin: an array with a flag for each eight bytes. */
import t from 'tap';
import { FRAGMENT_MS, createFragments } from '../../src/tables/fragments.js';
import { random } from '../lib/random.js';

const alloc = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

t.test('a packet is found by segment, addresses, identification and protocol, for a while', async (t) => {
  const table = createFragments(alloc, 8, 1);
  const row = table.begin(1, 2, 3, 4, 5, 0);
  t.equal(table.find(1, 2, 3, 4, FRAGMENT_MS - 1), row);
  t.equal(table.find(1, 2, 3, 4, FRAGMENT_MS), 0);
  for (const [segment, src, dst, idProto] of [
    [2, 2, 3, 4],
    [1, 9, 3, 4],
    [1, 2, 9, 4],
    [1, 2, 3, 9],
  ] as const)
    t.equal(table.find(segment, src, dst, idProto, 0), 0);
});

t.test('a packet of 64 KiB passes in pieces of eight bytes, each once', async (t) => {
  const table = createFragments(alloc, 4, 1);
  table.begin(1, 2, 3, 3, 5, 0);
  const row = table.begin(1, 2, 3, 4, 5, 0);
  const next = table.begin(1, 2, 3, 5, 5, 0);
  for (let from = 0; from < 65536; from += 8) if (!table.pass(row, from, from + 8)) t.fail(`at ${from}`);
  for (const from of [0, 8, 32768, 65528]) t.notOk(table.pass(row, from, from + 8));
  t.ok(table.pass(next, 0, 65528), 'and its neighbor’s marks are its own');
});

t.test('a row that is used again has no marks left', async (t) => {
  const table = createFragments(alloc, 2, 1);
  t.ok(table.pass(table.begin(1, 2, 3, 4, 5, 0), 0, 800));
  t.ok(table.pass(table.begin(1, 2, 3, 5, 5, 0), 0, 800), 'by another packet');
  t.ok(table.pass(table.begin(1, 2, 3, 5, 5, FRAGMENT_MS), 0, 800), 'by the same one, much later');
});

t.test('overlaps are those that the twin finds; a refused piece marks nothing', async (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const chance = random(seed);
    const table = createFragments(alloc, 4, seed);
    const row = table.begin(1, 2, 3, 4, 5, 0);
    const twin = new Array<boolean>(8192).fill(false);
    for (let step = 0; step < 300; step++) {
      const from = chance.int(200);
      const len = 1 + chance.int(100);
      const to = 8 * from + len;
      const blocks = twin.slice(from, Math.ceil(to / 8));
      const expected = !blocks.includes(true);
      if (table.pass(row, 8 * from, to) !== expected) {
        t.fail(`seed ${seed}, step ${step}: ${8 * from}..${to}`);
        return;
      }
      if (expected) twin.fill(true, from, Math.ceil(to / 8));
      if (step % 50 === 49) {
        table.begin(1, 2, 3, 4, 5, FRAGMENT_MS * step);
        twin.fill(false);
      }
    }
  }
  t.pass();
});
