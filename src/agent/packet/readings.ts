/**
 * The packet worker's counters at one moment, as numbers: two of them an interval apart are what `podwire top` shows.
 */
import { readFileSync } from 'node:fs';
import { EVENTS } from '../../tables/counters.js';
import type { NameOf } from '../../tables/dump.js';
import type { Tables } from '../../tables/tables.js';

export interface PortReading {
  readonly name: string;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly drops: number;
}

export interface Readings {
  /** Milliseconds, of a clock that never goes back. */
  readonly atMs: number;
  /** The worker's thread, and what it has used of a processor since its start, to 10 ms. */
  readonly worker: { readonly tid: number; readonly userMs: number; readonly kernelMs: number };
  readonly ports: readonly PortReading[];
  /** Packets dropped, by reason; reasons that never occurred are left out. */
  readonly drops: Readonly<Record<string, number>>;
  /** By {@link EVENTS}. */
  readonly events: Readonly<Record<string, number>>;
}

/** Milliseconds of a clock tick as /proc counts them, proc(5): USER_HZ is 100 on all of Linux. */
const TICK_MS = 10;

/** Processor time of a thread of this process; zeros when it has ended. */
function processorTime(tid: number): { userMs: number; kernelMs: number } {
  try {
    const stat = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8');
    // The second field is a name in brackets, in which anything may stand; utime is field 14, stime 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { userMs: Number(fields[11]) * TICK_MS, kernelMs: Number(fields[12]) * TICK_MS };
  } catch {
    return { userMs: 0, kernelMs: 0 };
  }
}

/** @param reasons  names of the drop reasons, by place */
export function takeReadings(
  { ports, counters }: Pick<Tables, 'ports' | 'counters'>,
  nameOf: NameOf,
  reasons: readonly string[],
  tid: number,
): Readings {
  const used = Array.from(ports.kind.keys()).filter((port) => ports.kind[port] !== 0);
  return {
    atMs: performance.now(),
    worker: { tid, ...processorTime(tid) },
    ports: used.map((port) => ({
      name: nameOf('ports', port) ?? String(port),
      rxPackets: counters.rxPackets[port]!,
      rxBytes: counters.rxBytes[port]!,
      txPackets: counters.txPackets[port]!,
      txBytes: counters.txBytes[port]!,
      drops: counters.portDrops[port]!,
    })),
    drops: Object.fromEntries(
      reasons.flatMap((reason, i) => (counters.drops[i]! > 0 ? [[reason, counters.drops[i]!]] : [])),
    ),
    events: Object.fromEntries(EVENTS.map((event, i) => [event, counters.events[i]!])),
  };
}
