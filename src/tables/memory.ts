/**
 * Where tables live: memory of the caller, in columns of int32.
 *
 * All memory comes from one `alloc(bytes)` at start and never grows: in the daemon it is shared memory, so that the main
 * thread can read what the packet worker writes; in tests and in the simulator plain ArrayBuffers.
 */

/** Gives zeroed memory whose size never changes. */
export type Alloc = (bytes: number) => ArrayBufferLike;

/** One Int32Array per name, all of one length. */
export type Columns<Name extends string> = { readonly [K in Name]: Int32Array };

/** Bytes that {@link allocColumns} asks for. */
export function allocColumns<Name extends string>(
  alloc: Alloc,
  names: readonly Name[],
  rows: number,
): Columns<Name> {
  const buffer = alloc(names.length * rows * 4);
  return Object.fromEntries(
    names.map((name, i) => [name, new Int32Array(buffer, i * rows * 4, rows)]),
  ) as Columns<Name>;
}

/** The smallest power of two that is not below `n`. */
export const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(n, 2)));
