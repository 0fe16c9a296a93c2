/**
 * The order in which control serves objects. Whatever it hands out goes by this order, so that the same objects get
 * the same addresses on every host and in every run.
 */
import { keyOf, type ApiObject } from '../api/types.js';

/** Compare as people count: `node2` before `node10`. Equal only when the strings are. */
export function compareNatural(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? [];
  const right = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [left[i]!, right[i]!];
    if (x === y) continue;
    const [m, n] = [Number(x), Number(y)];
    if (!Number.isNaN(m) && !Number.isNaN(n) && m !== n) return m - n;
    return x < y ? -1 : 1;
  }
  return left.length - right.length || compareText(a, b);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Older first. Creation times have whole seconds; within one, our server's uids count up (RFC 9562 §5.7). Objects from
 * files have neither and go by name.
 */
export const compareCreation = (a: ApiObject, b: ApiObject): number =>
  compareText(a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '') ||
  compareText(a.metadata.uid ?? '', b.metadata.uid ?? '') ||
  compareNatural(keyOf(a), keyOf(b));

export const inCreationOrder = <T extends ApiObject>(objects: readonly T[]): T[] =>
  [...objects].sort(compareCreation);
