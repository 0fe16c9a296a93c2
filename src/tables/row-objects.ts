/**
 * Rows of a dumped table as objects, for programs: keys are the columns' names as JSON writes them (`RX-PACKETS` is `rxPackets`).
 *
 * Numbers are numbers, times are seconds, and where the text has `-` there is null. A column of two numbers,
 * `INI-PACKETS/BYTES`, is two keys: `iniPackets` and `iniBytes`. What has no number in the text stays text.
 */
import type { Cell, DumpedTable } from './dump.js';

export type RowObject = Record<string, Cell | null>;

/** Columns whose text is whole seconds. */
const TIMES = ['AGE', 'TIMEOUT', 'AFFINITY'];

/** One object a row. */
export function rowObjects({ headings, rows }: DumpedTable): RowObject[] {
  return rows.map((row) => Object.fromEntries(headings.flatMap((heading, i) => entriesOf(heading, row[i]!))));
}

function entriesOf(heading: string, cell: Cell): [key: string, value: Cell | null][] {
  const [first, second] = heading.split('/') as [string, string?];
  if (second !== undefined) {
    const values = String(cell).split('/').map(Number);
    const side = first.slice(0, first.lastIndexOf('-') + 1);
    return [first, side + second].map((name, i) => [keyOf(name), values[i]!]);
  }
  if (cell === '-') return [[keyOf(heading), null]];
  return [[keyOf(heading), TIMES.includes(heading) ? parseInt(String(cell), 10) : cell]];
}

/** `RX-PACKETS` → `rxPackets` */
const keyOf = (heading: string): string =>
  heading.toLowerCase().replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
