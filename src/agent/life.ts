/**
 * How an agent waits and ends: what ends it, what has to be ended, and work that is done one turn at a time.
 */
import type { Logger } from './log.js';

/** Thrown where the agent waits when it was told to end. */
export class Stopped extends Error {}

/** The packet path, or something else that it cannot do without, can go on no longer. */
export class Failed extends Error {}

/** What went wrong, in words. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Two ways to end: told to, and unable to go on. */
export const watchForEnd = (
  stop: AbortSignal,
): { orEnd<T>(work: Promise<T>): Promise<T>; fail(reason: string): void } => {
  let end: (why: Error) => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => (end = reject));
  ended.catch(() => undefined); // whoever waits hears of it
  if (stop.aborted) end(new Stopped());
  stop.addEventListener('abort', () => end(new Stopped()), { once: true });
  return {
    orEnd: (work) => Promise.race([ended, work]),
    fail: (reason) => end(new Failed(reason)),
  };
};

export interface Endings {
  add(what: string, end: () => unknown): void;
  run(): Promise<void>;
}

/** What ends what was begun: last begun, first ended, each once; one that fails does not keep the others. */
export const createEndings = (log: Logger): Endings => {
  const list: { what: string; end: () => unknown }[] = [];
  return {
    add: (what, end) => void list.push({ what, end }),
    async run() {
      for (const { what, end } of list.splice(0).reverse())
        try {
          await end();
        } catch (error) {
          log.error({ err: error }, `Cannot end ${what}: ${messageOf(error)}`);
        }
    },
  };
};

/** Calls that come while `work` is under way lead to one more turn of it; all resolve when there is none left to do. */
export const oneAtATime = (work: () => Promise<void>): (() => Promise<void>) => {
  let running: Promise<void> | undefined;
  let isWanted = false;
  const turns = async (): Promise<void> => {
    while (isWanted) {
      isWanted = false;
      await work();
    }
    running = undefined;
  };
  return () => {
    isWanted = true;
    running ??= turns();
    return running;
  };
};
