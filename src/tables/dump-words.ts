/**
 * Words that several dumps use.
 */

/** Names of the protocols that have one here. */
export const PROTOCOLS: Record<number, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 132: 'sctp' };

/** Whole seconds, as people read ages. */
export const seconds = (ms: number): string => `${Math.max(0, Math.round(ms / 1000))}s`;

/** Rows in use of a static table. */
export function* rowsOf(table: { capacity: number; isUsed(row: number): boolean }): Generator<number> {
  for (let row = 1; row < table.capacity; row++) if (table.isUsed(row)) yield row;
}
