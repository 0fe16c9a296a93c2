/**
 * Looking up names of others: a cache, and behind it upstreams, the first of which that works is asked.
 *
 * Theory of operation. An upstream is up, or down after {@link FAILURES} questions in a row without an answer. While one is
 * down it is asked nothing but for a sign of life (NS of the root), with pauses that double up to ten seconds; the first answer
 * brings it up. When all are down, every question fails at once. A question that is under way already is not asked a second
 * time: whoever wants to know it too waits along. That bounds what a loop can do (an upstream that asks us again waits for
 * itself, and counts as one that does not answer), and takes from a guesser the many tries of RFC 5452 §5. So many different
 * questions at most are under way; more fail at once.
 */
import type { Metrics } from './metrics.js';
import { AnswerCache, cacheKey } from './cache.js';
import type { Question, Resolved, Resolver } from './resolver.js';
import { readResponse } from './response.js';
import type { Upstream } from './upstream.js';

export interface ForwarderOptions {
  readonly upstreams: readonly Upstream[];
  readonly metrics?: Metrics;
  /** Told when an upstream goes down or comes up. */
  readonly log?: (line: string) => void;
  /** How long one upstream may take for one question. */
  readonly tryMs?: number;
  /** How long a question may take in all: less than a stub resolver waits, which is five seconds. */
  readonly totalMs?: number;
  readonly maxPending?: number;
  /** Keep no answers. */
  readonly isUncached?: boolean;
}

export interface Forwarder extends Resolver {
  /** Names of upstreams, and whether each is up. */
  state(): { readonly name: string; readonly isUp: boolean }[];
  close(): void;
}

/** Questions in a row without an answer, after which an upstream is down. */
export const FAILURES = 2;
const TRY_MS = 1500;
const TOTAL_MS = 4000;
const MAX_PENDING = 1000;
const FIRST_PROBE_MS = 500;
const LONGEST_PROBE_MS = 10_000;

/** `. IN NS`: every resolver can answer it. */
const SIGN_OF_LIFE: Question = {
  bytes: Uint8Array.of(0, 0, 2, 0, 1),
  dnssecOk: false,
  checkingDisabled: false,
};

interface State {
  readonly upstream: Upstream;
  failures: number;
  probe?: NodeJS.Timeout;
}

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { metrics, log, tryMs = TRY_MS, totalMs = TOTAL_MS, maxPending = MAX_PENDING } = options;
  const states = options.upstreams.map((upstream): State => ({ upstream, failures: 0 }));
  const cache = new AnswerCache(() => performance.now());
  const pending = new Map<string, Promise<Resolved | undefined>>();
  let isClosed = false;
  if (metrics) metrics.gauges = { cacheEntries: () => cache.sizes };

  const isUp = ({ failures }: State): boolean => failures < FAILURES;

  const succeeded = (state: State): void => {
    if (!isUp(state)) log?.(`Upstream ${state.upstream.name} answers again`);
    state.failures = 0;
    clearTimeout(state.probe);
    state.probe = undefined;
  };

  const failed = (state: State, error: unknown): void => {
    state.failures++;
    if (isUp(state) || state.probe || isClosed) return;
    log?.(`Upstream ${state.upstream.name} does not answer: ${(error as Error).message}`);
    probeLater(state, FIRST_PROBE_MS);
  };

  const probeLater = (state: State, pauseMs: number): void => {
    state.probe = setTimeout(() => {
      state.upstream.ask(SIGN_OF_LIFE, tryMs).then(
        () => succeeded(state),
        () => {
          metrics?.healthFailure(state.upstream.name);
          if (!isClosed) probeLater(state, Math.min(2 * pauseMs, LONGEST_PROBE_MS));
        },
      );
    }, pauseMs);
    state.probe.unref();
  };

  /** @returns undefined when it does not answer, or what cannot be read */
  const askOne = async (
    state: State,
    question: Question,
    limitMs: number,
  ): Promise<Uint8Array | undefined> => {
    const start = performance.now();
    const to = state.upstream.name;
    try {
      const message = await state.upstream.ask(question, limitMs);
      if (!readResponse(message)) throw new Error('its answer is not well formed');
      succeeded(state);
      metrics?.forwarded(to, message[3]! & 15, performance.now() - start);
      return message;
    } catch (error) {
      metrics?.forwarded(to, undefined, 0);
      failed(state, error);
      return undefined;
    }
  };

  const ask = async (key: string, question: Question): Promise<Resolved | undefined> => {
    const end = performance.now() + totalMs;
    for (;;) {
      const up = states.filter(isUp);
      if (up.length === 0) {
        metrics?.allBroken();
        return undefined;
      }
      // Those that failed least come first, else in their order.
      const state = up.reduce((best, other) => (other.failures < best.failures ? other : best));
      const left = end - performance.now();
      if (left < 1 || isClosed) return undefined;
      const message = await askOne(state, question, Math.min(tryMs, left));
      if (!message) continue;
      if (!options.isUncached) cache.put(key, message, readResponse(message)!);
      return { message, by: 'forward' };
    }
  };

  return {
    resolve(question) {
      const key = cacheKey(question);
      const cached = options.isUncached ? undefined : cache.get(key);
      if (cached) {
        metrics?.cacheHit(cached.isDenial);
        return Promise.resolve({ message: cached.message, by: 'cache' });
      }
      metrics?.cacheMiss();
      const asked = pending.get(key);
      if (asked) return asked;
      if (pending.size >= maxPending || isClosed) {
        metrics?.rejected();
        return Promise.resolve(undefined);
      }
      const answer = ask(key, question).finally(() => pending.delete(key));
      pending.set(key, answer);
      return answer;
    },
    state: () => states.map((state) => ({ name: state.upstream.name, isUp: isUp(state) })),
    close() {
      isClosed = true;
      for (const state of states) {
        clearTimeout(state.probe);
        state.upstream.close();
      }
    },
  };
}
