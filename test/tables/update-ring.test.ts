/** Rows on their way from one thread to the other: whole transactions, in order, round the end of the ring and of its counters. */
import t from 'tap';
import { createStaticTable, type StaticTable } from '../../src/tables/static-table.js';
import { UpdateRing, type RowChange } from '../../src/tables/update-ring.js';
import { random } from '../lib/random.js';

const alloc = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes);
const table = (columns: readonly string[], rows = 16): StaticTable =>
  createStaticTable(alloc, 't', columns, rows);

/** A ring as both threads see it, whose counters stand at `start`. */
function ends(words: number, start = 0): { writer: UpdateRing; reader: UpdateRing } {
  const memory = UpdateRing.alloc(alloc, words);
  new Int32Array(memory).fill(start | 0, 0, 2);
  return { writer: new UpdateRing(memory), reader: new UpdateRing(memory) };
}

const change = (row: number, ...words: number[]): RowChange => ({
  table: 0,
  row,
  words: Int32Array.from(words),
});

t.test('a transaction is seen whole, once it was written', async (t) => {
  const { writer, reader } = ends(64);
  const rows = table(['a', 'b']);
  t.notOk(reader.hasNews());
  const mark = writer.write([change(1, 10, 11), change(2, 20, 21)])!;
  t.ok(reader.hasNews());
  t.notOk(writer.isSeen(mark));
  const seen: number[] = [];
  reader.apply([rows], (_, row) => seen.push(row));
  t.same(seen, [1, 2]);
  t.same(rows.row(1), [10, 11]);
  t.same(rows.row(2), [20, 21]);
  t.ok(writer.isSeen(mark));
  t.notOk(reader.hasNews());
});

t.test('a full ring takes nothing, and takes it after the reader’s turn', async (t) => {
  const { writer, reader } = ends(8);
  const rows = table(['a', 'b']);
  t.type(writer.write([change(1, 1, 1), change(2, 2, 2)]), 'number');
  t.equal(writer.write([change(3, 3, 3)]), undefined);
  reader.apply([rows]);
  t.type(writer.write([change(3, 3, 3)]), 'number');
  t.throws(() => writer.write([1, 2, 3].map((row) => change(row, 1, 1))), RangeError);
});

t.test('an empty transaction is seen at once', async (t) => {
  const { writer } = ends(8);
  t.ok(writer.isSeen(writer.write([])!));
});

t.test('random transactions arrive as they were written, also where counters wrap', async (t) => {
  // 2^32 words after the start the counters are 0 again; 2^31 after it they turn negative.
  for (const start of [0, 0x7fffff00, -1, -100, 0xfffffff0])
    for (let seed = 1; seed <= 5; seed++) {
      const chance = random(seed);
      const { writer, reader } = ends(64, start);
      const written = [table(['a', 'b', 'c']), table(['d', 'e', 'f', 'g', 'h'])];
      const applied = [table(['a', 'b', 'c']), table(['d', 'e', 'f', 'g', 'h'])];
      const marks: number[] = [];
      for (let step = 0; step < 3000; step++) {
        const changes: RowChange[] = [];
        for (let i = chance.int(8); i > 0; i--) {
          const which = chance.int(2);
          const words = Int32Array.from(written[which]!.columnNames, () => (chance.next() * 2 ** 32) | 0);
          changes.push({ table: which, row: 1 + chance.int(15), words });
        }
        const mark = writer.write(changes);
        if (mark === undefined) {
          if (marks.some((one) => writer.isSeen(one))) t.fail('seen, but not applied');
          reader.apply(applied);
          if (!marks.every((one) => writer.isSeen(one))) t.fail('applied, but not seen');
          marks.length = 0;
          for (const [i, one] of written.entries())
            for (let row = 1; row < 16; row++)
              if (one.row(row).join() !== applied[i]!.row(row).join()) {
                t.fail(`start ${start}, seed ${seed}, step ${step}, row ${row}`);
                return;
              }
          continue;
        }
        if (changes.length > 0) marks.push(mark);
        for (const { table: which, row, words } of changes) written[which]!.setRow(row, words, 0);
      }
    }
  t.pass();
});

t.test('what is being written is not applied: a transaction cannot be torn', async (t) => {
  const { writer, reader } = ends(64);
  const rows = table(['a', 'b']);
  // The reader takes its turn while the writer walks through the second change.
  const second = {
    table: 0,
    row: 2,
    get words() {
      reader.apply([rows]);
      return Int32Array.of(2, 2);
    },
  };
  writer.write([change(1, 1, 1), second]);
  t.notOk(rows.isUsed(1), 'nothing of it was there');
  reader.apply([rows]);
  t.same(
    [rows.row(1), rows.row(2)],
    [
      [1, 1],
      [2, 2],
    ],
  );
});
