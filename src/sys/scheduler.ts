/**
 * The kernel's scheduler, as a thread meets it that does not want to sleep.
 */
import * as libc from './libc.js';

/** Let another thread run that waits for this processor, if there is one. sched_yield(2). */
export function yieldProcessor(): void {
  libc.schedYield();
}
