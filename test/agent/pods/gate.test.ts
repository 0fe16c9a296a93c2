import t from 'tap';
import { createGate } from '../../../src/agent/pods/gate.js';

t.test('no more than its width run at once, all in order, also when some fail', async (t) => {
  const gate = createGate(2);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const task = (i: number) => async () => {
    order.push(i);
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    if (i % 2) throw new Error(`task ${i}`);
    return i;
  };
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map((i) => gate(task(i))));
  t.equal(most, 2);
  t.same(order, [0, 1, 2, 3, 4]);
  t.same(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
  );
});
