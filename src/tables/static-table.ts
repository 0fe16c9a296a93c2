/**
 * A table that the control side writes and the packet side only reads: ports, segments, neighbors, routes, vteps.
 *
 * A row is as many int32 words as the table has columns. Row ids begin at 1 and live as long as the object behind them;
 * a row whose first column is 0 is empty. Rows change only through {@link StaticTable.setRow}, which the worker calls for
 * each row of a transaction between two batches.
 */
import { allocColumns, type Alloc, type Columns } from './memory.js';

/** What all static tables look like to the update ring and to dumps. */
export interface StaticTable {
  readonly name: string;
  /** Names of the columns, in the order of the words of a row. */
  readonly columnNames: readonly string[];
  /** Rows are 1 .. capacity-1. */
  readonly capacity: number;
  /** Put a row: `words[at .. at + columnNames.length)`. All zero empties it. */
  setRow(row: number, words: Int32Array, at: number): void;
  /** Whether the row is in use. */
  isUsed(row: number): boolean;
  /** The words of a row, for dumps. */
  row(row: number): number[];
}

/**
 * Make the columns of a static table.
 *
 * @param reindex  called before (`isOld`) and after a row in use changes, to keep look-up structures in step
 */
export function createStaticTable<Name extends string>(
  alloc: Alloc,
  name: string,
  columnNames: readonly Name[],
  capacity: number,
  reindex?: (columns: Columns<Name>, row: number, isOld: boolean) => void,
): StaticTable & { readonly columns: Columns<Name> } {
  const columns = allocColumns(alloc, columnNames, capacity);
  const list = columnNames.map((column) => columns[column]);
  const first = list[0]!;
  return {
    name,
    columnNames,
    capacity,
    columns,
    setRow(row, words, at) {
      if (first[row] !== 0) reindex?.(columns, row, true);
      for (let i = 0; i < list.length; i++) list[i]![row] = words[at + i]!;
      if (first[row] !== 0) reindex?.(columns, row, false);
    },
    isUsed: (row) => first[row] !== 0,
    row: (row) => list.map((column) => column[row]!),
  };
}
