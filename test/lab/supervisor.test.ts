import t from 'tap';
import { backOff, createSupervisor, type ChildState, type Supervisor } from '../../src/lab/supervisor.js';

/** Children that live and die on command, and a clock that moves on command. */
function bench(names: string[]) {
  let time = 0;
  let nextPid = 100;
  const timers: { at: number; action: () => void }[] = [];
  const alive = new Map<string, { pid: number; end: (how: string) => void; signals: string[] }>();
  const starts: string[] = [];
  let last: readonly ChildState[] = [];
  let broken = false;
  const supervisor: Supervisor = createSupervisor({
    start(child, ended) {
      starts.push(`${time} ${child.name}`);
      if (broken) throw new Error('spawn ENOENT');
      const entry = {
        pid: nextPid++,
        signals: [] as string[],
        end(how: string) {
          alive.delete(child.name);
          ended(how);
        },
      };
      alive.set(child.name, entry);
      return { pid: entry.pid, kill: (signal) => entry.signals.push(signal) };
    },
    after(ms, action) {
      const timer = { at: time + ms, action };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
    now: () => time,
    changed: (children) => (last = children),
  });
  for (const name of names) supervisor.add({ name, argv: [name] });
  return {
    supervisor,
    starts,
    alive,
    states: () => last,
    break: () => (broken = true),
    /** Move the clock, running what falls due on the way. */
    advance(ms: number) {
      const end = time + ms;
      for (;;) {
        const due = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        timers.splice(timers.indexOf(due), 1);
        time = due.at;
        due.action();
      }
      time = end;
    },
  };
}

t.test('all children are started, in their order', async (t) => {
  const { starts, states } = bench(['server', 'node1']);
  t.strictSame(starts, ['0 server', '0 node1']);
  t.strictSame(states(), [
    { name: 'server', pid: 100, restarts: 0 },
    { name: 'node1', pid: 101, restarts: 0 },
  ]);
});

t.test('the first restart is at once, whenever it dies', async (t) => {
  const { alive, advance, starts, states } = bench(['node1']);
  advance(500);
  alive.get('node1')!.end('SIGKILL');
  t.strictSame(starts, ['0 node1', '500 node1']);
  t.strictSame(states(), [{ name: 'node1', pid: 101, restarts: 1, lastExit: 'SIGKILL' }]);
});

t.test('what dies again and again waits longer each time, and not for ever', async (t) => {
  const { alive, advance, starts } = bench(['node1']);
  for (let failures = 1; failures <= 5; failures++) {
    alive.get('node1')!.end('exit code 1');
    advance(backOff(failures));
  }
  const times = starts.map((start) => parseInt(start, 10));
  t.strictSame(times, [0, 0, 250, 750, 1750, 3750], 'at once, then later and later');
  t.strictSame([1, 2, 3, 4, 7, 8, 20].map(backOff), [0, 250, 500, 1000, 8000, 10_000, 10_000]);
});

t.test('a long run forgives the past', async (t) => {
  const { alive, advance, starts } = bench(['node1']);
  alive.get('node1')!.end('exit code 1');
  alive.get('node1')!.end('exit code 1');
  advance(250);
  advance(10_000);
  alive.get('node1')!.end('SIGSEGV');
  t.strictSame(starts.slice(-2), ['250 node1', '10250 node1']);
});

t.test('one child’s death does not touch the others', async (t) => {
  const { alive, starts } = bench(['server', 'node1']);
  alive.get('server')!.end('exit code 1');
  t.strictSame(starts, ['0 server', '0 node1', '0 server']);
});

t.test('a program that cannot be started is tried again later', async (t) => {
  const made = bench(['node1']);
  made.break();
  made.alive.get('node1')!.end('SIGKILL');
  t.strictSame(made.states(), [{ name: 'node1', restarts: 2, lastExit: 'spawn ENOENT' }]);
  made.advance(250);
  t.equal(made.starts.length, 3);
});

t.test('stop ends all children and starts none again', async (t) => {
  const { supervisor, alive, starts, advance } = bench(['server', 'node1']);
  const stopped = supervisor.stop(5000);
  t.strictSame(
    [...alive.values()].map(({ signals }) => signals),
    [['SIGTERM'], ['SIGTERM']],
  );
  for (const child of [...alive.values()]) child.end('SIGTERM');
  await stopped;
  advance(60_000);
  t.equal(starts.length, 2);
});

t.test('stop kills what does not end in time', async (t) => {
  const { supervisor, alive, advance } = bench(['node1']);
  const stopped = supervisor.stop(5000);
  const child = alive.get('node1')!;
  advance(4999);
  t.strictSame(child.signals, ['SIGTERM']);
  advance(1);
  t.strictSame(child.signals, ['SIGTERM', 'SIGKILL']);
  child.end('SIGKILL');
  await stopped;
});

t.test('nothing is started once all are to stop', async (t) => {
  const { supervisor, starts } = bench([]);
  await supervisor.stop(5000);
  supervisor.add({ name: 'node1', argv: ['node1'] });
  t.strictSame(starts, []);
});

t.test('stop calls off a start that is set', async (t) => {
  const { supervisor, alive, advance, starts } = bench(['node1']);
  alive.get('node1')!.end('exit code 1');
  alive.get('node1')!.end('exit code 1');
  await supervisor.stop(5000);
  advance(60_000);
  t.equal(starts.length, 2);
});
