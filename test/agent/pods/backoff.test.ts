import t from 'tap';
import { DEFAULT_BACKOFF, nextDelay, restarts } from '../../../src/agent/pods/backoff.js';

t.test('at once, 10 s, doubling, never more than 5 min', async (t) => {
  const delays: number[] = [];
  for (let i = 0; i < 8; i++) delays.push(nextDelay(DEFAULT_BACKOFF, delays.at(-1), 1000));
  t.same(delays, [0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
});

t.test('a run of more than 10 min begins anew', async (t) => {
  t.equal(nextDelay(DEFAULT_BACKOFF, 300_000, 600_001), 0);
  t.equal(nextDelay(DEFAULT_BACKOFF, 300_000, 600_000), 300_000);
});

t.test('the restart policy decides who starts again', async (t) => {
  const table = (['Always', 'OnFailure', 'Never', undefined] as const).map((policy) => [
    restarts(policy, 0),
    restarts(policy, 1),
  ]);
  t.same(table, [
    [true, true],
    [false, true],
    [false, false],
    [true, true],
  ]);
});
