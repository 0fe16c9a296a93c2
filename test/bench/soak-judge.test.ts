import t from 'tap';
import { judgeSoak, type SoakWindow } from './soak-judge.js';

const window = (change: Partial<SoakWindow> = {}): SoakWindow => ({
  packets: 100_000,
  nsPerPacket: 3000,
  rssBytes: 100 << 20,
  fds: 60,
  drops: 10,
  pods: 4,
  ...change,
});

/** Ten windows, each as `change` says of its place. */
const soak = (change: (i: number) => Partial<SoakWindow>): SoakWindow[] =>
  Array.from({ length: 10 }, (_, i) => window(change(i)));

t.test('ten equal windows, noise, and a slow warm-up are well', async (t) => {
  t.same(judgeSoak(soak(() => ({}))), []);
  t.same(
    judgeSoak(soak((i) => ({ nsPerPacket: 3000 + (i % 3) * 500, fds: 60 + (i & 1), drops: i * 5 }))),
    [],
  );
  t.same(judgeSoak(soak((i) => (i === 0 ? { nsPerPacket: 90_000, rssBytes: 1, fds: 1 } : {}))), []);
});

t.test('whatever grows is told', async (t) => {
  for (const [change, sentence] of [
    [(i: number) => ({ nsPerPacket: 3000 + i * 500 }), /A packet took 4000 ns at the beginning and 7000 ns/],
    [(i: number) => ({ rssBytes: (100 + i * 10) << 20 }), /Memory grew from 120 MiB to 180 MiB/],
    [(i: number) => ({ fds: 60 + i }), /Open files grew from 62 to 68/],
    [
      (i: number) => ({ drops: i * 500 }),
      /Dropped at the beginning 1.00 % of all packets, at the end 4.00 %/,
    ],
    [(i: number) => ({ packets: i === 5 ? 0 : 1000 }), /No packets in some windows/],
  ] as const) {
    const problems = judgeSoak(soak(change));
    t.equal(problems.length, 1);
    t.match(problems[0], sentence);
  }
});

t.test('too few windows are no verdict', async (t) => {
  t.match(judgeSoak([window(), window(), window()]), [/Too short to judge: 3 windows/]);
});
