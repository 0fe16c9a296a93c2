import t from 'tap';
import { createOutbox } from '../../../src/agent/source/outbox.js';

const quick = { first: 1, last: 4 };

t.test('reports that come while one is on its way are left out, but for the newest', async (t) => {
  const outbox = createOutbox(quick);
  const sent: number[] = [];
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  outbox.put('pod', async () => {
    await held;
    sent.push(1);
  });
  for (const n of [2, 3, 4]) outbox.put('pod', async () => void sent.push(n));
  outbox.put('node', async () => void sent.push(10));
  release();
  await outbox.close(10_000);
  t.same(sent, [10, 1, 4]);
});

t.test(
  'a report that fails is tried again until it arrives, and its problem is known meanwhile',
  async (t) => {
    const outbox = createOutbox(quick);
    const problems: string[][] = [];
    let tries = 0;
    outbox.put('pod', async () => {
      problems.push(outbox.problems());
      if (++tries < 4) throw new Error(`no answer ${tries}`);
    });
    await outbox.close(10_000);
    t.equal(tries, 4);
    t.same(problems, [[], ['no answer 1'], ['no answer 2'], ['no answer 3']]);
    t.same(outbox.problems(), []);
  },
);

t.test('a newer report takes the place of one that failed', async (t) => {
  const outbox = createOutbox(quick);
  const sent: string[] = [];
  outbox.put('pod', async () => {
    outbox.put('pod', async () => void sent.push('new'));
    throw new Error('no answer');
  });
  await outbox.close(10_000);
  t.same(sent, ['new']);
});

t.test('closing gives up what cannot arrive', async (t) => {
  const outbox = createOutbox({ first: 3_600_000, last: 3_600_000 });
  outbox.put('pod', () => Promise.reject(new Error('no answer')));
  await outbox.close(1);
  outbox.put('pod', () => Promise.reject(new Error('must not be called')));
  t.pass('returned, and nothing keeps the process');
});
