/**
 * Waiting for a condition, never for a time.
 */
import { setTimeout as pause } from 'node:timers/promises';

/** Wait until `look` gives something that is not false, null or undefined. @throws Error after ten seconds */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + 10_000;
  for (;;) {
    const value = await look();
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<T, false | null | undefined>;
    }
    if (performance.now() > end) throw new Error(`waited ten seconds in vain until ${what}`);
    await pause(5);
  }
}
