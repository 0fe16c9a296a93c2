/**
 * The shape of a verb: what `podwire NAME …` needs to parse its words, to print its help, and to run.
 *
 * A verb is one file beside this one and one line in `verbs.ts`. It parses nothing itself: flags, arguments and what
 * stands after `--` reach {@link Verb.run} typed. It returns its exit code (0 done, 1 failed; `exec` passes on the
 * code of its program) and throws for errors: a {@link UsageError} ends with 2, anything else with 1, both as one
 * sentence that says what was wrong, where, and what to do.
 */

import type { Readable, Writable } from 'node:stream';

/** A flag of a verb: its type for the parser, its words for the help. */
export interface Option {
  type: 'string' | 'boolean';
  /** One letter: `n` for `-n`. */
  short?: string;
  /** May be given more than once; the value is then a list. */
  multiple?: boolean;
  /** The word that stands for the value in the help: `NAME`. */
  value?: string;
  /** One line for the help, lower case, no full stop. */
  help: string;
}

export type Options = Readonly<Record<string, Option>>;

/** The values of the flags, undefined where one was not given. */
export type Flags<O extends Options> = {
  readonly [K in keyof O]: O[K] extends { type: 'boolean' }
    ? boolean | undefined
    : O[K] extends { multiple: true }
      ? string[] | undefined
      : string | undefined;
};

/** Where a verb reads and writes. Tests give their own. */
export interface Io {
  readonly stdin: Readable & { isTTY?: boolean };
  readonly stdout: Writable & { isTTY?: boolean; columns?: number };
  readonly stderr: Writable & { isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
}

/** One run of a verb. */
export interface Call<O extends Options = Options> {
  readonly flags: Flags<O>;
  /** Words that are neither flags nor their values. */
  readonly args: readonly string[];
  /** What stood after `--`; undefined without `--`. */
  readonly rest: readonly string[] | undefined;
  readonly io: Io;
}

export interface Verb<O extends Options = Options> {
  /** The call without `podwire`, one line a form: `exec POD [-n NAMESPACE] [-- COMMAND…]`. */
  readonly usage: readonly string[];
  /** What it does, in a sentence or a short paragraph; the help breaks its lines. */
  readonly description: string;
  readonly options: O;
  /** How many arguments it takes; none when absent. */
  readonly args?: { readonly min: number; readonly max: number };
  /** Whether `-- WORDS…` may follow. */
  readonly rest?: boolean;
  /** Lines one can type. */
  readonly example: readonly string[];
  run(call: Call<O>): Promise<number>;
}

/** Lets the compiler infer the types of the flags from `options`. */
export function defineVerb<const O extends Options>(verb: Verb<O>): Verb {
  return verb as unknown as Verb;
}

/** The call was wrong: exit code 2, and a pointer to the help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Something failed in a way that we can explain; the message is the whole sentence. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
