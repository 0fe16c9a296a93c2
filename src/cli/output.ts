/** Tables, JSON and YAML on standard output. Lazily: YAML is loaded when it is asked for. */

import { CommandError, UsageError, type Io } from './verb.js';

/** The `-o` flag of verbs that print a table. */
export const OUTPUT = {
  type: 'string',
  short: 'o',
  value: 'FORMAT',
  help: 'json instead of a table',
} as const;

/**
 * Check the value of `-o`.
 *
 * @returns `table` when it was not given
 */
export function outputFormat<F extends string>(
  given: string | undefined,
  formats: readonly F[],
): F | 'table' {
  if (given === undefined) return 'table';
  if (!formats.includes(given as F))
    throw new UsageError(`There is no output format "${given}"; choose ${formats.join(', ')}`);
  return given as F;
}

export const printJson = (io: Io, value: unknown): void => {
  io.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
};

/** Quotes what readers of YAML 1.1 would take for a time or a boolean. */
export async function printYaml(io: Io, value: unknown): Promise<void> {
  const { stringify } = await import('yaml');
  io.stdout.write(stringify(value, { lineWidth: 0, version: '1.1' }));
}

/**
 * Columns as wide as their widest cell, three blanks apart, none at the end of a line.
 *
 * @param rows  the first is the heading
 */
export function formatTable(rows: readonly (readonly (string | number)[])[], indent = ''): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, String(cell).length)));
  return rows
    .map(
      (row) =>
        indent +
        row
          .map((cell, i) => String(cell).padEnd(widths[i]!))
          .join('   ')
          .trimEnd() +
        '\n',
    )
    .join('');
}

/** The whole of standard input. */
export async function readStdin(io: Io): Promise<string> {
  if (io.stdin.isTTY)
    throw new CommandError('Cannot read objects from a terminal; pipe a file in, or name it with -f');
  const chunks: Buffer[] = [];
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk as Buffer | string));
  return Buffer.concat(chunks).toString('utf8');
}
