/** How long something shall last, as people type it: `30m`, `24h`, `365d`. */

import { UsageError } from './verb.js';

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** @returns milliseconds @throws UsageError */
export function parseLifetime(text: string, flag: string): number {
  const [, number, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (number === undefined)
    throw new UsageError(`Cannot read ${flag} "${text}"; need a number and s, m, h or d, for example 24h`);
  return Number(number) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
