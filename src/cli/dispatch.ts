/**
 * From the words of a command line to a verb, and from its outcome to an exit code: 0 done, 1 failed, 2 bad usage.
 * The edge where errors are caught and become sentences.
 */

import { parseArgs } from 'node:util';
import { helpOf, overview } from './help.js';
import { UsageError, type Flags, type Io, type Options, type Verb } from './verb.js';
import { VERBS, type VerbRow } from './verbs.js';

/**
 * Run one command line.
 *
 * @param words  what follows `podwire`
 * @returns      the exit code
 */
export async function dispatch(
  words: readonly string[],
  io: Io,
  verbs: readonly VerbRow[] = VERBS,
): Promise<number> {
  const [name, ...tail] = words;
  if (name === undefined) {
    io.stderr.write(overview(verbs));
    return 2;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    const topic = name === 'help' ? tail[0] : undefined;
    if (topic !== undefined) return dispatch([topic, '--help'], io, verbs);
    io.stdout.write(overview(verbs));
    return 0;
  }
  const row = verbs.find((verb) => verb.name === name);
  if (!row) {
    io.stderr.write(
      `podwire: Unknown verb "${name}"${didYouMean(name, verbs)}; podwire --help lists them.\n`,
    );
    return 2;
  }
  try {
    const verb = await row.load();
    const call = parse(verb, tail);
    if (call === 'help') {
      io.stdout.write(helpOf(row, verb));
      return 0;
    }
    return await verb.run({ ...call, io });
  } catch (error) {
    return report(error, row.name, io);
  }
}

/** Flags, arguments, and what stands after `--`; or a wish for help. */
export function parse<O extends Options>(
  verb: Pick<Verb<O>, 'options' | 'args' | 'rest' | 'usage'>,
  words: readonly string[],
): { flags: Flags<O>; args: string[]; rest: string[] | undefined } | 'help' {
  const end = words.indexOf('--');
  const before = end < 0 ? words : words.slice(0, end);
  const rest = end < 0 ? undefined : words.slice(end + 1);
  let parsed;
  try {
    parsed = parseArgs({
      args: [...before],
      allowPositionals: true,
      strict: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        ...Object.fromEntries(
          Object.entries(verb.options).map(([flag, { type, short, multiple }]) => [
            flag,
            { type, ...(short && { short }), ...(multiple && { multiple }) },
          ]),
        ),
      },
    });
  } catch (error) {
    throw new UsageError(usageMessage(error as Error));
  }
  const { values, positionals } = parsed;
  if (values['help']) return 'help';
  const { min, max } = verb.args ?? { min: 0, max: 0 };
  if (positionals.length > max) throw new UsageError(`Unexpected argument "${positionals[max]}"`);
  if (positionals.length < min) throw new UsageError(`An argument is missing: podwire ${verb.usage[0]}`);
  if (rest && !verb.rest) throw new UsageError('Nothing may follow "--" here');
  return { flags: values as Flags<O>, args: positionals, rest };
}

/** Node's words for a bad flag, without its advice about `--`, which means something else here. */
function usageMessage(error: Error): string {
  return error.message
    .replace(/\. To specify a positional argument starting with a '-'.*$/s, '')
    .replaceAll("'", '"');
}

function report(error: unknown, verb: string, io: Io): number {
  const message = error instanceof Error ? error.message : String(error);
  io.stderr.write(`podwire ${verb}: ${message}\n`);
  if (error instanceof UsageError) {
    io.stderr.write(`podwire ${verb} --help shows the flags and an example.\n`);
    return 2;
  }
  if (io.env['PODWIRE_DEBUG'] && error instanceof Error && error.stack) io.stderr.write(`${error.stack}\n`);
  return 1;
}

function didYouMean(name: string, verbs: readonly VerbRow[]): string {
  const near = verbs.find(
    (verb) => !verb.hidden && (verb.name.startsWith(name) || name.startsWith(verb.name)),
  );
  return near ? ` (did you mean "${near.name}"?)` : '';
}
