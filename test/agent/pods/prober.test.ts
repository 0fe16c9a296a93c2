import t from 'tap';
import { Prober, type Clock, type Health } from '../../../src/agent/pods/prober.js';
import type { ProbeResult } from '../../../src/agent/pods/probe.js';
import type { Container, Probe } from '../../../src/api/types.js';

/** Time that moves when it is told to. */
class TestClock implements Clock {
  #now = 0;
  #timers: { at: number; call: () => void }[] = [];
  nowMs = (): number => this.#now;
  after = (ms: number, call: () => void): (() => void) => {
    const timer = { at: this.#now + ms, call };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((it) => it !== timer));
  };
  /** Go on second by second, and let all that follows from each happen. */
  async run(seconds: number): Promise<void> {
    const end = this.#now + seconds * 1000;
    for (;;) {
      await new Promise(setImmediate);
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((it) => it !== next);
      this.#now = Math.max(next.at, this.#now);
      next.call();
    }
    this.#now = end;
  }
}

interface Bench {
  clock: TestClock;
  prober: Prober;
  health: Health;
  /** When each probe looked, in seconds, as `readiness@5`. */
  looks: string[];
  kills: string[];
  /** What the next looks of a kind say. */
  say: Record<string, ProbeResult['outcome']>;
  told: string[];
}

const kindOf = (container: Container, probe: Probe): string =>
  Object.entries(container)
    .find(([, value]) => value === probe)![0]
    .replace('Probe', '');

function makeBench(container: Partial<Container>, health: Health = {}): Bench {
  const clock = new TestClock();
  const whole = { name: 'main', ...container };
  const bench = { clock, health, looks: [], kills: [], say: {}, told: [] } as unknown as Bench;
  bench.prober = new Prober({
    container: whole,
    health,
    clock,
    look: async (probe) => {
      const kind = kindOf(whole, probe);
      bench.looks.push(`${kind}@${clock.nowMs() / 1000}`);
      return { outcome: bench.say[kind] ?? 'success', message: 'because' };
    },
    changed: () => {},
    kill: (kind, message, grace) => void bench.kills.push(`${kind} ${message} ${grace ?? '-'}`),
    log: { warn: (_: unknown, words: string) => void bench.told.push(words) } as never,
  });
  return bench;
}

const tcpSocket = { port: 80 };

t.test('without probes a container is started and ready at once', async (t) => {
  const { prober, health, clock, looks } = makeBench({});
  prober.reset();
  prober.begin();
  await clock.run(60);
  t.match(health, { isStarted: undefined, isReady: undefined });
  t.strictSame(looks, []);
});

t.test('readiness: the first look after the delay, then one a period', async (t) => {
  const { prober, health, clock, looks } = makeBench({
    readinessProbe: { tcpSocket, initialDelaySeconds: 5, periodSeconds: 3 },
  });
  prober.reset();
  prober.begin();
  t.match(health, { isReady: false });
  await clock.run(4);
  t.strictSame(looks, []);
  await clock.run(8);
  t.strictSame(looks, ['readiness@5', 'readiness@8', 'readiness@11']);
  t.match(health, { isReady: true });
});

t.test('readiness: thresholds count in a row, unknown does not count', async (t) => {
  const { prober, health, clock, say, kills, told } = makeBench({
    readinessProbe: { tcpSocket, periodSeconds: 1, successThreshold: 2, failureThreshold: 3 },
  });
  prober.reset();
  prober.begin();
  await clock.run(0);
  t.equal(health.isReady, false, 'one success is not enough');
  await clock.run(1);
  t.equal(health.isReady, true);
  say['readiness'] = 'failure';
  await clock.run(2);
  t.equal(health.isReady, true, 'two failures are not enough');
  say['readiness'] = 'unknown';
  await clock.run(5);
  t.equal(health.isReady, true);
  say['readiness'] = 'success';
  await clock.run(1);
  say['readiness'] = 'failure';
  await clock.run(2);
  t.equal(health.isReady, true, 'a success between begins the count anew');
  await clock.run(1);
  t.equal(health.isReady, false);
  t.equal(health.why, 'Readiness probe failed: because');
  say['readiness'] = 'success';
  await clock.run(2);
  t.strictSame(health, { isReady: true, why: undefined });
  t.strictSame(kills, [], 'readiness never kills');
  t.match(told, ['Readiness probe failed: because', /failed/, 'Readiness probe errored: because']);
});

t.test('liveness: enough failures kill once, until the next run', async (t) => {
  const { prober, clock, say, kills, looks } = makeBench({
    livenessProbe: { tcpSocket, periodSeconds: 2, failureThreshold: 2, terminationGracePeriodSeconds: 7 },
  });
  prober.reset();
  prober.begin();
  say['liveness'] = 'failure';
  await clock.run(1);
  t.strictSame(kills, []);
  await clock.run(60);
  t.strictSame(kills, ['liveness because 7']);
  t.equal(looks.length, 2, 'it is on hold');
  prober.reset();
  prober.begin();
  await clock.run(10);
  t.equal(kills.length, 2);
});

t.test(
  'startup: the others wait for it, and count their delay from the start of the container',
  async (t) => {
    const { prober, health, clock, say, looks } = makeBench({
      startupProbe: { tcpSocket, periodSeconds: 1, failureThreshold: 30 },
      livenessProbe: { tcpSocket, initialDelaySeconds: 6 },
      readinessProbe: { tcpSocket, initialDelaySeconds: 2 },
    });
    prober.reset();
    prober.begin();
    say['startup'] = 'failure';
    await clock.run(4);
    t.strictSame(health, { isStarted: false, isReady: false, why: 'Startup probe failed: because' });
    say['startup'] = 'success';
    await clock.run(3);
    t.strictSame(health, { isStarted: true, isReady: true, why: undefined });
    t.strictSame(looks.slice(5), ['startup@5', 'readiness@5', 'liveness@6']);
  },
);

t.test('startup: enough failures kill', async (t) => {
  const { prober, clock, say, kills, looks } = makeBench({
    startupProbe: { tcpSocket, periodSeconds: 1, failureThreshold: 4 },
    readinessProbe: { tcpSocket },
  });
  prober.reset();
  prober.begin();
  say['startup'] = 'failure';
  await clock.run(20);
  t.strictSame(kills, ['startup because -']);
  t.equal(looks.length, 4);
});

t.test('a container that is being stopped is asked for readiness only', async (t) => {
  const { prober, clock, looks } = makeBench({
    livenessProbe: { tcpSocket, periodSeconds: 1 },
    readinessProbe: { tcpSocket, periodSeconds: 1 },
  });
  prober.reset();
  prober.begin();
  await clock.run(0);
  prober.containerIsEnding();
  looks.length = 0;
  await clock.run(2);
  t.strictSame(looks, ['readiness@1', 'readiness@2']);
  prober.end();
  await clock.run(9);
  t.equal(looks.length, 2);
});

t.test('taken over, a container keeps its health until a probe says otherwise', async (t) => {
  const { prober, health, clock, say, looks } = makeBench(
    { startupProbe: { tcpSocket }, readinessProbe: { tcpSocket, periodSeconds: 1, failureThreshold: 2 } },
    { isStarted: true, isReady: true },
  );
  say['readiness'] = 'failure';
  prober.begin(60_000);
  await clock.run(0);
  t.strictSame(looks, ['readiness@0'], 'started once is started');
  t.equal(health.isReady, true);
  await clock.run(1);
  t.equal(health.isReady, false);
});

t.test('a look that takes longer than the period skips a beat', async (t) => {
  const container: Container = { name: 'main', readinessProbe: { tcpSocket, periodSeconds: 2 } };
  const clock = new TestClock();
  const looks: number[] = [];
  const prober = new Prober({
    container,
    health: {},
    clock,
    look: (_probe, timeoutSeconds) => {
      t.equal(timeoutSeconds, 1);
      looks.push(clock.nowMs() / 1000);
      return new Promise((resolve) =>
        clock.after(looks.length === 1 ? 5000 : 0, () => resolve({ outcome: 'success', message: '' })),
      );
    },
    changed: () => {},
    kill: () => {},
    log: { warn: () => {} } as never,
  });
  prober.begin();
  await clock.run(9);
  t.strictSame(looks, [0, 6, 8]);
});
