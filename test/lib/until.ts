/**
 * Waiting for a condition, never for a time.
 */
import { setTimeout as pause } from 'node:timers/promises';

const LIMIT_MS = 60_000;

/**
 * Wait until `look` gives something that is not false, null or undefined. @throws Error after a minute: what takes a
 * second here takes many where others work beside.
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const value = await look();
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<T, false | null | undefined>;
    }
    if (performance.now() > end) throw new Error(`waited a minute in vain until ${what}`);
    await pause(5);
  }
}
