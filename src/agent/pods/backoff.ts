/**
 * How long a container that ended waits before it starts again, as the kubelet does it: the first time not at
 * all, then 10 s, doubling up to 5 min; a run of more than 10 min begins again from nothing.
 *
 * Source: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
 */
import type { PodSpec } from '../../api/types.js';

export interface Backoff {
  baseMs: number;
  maxMs: number;
  /** A run that lasted longer than this wipes the slate. */
  resetMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { baseMs: 10_000, maxMs: 300_000, resetMs: 600_000 };

/**
 * The wait before the next start.
 *
 * @param previousMs  the wait before the run that just ended; undefined when it was the first
 * @param ranMs       how long that run lasted
 */
export function nextDelay(backoff: Backoff, previousMs: number | undefined, ranMs: number): number {
  if (previousMs === undefined || ranMs > backoff.resetMs) return 0;
  return previousMs === 0 ? backoff.baseMs : Math.min(previousMs * 2, backoff.maxMs);
}

/** Whether a container that ended with this code starts again. */
export function restarts(policy: PodSpec['restartPolicy'], exitCode: number): boolean {
  if (policy === 'Never') return false;
  return policy === 'OnFailure' ? exitCode !== 0 : true;
}
