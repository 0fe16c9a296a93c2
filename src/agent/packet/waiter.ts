/**
 * How the packet worker waits for its next packets: it looks again for a short while before it sleeps, if that has paid.
 *
 * Theory of operation. To be woken costs a thread more than to forward a packet. Where packets follow one another
 * closely — a request and its answer, a stream and its acknowledgements — looking again (`epoll_wait` with 0) finds the next
 * one without sleep and wake-up, and its sender need not wake anybody. Where they do not, looking again is wasted.
 * So the time spent looking, `spinUs`, is learned as KVM's halt polling learns it:
 *
 *     slept, and woken within `limitUs`   looking would have paid: twice as long, up to `limitUs`
 *     found packets at once               says nothing: nobody slept
 *     looked in vain, and slept long      it would not: half as long, and at last not at all
 *     looked, and gave way                somebody else needs this processor: no looking for a while
 *
 * Between two looks it offers the processor to others (`sched_yield`). A thread that a write of ours woke may wait behind
 * us: on a busy machine the scheduler puts it on its waker's processor, since a waker is expected to sleep soon. If anybody
 * took the offer, looking rests for {@link FIRST_REST_US}, and twice as long each time that happens again.
 *
 * After a sleep that was long the worker does not look again at all, so an idle host costs nothing. One that looks never
 * does so for longer than `limitUs`, and the caller's other duties (STOP, updates) wait no longer than that.
 */
import { EVENT_SLEEPS, EVENT_SPINS, EVENT_WAITS } from '../../tables/counters.js';

/** Looking begins with so much. */
const FIRST_US = 8;
/** No thread sleeps and wakes in less. */
const AT_ONCE_US = 3;
/** An offer that took longer than this was taken. */
const GAVE_WAY_US = 8;
export const FIRST_REST_US = 10_000;
const LONGEST_REST_US = 1_280_000;
/** After so many finds without giving way, rests begin small again. */
const QUIET_FINDS = 256;

export interface WaiterOptions {
  /** The longest time to look before sleeping; 0: always sleep. */
  readonly limitUs: number;
  readonly longestSleepMs: number;
  /** `epoll_wait` with this timeout: number of events or −errno. */
  poll(timeoutMs: number): number;
  /** Let another thread run that waits for this processor. */
  yieldProcessor(): void;
  /** A clock that counts microseconds as int32. */
  nowUs(): number;
  /** Where waits are counted. */
  readonly events: Float64Array;
}

/** @returns a function that waits: number of events, 0 after the longest sleep, or −errno */
export function createWaiter(options: WaiterOptions): () => number {
  const { limitUs, longestSleepMs, poll, yieldProcessor, nowUs, events } = options;
  let spinUs = 0;
  let restsUntilUs = 0;
  let isResting = false;
  let restUs = FIRST_REST_US;
  let finds = 0;

  function look(): number {
    events[EVENT_WAITS]!++;
    return poll(0);
  }

  /** Look again until something is there or the time is over. @returns number of events, or −errno */
  function lookOn(beganUs: number): number {
    for (let lastUs = beganUs; ;) {
      yieldProcessor();
      const us = nowUs();
      if (((us - lastUs) | 0) > GAVE_WAY_US) {
        rest(us);
        return 0;
      }
      const count = look();
      if (count !== 0) {
        if (++finds === QUIET_FINDS) restUs = FIRST_REST_US;
        if (count > 0) events[EVENT_SPINS]!++;
        return count;
      }
      if (((us - beganUs) | 0) >= spinUs) return 0;
      lastUs = us;
    }
  }

  function rest(us: number): void {
    spinUs = 0;
    finds = 0;
    isResting = true;
    restsUntilUs = (us + restUs) | 0;
    restUs = Math.min(restUs * 2, LONGEST_REST_US);
  }

  function sleep(): number {
    events[EVENT_WAITS]!++;
    events[EVENT_SLEEPS]!++;
    return poll(longestSleepMs);
  }

  function learn(waitedUs: number, us: number): void {
    if (isResting && ((us - restsUntilUs) | 0) < 0) return;
    isResting = false;
    if (waitedUs < AT_ONCE_US) return;
    if (waitedUs <= limitUs) spinUs = Math.min(limitUs, Math.max(FIRST_US, spinUs * 2));
    else spinUs = spinUs <= FIRST_US ? 0 : spinUs >> 1;
  }

  return () => {
    if (limitUs === 0) return sleep();
    // With more work at hand already, no clock is read.
    let count = spinUs > 0 ? look() : 0;
    if (count !== 0) return count;
    const beganUs = nowUs();
    if (spinUs > 0) count = lookOn(beganUs);
    if (count !== 0) return count;
    count = sleep();
    const us = nowUs();
    learn((us - beganUs) | 0, us);
    return count;
  };
}
