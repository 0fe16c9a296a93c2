/**
 * Carrying out steps of host state: lines for ip, of which those in a row share a process (4 ms each otherwise), and
 * kernel settings.
 */
import { ENOENT, SysError } from '../sys/errno.js';
import { ipAsync, sysctl } from '../sys/iproute2.js';
import type { Step } from './journal.js';

/** A step and the item that it is for. */
export interface Task {
  readonly id: string;
  /** Null: there is nothing to do. */
  readonly step: Step | null;
}

export interface Failure {
  readonly words: string;
  /** There is no such thing: nothing to take back then. */
  readonly isGone: boolean;
  /** It is there already: nothing to add then. */
  readonly isThere: boolean;
}

/** ip's words, and the kernel's, for "there is no such thing". */
const GONE =
  /No such (process|file|device)|Cannot find device|Cannot assign requested address|Address not found|FIB table does not exist/;
const EXISTS = /File exists/;

const failureOf = (error: unknown): Failure => {
  const words = error instanceof Error ? error.message : String(error);
  const isGone = error instanceof SysError ? error.errno === ENOENT : GONE.test(words);
  return { words, isGone, isThere: EXISTS.test(words) };
};

/**
 * Carry out steps in their order, those after a failed one too. Doing one twice must do no harm.
 *
 * @returns what went wrong, by the item's id
 */
export const carryOut = async (
  tasks: readonly Task[],
  netns: string | undefined,
): Promise<Map<string, Failure>> => {
  const failures = new Map<string, Failure>();
  let batch = new Map<string, string>(); // line → id
  const flush = async (): Promise<void> => {
    const lines = batch;
    batch = new Map();
    try {
      for (const { line, words } of await ipAsync([...lines.keys()], { netns, force: true }))
        failures.set(lines.get(line) ?? line, failureOf(words));
    } catch {
      // ip gave up in the middle and does not say where, as it does for words that it cannot read.
      for (const [line, id] of lines)
        await ipAsync([line], { netns }).catch((error: unknown) => failures.set(id, failureOf(error)));
    }
  };
  for (const { id, step } of tasks) {
    if (step === null) continue;
    if ('ip' in step) {
      batch.set(step.ip, id);
      continue;
    }
    await flush();
    try {
      sysctl(step.sysctl, step.value, netns);
    } catch (error) {
      failures.set(id, failureOf(error));
    }
  }
  await flush();
  return failures;
};
