/**
 * The probes of one container, one run of it at a time: when to look, and what follows from the results.
 *
 * Theory of operation. Each probe is a loop: the first look when the container has run for `initialDelaySeconds`, then
 * one every `periodSeconds`; a look that takes longer than a period skips a beat. Results count in a row: so many
 * successes, or failures, move the health, fewer change nothing. An unknown result does not count at all.
 *
 *     startup    success ─▶ isStarted, the loop ends and the two others begin     failure ─▶ the container is killed
 *     liveness   success ─▶ nothing                                               failure ─▶ the container is killed
 *     readiness  success ─▶ isReady                                               failure ─▶ not isReady
 *
 * After a kill nobody looks for the same reason again until the container's next run. While a container is being
 * stopped only readiness goes on. The health lives in the container's record: it outlasts the agent, whose restart
 * must not take a pod out of its Services.
 *
 * Source: k8s.io/kubernetes, pkg/kubelet/prober/worker.go and prober_manager.go
 */
import type { Logger } from 'pino';
import { probeOf, probeTiming, type ProbeKind } from '../../api/pod-probe.js';
import type { Container, Probe } from '../../api/types.js';
import type { ProbeResult } from './probe.js';

/** What probes have found. A field that is absent counts as true: no probe says otherwise. */
export interface Health {
  isStarted?: boolean;
  isReady?: boolean;
  /** Why one of them is false, a sentence; the first that was found, so that it does not change with each look. */
  why?: string;
}

/** Time, which the tests make themselves. */
export interface Clock {
  /** Never goes back. */
  nowMs(): number;
  /** Call once, after so long. @returns what takes it back */
  after(ms: number, call: () => void): () => void;
}

const CLOCK: Clock = {
  nowMs: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

export interface ProberOptions {
  container: Container;
  /** Changed in place. */
  health: Health;
  look(probe: Probe, timeoutSeconds: number): Promise<ProbeResult>;
  /** The health has changed. */
  changed(): void;
  /** The container shall be killed; called at most once a run. */
  kill(kind: 'startup' | 'liveness', message: string, graceSeconds: number | undefined): void;
  /** A look has not succeeded, in a sentence; said each time. */
  unhealthy?(sentence: string): void;
  log: Pick<Logger, 'warn'>;
  clock?: Clock;
}

const TITLES = { startup: 'Startup', liveness: 'Liveness', readiness: 'Readiness' } as const;

export class Prober {
  readonly #options: ProberOptions;
  readonly #clock: Clock;
  /** Ends the loop of a kind. */
  readonly #ends = new Map<ProbeKind, () => void>();

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#clock = options.clock ?? CLOCK;
  }

  /** A new run is about to begin, of which nothing is known yet. */
  reset(): void {
    this.end();
    const { container, health } = this.#options;
    health.why = undefined;
    if (container.startupProbe) health.isStarted = false;
    if (container.readinessProbe) health.isReady = false;
  }

  /**
   * Begin to look at a container that runs, with the health as it is.
   *
   * @param ranMs  for how long it has been running
   */
  begin(ranMs = 0): void {
    const startedMs = this.#clock.nowMs() - ranMs;
    const { container, health } = this.#options;
    if (container.startupProbe && health.isStarted !== true) this.#startLoop('startup', startedMs);
    else this.#startRest(startedMs);
  }

  /** The container is being stopped: it must not be restarted, but its clients still ask whether it is ready. */
  containerIsEnding(): void {
    this.#ends.get('startup')?.();
    this.#ends.get('liveness')?.();
  }

  /** Look no more. */
  end(): void {
    for (const end of this.#ends.values()) end();
  }

  #startRest(startedMs: number): void {
    this.#startLoop('liveness', startedMs);
    this.#startLoop('readiness', startedMs);
  }

  #startLoop(kind: ProbeKind, startedMs: number): void {
    const probe = probeOf(this.#options.container, kind);
    if (!probe) return;
    const timing = probeTiming(probe);
    const periodMs = timing.periodSeconds * 1000;
    let isOver = false;
    let cancel = (): void => {};
    this.#ends.set(kind, () => {
      isOver = true;
      cancel();
      this.#ends.delete(kind);
    });
    let outcome: ProbeResult['outcome'] | undefined;
    let inARow = 0;
    let dueMs = Math.max(startedMs + timing.initialDelaySeconds * 1000, this.#clock.nowMs());

    const wait = (): void => {
      cancel = this.#clock.after(Math.max(dueMs - this.#clock.nowMs(), 0), () => void turn());
    };
    const turn = async (): Promise<void> => {
      const result = await this.#options.look(probe, timing.timeoutSeconds);
      if (isOver) return;
      if (result.outcome !== 'success') this.#tell(kind, result);
      if (result.outcome !== 'unknown') {
        inARow = result.outcome === outcome ? inARow + 1 : 1;
        outcome = result.outcome;
        const needed = outcome === 'success' ? timing.successThreshold : timing.failureThreshold;
        if (inARow >= needed) this.#conclude(kind, probe, result, startedMs);
        if (isOver) return;
      }
      const behindMs = this.#clock.nowMs() - dueMs;
      dueMs += (Math.floor(Math.max(behindMs, 0) / periodMs) + 1) * periodMs;
      wait();
    };
    wait();
  }

  /** There are enough results in a row. */
  #conclude(kind: ProbeKind, probe: Probe, { outcome, message }: ProbeResult, startedMs: number): void {
    const { health, changed, kill } = this.#options;
    const isGood = outcome === 'success';
    if (kind === 'readiness') {
      if (health.isReady === isGood) return;
      health.isReady = isGood;
      health.why = isGood ? undefined : this.#sentence(kind, { outcome, message });
      changed();
    } else if (!isGood) {
      this.#ends.get(kind)?.();
      kill(kind, message, probe.terminationGracePeriodSeconds);
    } else if (kind === 'startup') {
      this.#ends.get(kind)?.();
      health.isStarted = true;
      health.why = undefined;
      changed();
      this.#startRest(startedMs);
    }
  }

  /** A look has not succeeded: say so, and remember why the container is not what it should be. */
  #tell(kind: ProbeKind, result: ProbeResult): void {
    const { container, health, changed, unhealthy, log } = this.#options;
    const sentence = this.#sentence(kind, result);
    log.warn({ container: container.name }, sentence);
    unhealthy?.(sentence);
    const isWhy = kind === 'startup' || (kind === 'readiness' && health.isReady === false);
    if (!isWhy || health.why !== undefined) return;
    health.why = sentence;
    changed();
  }

  #sentence(kind: ProbeKind, { outcome, message }: ProbeResult): string {
    return `${TITLES[kind]} probe ${outcome === 'failure' ? 'failed' : 'errored'}: ${message}`;
  }
}
