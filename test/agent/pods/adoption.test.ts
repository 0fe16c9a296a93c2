import { pino } from 'pino';
import t from 'tap';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { Pod } from '../../../src/api/types.js';
import { findPod } from '../../../src/agent/pods/enter.js';
import { processesWithEnv } from '../../../src/agent/pods/procfs.js';
import { output, printed, start } from '../../lib/spawn.js';
import { deleted, leftovers, makeHost, makeLab, podOf, run, skip, until, type TestLab } from './host.js';

const CHILD = fileURLToPath(new URL('./agent-child.js', import.meta.url));

const startAgent = (t: Test, lab: TestLab, pods: Pod[], ...more: string[]): ChildProcess =>
  start(t, [process.execPath, CHILD, JSON.stringify(lab), JSON.stringify(pods), ...more]);

const logOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // nothing was written yet
  }
};

const kill9 = async (agent: ChildProcess): Promise<void> => {
  const gone = once(agent, 'exit');
  agent.kill('SIGKILL');
  await gone;
};

t.test('pods and their processes live through kill -9 of the agent', { skip }, async (t) => {
  const lab = makeLab(t);
  const pods = [
    podOf('web', { image: 'nginx' }),
    podOf('counter', { command: ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done'] }),
    podOf(
      'short',
      { command: ['sh', '-c', 'until [ -e /tmp/end ]; do sleep 0.01; done; exit 5'] },
      { restartPolicy: 'Never' },
    ),
  ];
  const agent = startAgent(t, lab, pods);
  const ready = Promise.all(
    pods.map(({ metadata }) => printed(agent, new RegExp(`^${metadata.name} .*"ready":true`, 'm'))),
  );
  await ready;
  await kill9(agent);

  const host = makeHost(t, lab);
  const before = host.state('counter');
  t.equal((await host.exec('web', 'hostname')).stdout, 'web\n', 'exec works without an agent');
  t.not((await host.exec('web', 'curl', '-s', 'http://127.0.0.1/')).status, 0, 'its servers do not');
  await host.exec('short', 'touch', '/tmp/end');
  await until('short has ended while nobody looked', () =>
    readdirSync(join(lab.dir, 'uid-short', 'main')).includes('1.exit'),
  );

  host.runtime.sync(pods);
  await host.ready('web');
  await host.ready('counter');
  t.ok(host.asked.includes(`attach web ${lab.lab}.n1.default.web`), 'attached again');
  t.match(
    (await host.exec('web', 'curl', '-s', 'http://127.0.0.1/')).stdout,
    'pod web',
    'the servers are back',
  );
  t.same(host.state('counter').holderPid, before.holderPid);
  t.same(host.state('counter').containers[0].main, before.containers[0].main, 'the same process');
  t.equal(host.status('counter')?.containerStatuses?.[0].restartCount, 0);
  const numbers = (await host.log('counter')).trim().split('\n').map(Number);
  t.same(
    numbers,
    numbers.map((_, i) => i + 1),
    'no line is missing',
  );
  await until('the exit code is known', () => host.status('short')?.phase === 'Failed');
  t.match(host.status('short')?.containerStatuses?.[0].state, {
    terminated: { exitCode: 5, reason: 'Error' },
  });

  const { main } = host.state('counter').containers[0];
  process.kill(main?.pid ?? 0, 'SIGKILL');
  await until(
    'an adopted command is started again',
    () => host.status('counter')?.containerStatuses?.[0].restartCount === 1,
  );

  host.runtime.sync(pods.map((pod) => deleted(pod)));
  await until('all are removed', () => host.removed.length === 3);
  t.same(host.leftovers(), []);
});

t.test(
  'what is written while there is no agent comes into the log, also after the end',
  { skip },
  async (t) => {
    const lab = makeLab(t);
    const script = (last: string) =>
      `echo up; until [ -e /tmp/go ]; do sleep 0.01; done; echo out >/dev/stdout; echo err >/dev/stderr; ${last}`;
    const pods = [
      podOf('goes-on', { command: ['sh', '-c', script('sleep 1000')] }),
      podOf('ends', { command: ['sh', '-c', script('exit 3')] }, { restartPolicy: 'Never' }),
    ];
    const agent = startAgent(t, lab, pods);
    await Promise.all(
      pods.map(({ metadata: { name } }) => printed(agent, new RegExp(`^${name} .*"ready":true`, 'm'))),
    );
    await until('the first words are in the logs', () =>
      pods.every(({ metadata: { uid } }) => /up$/m.test(logOf(join(lab.dir, uid!, 'main', '1.log')))),
    );
    await kill9(agent);
    const host = makeHost(t, lab);
    for (const { metadata } of pods) await host.exec(metadata.name, 'touch', '/tmp/go');
    await until('one has ended while nobody looked', () =>
      readdirSync(join(lab.dir, 'uid-ends', 'main')).includes('1.exit'),
    );
    const before = Date.now();
    host.runtime.sync(pods);
    await until('its end is known', () => host.status('ends')?.phase === 'Failed');
    const ended = await host.log('ends', { timestamps: true });
    t.same(ended.replace(/^\S+ /gm, '').split('\n').sort(), ['', 'err', 'out', 'up']);
    t.ok(Date.parse(ended.split(' ')[0]!) < before, 'a line from before has its own time');
    await until('the other goes on', async () => /^err$/m.test(await host.log('goes-on')));
    t.same(
      readdirSync(join(lab.dir, 'uid-ends', 'main')).sort(),
      ['1.exit', '1.log', '1.start'],
      'no FIFO is left',
    );
  },
);

t.test('an agent that ends in peace leaves the pods to the next', { skip }, async (t) => {
  const lab = makeLab(t);
  const pods = [podOf('web', { image: 'nginx' }), podOf('busy', { command: ['sleep', '1000'] })];
  const first = makeHost(t, lab);
  first.runtime.sync(pods);
  await first.ready('web');
  await first.ready('busy');
  const { holderPid } = first.state('web');
  await first.runtime.close();
  const second = makeHost(t, lab);
  second.runtime.sync(pods);
  await second.ready('web');
  t.equal(second.state('web').holderPid, holderPid);
  t.equal((await second.ready('busy')).containerStatuses?.[0].restartCount, 0);
});

t.test('a new agent removes what is no longer wanted', { skip }, async (t) => {
  const lab = makeLab(t);
  const agent = startAgent(t, lab, [podOf('old', { command: ['sleep', '1000'] })]);
  await printed(agent, /^old .*"ready":true/m);
  await kill9(agent);
  const host = makeHost(t, lab);
  host.runtime.sync([]);
  await until('nothing is left', () => host.leftovers().length === 0);
  t.equal(host.asked.at(-1), 'detach old');
});

t.test('what is half made is finished by the next agent', { skip }, async (t) => {
  const lab = makeLab(t);
  const pod = podOf('half', { image: 'nginx' });
  const agent = startAgent(t, lab, [pod], 'attach-hangs');
  await printed(agent, /^attaching$/m);
  await kill9(agent);
  const host = makeHost(t, lab);
  host.runtime.sync([pod]);
  await host.ready('half');
  t.equal(processesWithEnv(`PODWIRE_HOLDER=${join(lab.dir, 'uid-half')}`).length, 1, 'one holder');
});

t.test('an agent that dies at any moment leaves nothing that the next cannot remove', { skip }, async (t) => {
  const lab = makeLab(t);
  const pods = ['a', 'b'].map((name) => podOf(name, { command: ['sleep', '1000'] }));
  // From the folder to the running command takes some 100 ms: moments spread over all of it.
  for (let delayMs = 0; delayMs <= 150; delayMs += 25) {
    const agent = startAgent(t, lab, pods);
    await until('it has begun', () => {
      try {
        return readdirSync(lab.dir).length > 0;
      } catch {
        return undefined;
      }
    });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await kill9(agent);
    const host = makeHost(t, lab);
    host.runtime.sync([]);
    await until('nothing is left', () => host.leftovers().length === 0);
    await host.runtime.close();
  }
});

t.test('what an exec has started ends with the next agent, and nothing else does', { skip }, async (t) => {
  const lab = makeLab(t);
  const pod = podOf('busy', { command: ['sleep', '1000'] });
  const agent = startAgent(t, lab, [pod], 'exec');
  await printed(agent, /^busy .*"ready":true/m);
  const host = makeHost(t, lab);
  const running = async (): Promise<string[]> =>
    (await host.exec('busy', 'pgrep', '-a', '^sleep')).stdout
      .replace(/^\d+ /gm, '')
      .trim()
      .split('\n')
      .sort();
  const all = ['sleep 1000', 'sleep 2001', 'sleep 2002', 'sleep infinity'];
  await until('it runs', async () => (await running()).join() === all.join());
  await kill9(agent);
  t.same(await running(), all, 'its own agent could not end it');
  host.runtime.sync([pod]);
  await until('it has ended', async () => (await running()).join() === 'sleep 1000,sleep infinity');
  await host.ready('busy');
  t.equal(host.status('busy')?.containerStatuses?.[0].restartCount, 0);
});

t.test('a command whose waiter was killed is not lost', { skip }, async (t) => {
  const lab = makeLab(t);
  const pod = podOf('busy', { command: ['sleep', '1000'] });
  const agent = startAgent(t, lab, [pod]);
  await printed(agent, /^busy .*"ready":true/m);
  await kill9(agent);
  const [{ waiter }] = makeHost(t, lab).state('busy').containers;
  process.kill(waiter?.pid ?? 0, 'SIGKILL');
  const host = makeHost(t, lab);
  host.runtime.sync([pod]);
  await until('it runs again', () => host.status('busy')?.containerStatuses?.[0].restartCount === 1);
  await host.ready('busy');
  t.match(host.status('busy')?.containerStatuses?.[0].lastState, {
    terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' },
  });
  const { stdout } = await host.exec('busy', 'pgrep', '-c', '-f', '^sleep 1000');
  t.equal(stdout, '1\n', 'the first one was ended');
});

t.test('a pod whose network never comes up can be removed', { skip }, async (t) => {
  const lab = makeLab(t);
  const host = makeHost(t, lab, { attach: () => new Promise(() => {}) });
  const pod = podOf('web', { image: 'nginx' });
  host.runtime.sync([pod]);
  await until('it has a holder', () => findPod(lab.runDir, lab.lab, 'default', 'web'));
  host.runtime.sync([deleted(pod)]);
  await until('it is removed', () => host.removed.length > 0);
  t.same(host.leftovers(), []);
});

t.test('a network that fails at first is asked again, and status and log say why', { skip }, async (t) => {
  const lines: string[] = [];
  const host = makeHost(t, undefined, {
    log: pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) }),
    attach: async () => {
      if (host.history('web').length === 0) throw new Error('Cannot open TAP "eth0": no /dev/net/tun');
    },
  });
  host.runtime.sync([podOf('web', { image: 'nginx' })]);
  await host.ready('web');
  t.match(host.history('web')[0], {
    phase: 'Pending',
    containerStatuses: [{ state: { waiting: { message: 'Cannot open TAP "eth0": no /dev/net/tun' } } }],
  });
  t.notOk(host.status('web')?.containerStatuses?.[0].state?.waiting);
  t.match(JSON.parse(lines[0]), {
    msg: 'cannot make the pod; trying again',
    err: { message: 'Cannot open TAP "eth0": no /dev/net/tun' },
  });
});

t.test('foreign leftovers of a name do not hinder', { skip }, async (t) => {
  const lab = makeLab(t);
  output(['ip', 'netns', 'add', `${lab.lab}.n1.default.web`]);
  mkdirSync(join(lab.dir, 'uid-nothing'), { recursive: true });
  const host = makeHost(t, lab);
  host.runtime.sync([podOf('web', { image: 'nginx' })]);
  await host.ready('web');
  await until('the empty folder is gone', () => !readdirSync(lab.dir).includes('uid-nothing'));
  await host.runtime.removeAll();
  t.same(leftovers(lab.lab, lab.runDir), []);
});

t.test('a pod whose namespace was taken away is made anew', { skip }, async (t) => {
  const lab = makeLab(t);
  const pod = podOf('web', { image: 'nginx' });
  const first = makeHost(t, lab);
  first.runtime.sync([pod]);
  await first.ready('web');
  await first.runtime.close();
  const { holderPid, netns } = first.state('web');
  process.kill(holderPid ?? 0, 'SIGKILL');
  await run(['ip', 'netns', 'del', netns ?? '']);
  const second = makeHost(t, lab);
  second.runtime.sync([pod]);
  await second.ready('web');
  t.match((await second.exec('web', 'curl', '-s', 'http://127.0.0.1/')).stdout, 'pod web');
});

t.test('the state on disk is for people too', { skip }, async (t) => {
  const host = makeHost(t);
  host.runtime.sync([podOf('web', { image: 'nginx' })]);
  await host.ready('web');
  const text = readFileSync(join(host.dir, 'uid-web', 'state.json'), 'utf8');
  t.match(text, /^ {2}"netns": ".*\.n1\.default\.web",$/m);
  t.match(JSON.parse(text), { namespace: 'default', name: 'web', containers: [{ name: 'main', run: 1 }] });
  t.equal(JSON.stringify(JSON.parse(text), null, 2) + '\n', text);
});
