/**
 * Processor time of the whole machine, from /proc/stat: the traffic programs share the processors with whatever forwards, and
 * what the kernel does for either of them is nobody's process time. Nothing else should run beside.
 */
import { readFileSync } from 'node:fs';

/** Seconds of all processors. */
export interface CpuTime {
  readonly busy: number;
  /** Of them: system calls, interrupts, soft interrupts. */
  readonly kernel: number;
}

/** USER_HZ, proc(5): 100 on all of Linux. */
const TICKS_PER_SECOND = 100;

/** @param stat  the text of /proc/stat */
export function readCpuTime(stat: string): CpuTime {
  const ticks = stat.slice(0, stat.indexOf('\n')).trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = ticks;
  const kernel = system + irq + softirq;
  return { busy: (user + nice + kernel) / TICKS_PER_SECOND, kernel: kernel / TICKS_PER_SECOND };
}

/** Do something, and say what processor time passed meanwhile. */
export async function timed<T>(work: () => Promise<T>): Promise<{ result: T; time: CpuTime }> {
  const before = readCpuTime(readFileSync('/proc/stat', 'utf8'));
  const result = await work();
  const after = readCpuTime(readFileSync('/proc/stat', 'utf8'));
  return { result, time: { busy: after.busy - before.busy, kernel: after.kernel - before.kernel } };
}
