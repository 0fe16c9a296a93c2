/**
 * A container's lifecycle hooks.
 *
 * `preStop` runs once a run of the container, within the grace, before SIGTERM. `postStart` runs when the program has
 * been started; the container does not count as running until it has succeeded, and ends when it fails.
 *
 * Source: kubernetes.io/docs/concepts/containers/container-lifecycle-hooks
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifecycleHandler } from '../../api/types.js';
import type { ProbeResult } from './probe.js';

/** Do what a handler says; an aborted one is unknown. */
export type Look = (
  handler: LifecycleHandler,
  limitSeconds: number,
  signal: AbortSignal,
) => Promise<ProbeResult>;

/** What is left for SIGTERM after a preStop hook that has used up the grace, as the kubelet has it. */
export const MIN_GRACE_MS = 2000;

/** No postStart hook may take longer: Kubernetes has no limit, but a pod that is deleted cuts it short here too. */
const POST_START_LIMIT_SECONDS = 24 * 3600;

/** Run a hook; the message says why when it did not succeed. */
export async function runHook(
  handler: LifecycleHandler,
  look: Look,
  limitSeconds: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  if (!handler.sleep) return look(handler, limitSeconds, signal);
  try {
    await sleep((handler.sleep.seconds ?? 0) * 1000, undefined, { signal });
    return { outcome: 'success', message: '' };
  } catch {
    return { outcome: 'unknown', message: 'cut short' };
  }
}

/** Run a postStart hook. @returns why it failed; undefined when it succeeded or was cut short */
export async function runPostStart(
  handler: LifecycleHandler,
  look: Look,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { outcome, message } = await runHook(handler, look, POST_START_LIMIT_SECONDS, signal);
  return outcome === 'success' || signal.aborted ? undefined : message;
}

/** The preStop hook of one run. */
export class PreStop {
  readonly #handler: LifecycleHandler;
  readonly #look: Look;
  readonly #failed: (message: string) => void;
  readonly #stop = new AbortController();
  #done: Promise<void> | undefined;

  constructor(handler: LifecycleHandler, look: Look, failed: (message: string) => void) {
    this.#handler = handler;
    this.#look = look;
    this.#failed = failed;
  }

  /**
   * Run it, or wait for it while it runs; a caller with less grace than the one before cuts it short.
   *
   * @returns  what is left of the grace, and time to say goodbye in any case
   */
  async within(graceMs: number): Promise<number> {
    if (graceMs <= 0) {
      this.#stop.abort();
      return graceMs;
    }
    const since = performance.now();
    this.#done ??= this.#run(graceMs);
    const limit = setTimeout(() => this.#stop.abort(), graceMs);
    await this.#done;
    clearTimeout(limit);
    return Math.max(graceMs - (performance.now() - since), Math.min(graceMs, MIN_GRACE_MS));
  }

  async #run(graceMs: number): Promise<void> {
    const { signal } = this.#stop;
    const { outcome, message } = await runHook(this.#handler, this.#look, Math.ceil(graceMs / 1000), signal);
    const isCut = this.#handler.sleep !== undefined && signal.aborted;
    if (outcome !== 'success' && !isCut) this.#failed(message);
  }
}
