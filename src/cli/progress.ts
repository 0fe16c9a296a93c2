/**
 * Progress of something long: a line a step. On a terminal the line of the current step is rewritten; in a pipe it
 * appears once, when the step is done.
 */

import type { Progress } from '../lab/progress.js';
import type { Io } from './verb.js';

const CLEAR_LINE = '\r\x1b[K';
const STEP_WIDTH = 10;

/** @param now  milliseconds, monotonic */
export function createProgress(
  io: Io,
  now: () => number = () => performance.now(),
): Progress & { abort(): void } {
  const isLive = io.stdout.isTTY === true;
  let step = '';
  let began = 0;
  let shown = '';
  const show = (text: string): void => {
    const line = `${step.padEnd(STEP_WIDTH)} ${text}`.slice(0, (io.stdout.columns ?? 80) - 1);
    if (!isLive || line === shown) return;
    io.stdout.write(CLEAR_LINE + line);
    shown = line;
  };
  return {
    begin(name, text) {
      [step, began] = [name, now()];
      show(text);
    },
    update: show,
    done(text) {
      const seconds = ((now() - began) / 1000).toFixed(1);
      io.stdout.write(`${isLive ? CLEAR_LINE : ''}${step.padEnd(STEP_WIDTH)} ${text} (${seconds} s)\n`);
      shown = '';
    },
    /** An error will be printed: leave the line it happened in. */
    abort() {
      if (shown !== '') io.stdout.write('\n');
      shown = '';
    },
  };
}
