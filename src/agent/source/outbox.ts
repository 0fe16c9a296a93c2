/**
 * Reports on their way to a server that may be slow, or away.
 *
 * Theory of operation. A report has a key (a pod, the node). While one of a key is on its way, only the newest of
 * those that follow is kept. A report that fails is tried again, later each time, unless a newer one has come.
 * Reports of different keys do not wait for each other.
 */

export interface Outbox {
  /** Send `report` after the one of this key that is on its way, instead of those that wait. */
  put(key: string, report: () => Promise<void>): void;
  /** Why reports wait: the newest failure of each key. */
  problems(): string[];
  /** Wait until everything has arrived, at most `ms`; then give up what has not. */
  close(ms: number): Promise<void>;
}

interface Lane {
  next: (() => Promise<void>) | undefined;
  problem: string | undefined;
  done: Promise<void>;
  wake: () => void;
}

const FIRST_DELAY_MS = 200;
const LAST_DELAY_MS = 10_000;

export const createOutbox = (delays = { first: FIRST_DELAY_MS, last: LAST_DELAY_MS }): Outbox => {
  const lanes = new Map<string, Lane>();
  let isClosed = false;

  /** Until `ms` have passed or the lane is woken. */
  const pause = (lane: Lane, ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      lane.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const run = async (key: string, lane: Lane): Promise<void> => {
    let delay = delays.first;
    while (lane.next && !isClosed) {
      const report = lane.next;
      lane.next = undefined;
      try {
        await report();
        delay = delays.first;
        lane.problem = undefined;
      } catch (error) {
        lane.problem = error instanceof Error ? error.message : String(error);
        lane.next ??= report;
        await pause(lane, delay);
        delay = Math.min(2 * delay, delays.last);
      }
    }
    lanes.delete(key);
  };

  return {
    put(key, report) {
      if (isClosed) return;
      const waiting = lanes.get(key);
      if (waiting) {
        waiting.next = report;
        return;
      }
      const lane: Lane = { next: report, problem: undefined, done: Promise.resolve(), wake: () => undefined };
      lanes.set(key, lane);
      lane.done = run(key, lane);
    },
    problems: () => [...lanes.values()].flatMap((lane) => lane.problem ?? []),
    async close(ms) {
      const all = Promise.all([...lanes.values()].map((lane) => lane.done));
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([all, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))]);
      clearTimeout(timer);
      isClosed = true;
      for (const lane of lanes.values()) lane.wake();
    },
  };
};
