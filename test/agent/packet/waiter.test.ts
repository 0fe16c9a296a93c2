/** When the packet worker looks again and when it sleeps, under a clock and a queue of packets that the test moves. */
import t from 'tap';
import { createWaiter, FIRST_REST_US } from '../../../src/agent/packet/waiter.js';
import { EVENT_SLEEPS, EVENT_SPINS, EVENT_WAITS, EVENTS } from '../../../src/tables/counters.js';

const LIMIT_US = 50;
/** What one look takes. */
const LOOK_US = 1;

function makeWorld(limitUs = LIMIT_US) {
  const events = new Float64Array(EVENTS.length);
  let now = 2 ** 31 - 500; // the clock wraps soon
  let dueUs = 0;
  let putAside = 0;
  const wait = createWaiter({
    limitUs,
    longestSleepMs: 1000,
    events,
    nowUs: () => now | 0,
    yieldProcessor() {
      now += putAside;
      putAside = 0;
    },
    poll(timeoutMs) {
      now += LOOK_US;
      if (timeoutMs === 0) {
        return now >= dueUs ? 1 : 0;
      }
      // To be woken takes a while.
      now = Math.max(now, dueUs + 5);
      return 1;
    },
  });
  return {
    events,
    /** Packets come `gapUs` after the last ones. @returns whether the worker slept, and how long it looked in vain */
    packets(gapUs: number, count = 1): { sleeps: number; looks: number } {
      const before = Float64Array.from(events);
      for (let i = 0; i < count; i++) {
        dueUs = now + gapUs;
        wait();
      }
      const sleeps = events[EVENT_SLEEPS]! - before[EVENT_SLEEPS]!;
      return { sleeps, looks: events[EVENT_WAITS]! - before[EVENT_WAITS]! - sleeps };
    },
    putAside(us: number): void {
      putAside = us;
    },
  };
}

t.test('packets that follow closely are found without sleep, once that has been learned', async (t) => {
  const { packets, events } = makeWorld();
  packets(20, 10);
  t.same(packets(20, 100).sleeps, 0);
  t.ok(events[EVENT_SPINS]! >= 100);
});

t.test('packets that are far apart are never looked for', async (t) => {
  const { packets } = makeWorld();
  t.same(packets(2000, 100), { sleeps: 100, looks: 0 });
});

t.test('after close packets come far ones: it unlearns within a few of them', async (t) => {
  const { packets } = makeWorld();
  packets(20, 20);
  packets(2000, 4);
  t.same(packets(2000, 100), { sleeps: 100, looks: 0 });
});

t.test('packets that are there already teach nothing', async (t) => {
  const { packets } = makeWorld();
  t.same(packets(-100, 100), { sleeps: 100, looks: 0 });
});

t.test('an idle host is looked for at most once, for the limit', async (t) => {
  const { packets } = makeWorld();
  packets(20, 20);
  const { sleeps, looks } = packets(1_000_000);
  t.equal(sleeps, 1);
  t.ok(looks > 1 && looks <= LIMIT_US / LOOK_US + 1, `${looks} looks`);
});

t.test('when another thread takes the processor it does not look again for a while', async (t) => {
  const { packets, putAside } = makeWorld();
  packets(20, 20);
  putAside(3000);
  packets(5000);
  const gap = 30;
  const rest = Math.floor((FIRST_REST_US - 2000) / (gap + 10));
  t.same(packets(gap, rest), { sleeps: rest, looks: 0 }, 'while it rests');
  packets(gap, 200);
  t.equal(packets(gap, 10).sleeps, 0, 'afterwards it learns anew');
});

t.test('with a limit of 0 it only sleeps', async (t) => {
  const { packets } = makeWorld(0);
  t.same(packets(5, 50), { sleeps: 50, looks: 0 });
});
