import t from 'tap';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, signal } from '../../../src/agent/pods/procfs.js';
import type { Service } from '../../../src/api/types.js';
import { makeNetns } from '../../lib/netns.js';
import { deleted, makeHost, podOf, run, skip, until } from './host.js';

t.test('a pod becomes Ready, with its own name, root and processes', { skip }, async (t) => {
  const host = makeHost(t);
  host.runtime.sync([podOf('web', { image: 'nginx', env: [{ name: 'PWT_LAB', value: host.lab }] })]);
  const status = await host.ready('web');
  t.match(status, {
    phase: 'Running',
    hostIP: '192.168.50.1',
    podIP: '10.244.1.2',
    podIPs: [{ ip: '10.244.1.2' }],
    containerStatuses: [{ name: 'main', image: 'nginx', ready: true, restartCount: 0 }],
  });
  t.same(host.asked, [`attach web ${host.lab}.n1.default.web`]);

  await t.test('its own name', async (t) => {
    t.equal((await host.exec('web', 'hostname')).stdout, 'web\n');
    t.match((await host.exec('web', 'cat', '/etc/hosts')).stdout, /^10\.244\.1\.2\tweb$/m);
    t.match((await host.exec('web', 'getent', 'hosts', 'web')).stdout, /10\.244\.1\.2/);
    t.match((await host.exec('web', 'cat', '/etc/nsswitch.conf')).stdout, /^hosts: files dns$/m);
  });

  await t.test('what it writes stays private', async (t) => {
    const path = `/etc/pwt-${process.pid}-file`;
    t.equal(
      (await host.exec('web', 'sh', '-c', `echo mine >${path} && echo too >/tmp/pwt-x && cat ${path}`))
        .stdout,
      'mine\n',
    );
    t.notOk(existsSync(path), 'not on the machine');
    t.notOk(existsSync('/tmp/pwt-x'));
    t.equal((await host.exec('web', 'ls', '-A', '/tmp')).stdout, 'pwt-x\n', 'the machine’s /tmp is not seen');
    t.notMatch((await host.exec('web', 'ls', '-A', '/run')).stdout, /netns|podwire/, 'nor its /run');
  });

  await t.test('ps and pkill see the pod alone', async (t) => {
    const lines = (await host.exec('web', 'ps', '-e', '-o', 'pid,args')).stdout.trim().split('\n');
    t.match(lines[1], /^\s*1 sleep infinity$/);
    t.equal(lines.length, 3, 'header, PID 1, ps');
  });

  await t.test('its devices work', async (t) => {
    const script =
      'echo x >/dev/null && head -c 4 /dev/urandom | wc -c && head -c 3 /dev/zero | wc -c && tty </dev/ptmx; ls /dev';
    const { stdout } = await host.exec('web', 'sh', '-c', script);
    t.match(stdout, /^4\n3\n/);
    for (const name of [
      'fd',
      'full',
      'null',
      'ptmx',
      'pts',
      'random',
      'shm',
      'stdout',
      'tty',
      'urandom',
      'zero',
    ])
      t.match(stdout, new RegExp(`^${name}$`, 'm'), name);
  });

  await t.test('its /sys shows its own network, read-only', async (t) => {
    t.equal((await host.exec('web', 'ls', '/sys/class/net')).stdout, 'lo\n');
    t.not((await host.exec('web', 'sh', '-c', 'echo 1 >/sys/class/net/lo/mtu')).status, 0);
  });

  await t.test('what is orphaned in it is reaped', async () => {
    await host.exec('web', 'sh', '-c', '(sleep 0.05 &)');
    await until(
      'no process is left',
      async () => !/sleep 0|defunct/.test((await host.exec('web', 'ps', '-e', '-o', 'args')).stdout),
    );
  });

  await t.test('its server answers', async (t) => {
    const page = (await host.exec('web', 'curl', '-s', 'http://127.0.0.1/')).stdout;
    t.match(page, 'This is pod web.');
    t.match(
      (await host.exec('web', 'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1/no'))
        .stdout,
      '404',
    );
    t.match(await host.log('web'), /"GET \/ HTTP\/1.1" 200/);
  });

  await t.test('exec has the container’s environment and passes the exit code on', async (t) => {
    t.equal(
      (await host.exec('web', 'sh', '-c', 'echo $PWT_LAB $HOSTNAME $HOME; exit 7')).stdout,
      `${host.lab} web /root\n`,
    );
    t.equal((await host.exec('web', 'sh', '-c', 'exit 7')).status, 7);
    t.equal((await host.exec('web', 'sh', '-c', 'kill -TERM $$')).signal, 'SIGTERM');
    t.equal((await host.exec('web', 'pwt-no-such')).status, 127);
  });

  await t.test('deleted, it leaves nothing', async (t) => {
    const { holderPid = 0, holderStart = 0 } = host.state('web');
    host.runtime.sync([deleted(podOf('web', { image: 'nginx' }))]);
    await until('it is removed', () => host.removed.length > 0);
    t.same(host.removed, ['web']);
    t.equal(host.asked.at(-1), 'detach web');
    t.notOk(isAlive({ pid: holderPid, startTime: holderStart }));
    t.same(host.leftovers(), []);
  });
});

t.test('a command runs, writes its log, and ends with its pod', { skip }, async (t) => {
  const host = makeHost(t);
  const script = 'trap "echo bye; exit 0" TERM; echo "in $PWD as $NAME"; sleep 1000 & wait';
  const pod = podOf('worker', {
    image: 'alpine',
    command: ['sh', '-c'],
    args: [script],
    workingDir: '/srv/made',
    env: [
      { name: 'PWT_LAB', value: host.lab },
      { name: 'NAME', value: 'w-$(PWT_LAB)' },
    ],
  });
  host.runtime.sync([pod]);
  await host.ready('worker');
  await until('it sleeps', async () => (await host.exec('worker', 'pgrep', '-x', 'sleep')).status === 0);
  await until('its words are in the log', async () => (await host.log('worker')) !== '');
  t.equal(await host.log('worker'), `in /srv/made as w-${host.lab}\n`);
  const follower = host.log('worker', { follow: true });
  host.runtime.sync([]);
  t.match(await follower, /bye\n$/, 'it had SIGTERM, and a follower saw its last word');
  await until('nothing is left', () => host.leftovers().length === 0);
  t.same(host.removed, [], 'it has vanished from the API already');
});

t.test('a command that ignores SIGTERM is killed after the grace', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podOf('deaf', { command: ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.05; done'] });
  host.runtime.sync([pod]);
  await host.ready('deaf');
  const before = performance.now();
  host.runtime.sync([deleted(pod, 1)]);
  await until('it is removed', () => host.removed.length > 0);
  t.ok(performance.now() - before > 900, 'not before the grace is over');
  t.match(host.status('deaf')?.containerStatuses?.[0].state, {
    terminated: { exitCode: 137, reason: 'Error' },
  });
  t.same(host.leftovers(), []);
});

t.test('restart policy and back-off', { skip }, async (t) => {
  const host = makeHost(t);
  const fails = { command: ['sh', '-c', 'echo run; exit 3'] };
  host.runtime.sync([
    podOf('always', fails),
    podOf('never', fails, { restartPolicy: 'Never' }),
    podOf('job', { command: ['true'] }, { restartPolicy: 'OnFailure' }),
    podOf('absent', { command: ['pwt-no-such'] }, { restartPolicy: 'Never' }),
  ]);
  await until(
    'it has started three times',
    () => (host.status('always')?.containerStatuses?.[0].restartCount ?? 0) >= 2,
  );
  const waiting = host
    .history('always')
    .find(({ containerStatuses }) => containerStatuses?.[0].state?.waiting?.reason === 'CrashLoopBackOff');
  t.match(waiting, {
    phase: 'Running',
    conditions: [
      { type: 'PodScheduled', status: 'True' },
      { type: 'Initialized', status: 'True' },
      { type: 'ContainersReady', status: 'False', reason: 'ContainersNotReady' },
      { type: 'Ready', status: 'False', message: 'containers with unready status: [main]' },
    ],
    containerStatuses: [
      {
        restartCount: 1,
        state: {
          waiting: { message: 'back-off 1s restarting failed container=main pod=always_default(uid-always)' },
        },
        lastState: { terminated: { exitCode: 3, reason: 'Error' } },
      },
    ],
  });
  t.equal(await host.log('always', { previous: true }), 'run\n');

  await until('the others have ended', () =>
    ['never', 'job', 'absent'].every((name) => /Succeeded|Failed/.test(host.status(name)?.phase ?? '')),
  );
  t.match(host.status('never'), {
    phase: 'Failed',
    containerStatuses: [
      { ready: false, restartCount: 0, state: { terminated: { exitCode: 3, reason: 'Error' } } },
    ],
  });
  t.match(host.status('job'), {
    phase: 'Succeeded',
    containerStatuses: [{ state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
  });
  t.match(host.status('absent')?.containerStatuses?.[0].state?.terminated, {
    exitCode: 128,
    reason: 'StartError',
    message: /exec: "pwt-no-such": executable file not found in \$PATH: unknown$/,
  });
});

t.test('a holder that is killed is made again, its containers with it', { skip }, async (t) => {
  const host = makeHost(t);
  host.runtime.sync([
    podOf('idle', { image: 'nginx' }),
    podOf('busy', { command: ['sleep', '1000'], env: [{ name: 'PWT_LAB', value: host.lab }] }),
  ]);
  await host.ready('idle');
  await host.ready('busy');
  for (const name of ['idle', 'busy']) signal(host.state(name).holderPid ?? 0, 'SIGKILL');
  await until('busy runs again', () => host.status('busy')?.containerStatuses?.[0].restartCount === 1);
  await host.ready('busy');
  t.match(host.status('busy')?.containerStatuses?.[0].lastState, { terminated: { exitCode: 137 } });
  t.match(
    await until(
      'idle is back',
      async () =>
        host.isThere('idle') &&
        ((await host.exec('idle', 'curl', '-s', 'http://127.0.0.1/')).stdout || undefined),
    ),
    'pod idle',
  );
  await host.runtime.removeAll();
  t.same(host.leftovers(), []);
});

t.test('a pod waits until its predecessor of the same name is gone', { skip }, async (t) => {
  const host = makeHost(t);
  const first = podOf('db-0', { command: ['sh', '-c', 'trap "" TERM; while :; do sleep 0.05; done'] });
  const second = { ...first, metadata: { ...first.metadata, uid: 'uid-second' } };
  host.runtime.sync([first]);
  await host.ready('db-0');
  host.runtime.sync([deleted(first), second]);
  const state = await until('the second one runs', () => {
    try {
      return host.state('db-0').uid === 'uid-second' && host.state('db-0');
    } catch {
      return undefined;
    }
  });
  t.same(host.removed, ['db-0']);
  t.ok(existsSync(join(host.dir, state.uid, 'state.json')));
});

t.test('what cannot be made says why, and is tried again', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podOf('two', { image: 'nginx' });
  pod.spec.containers.push({ name: 'other', image: 'nginx' });
  host.runtime.sync([pod]);
  await until('the second server had no port', () =>
    host
      .status('two')
      ?.containerStatuses?.some(({ lastState }) => /EADDRINUSE|in use/i.test(JSON.stringify(lastState))),
  );
  t.equal(host.status('two')?.conditions?.find(({ type }) => type === 'Ready')?.status, 'False');
});

t.test('a pod with hostNetwork is on its host, and leaves it as it was', { skip }, async (t) => {
  const netns = makeNetns(t);
  const host = makeHost(t, undefined, { netns });
  const pod = podOf('hosted', { image: 'nginx' }, { hostNetwork: true });
  host.runtime.sync([pod]);
  t.match(await host.ready('hosted'), { podIP: '10.244.1.2', hostIP: '192.168.50.1' });
  t.same(host.asked, [], 'no NIC');
  t.notOk(existsSync(`/run/netns/${host.lab}.n1.default.hosted`), 'no namespace');
  const namespace = await run(['nsenter', `--net=/run/netns/${netns}`, 'readlink', '/proc/self/ns/net']);
  t.equal((await host.exec('hosted', 'readlink', '/proc/self/ns/net')).stdout, namespace.stdout);
  const page = await run(['nsenter', `--net=/run/netns/${netns}`, 'curl', '-s', 'http://127.0.0.1/']);
  t.match(page.stdout, 'This is pod hosted.', 'its server is the host’s');
  t.equal((await host.exec('hosted', 'hostname')).stdout, 'n1\n');
  t.match(
    (await host.exec('hosted', 'cat', '/etc/hosts')).stdout,
    /\(host network\)[^]*^10\.244\.1\.2\tn1$/m,
  );

  signal(host.state('hosted').holderPid ?? 0, 'SIGKILL');
  await until('it is back', () => host.isThere('hosted'));
  host.runtime.sync([deleted(pod)]);
  await until('it is removed', () => host.removed.length > 0);
  t.ok(existsSync(`/run/netns/${netns}`));
  t.same(host.leftovers(), []);
});

t.test('a container is told of the Services there are when it starts', { skip }, async (t) => {
  const services: Service[] = [];
  const host = makeHost(t, undefined, { services: () => services });
  const env = [
    { name: 'DB', value: 'http://$(DB_SERVICE_HOST):$(DB_SERVICE_PORT)' },
    { name: 'DB_PORT', value: 'mine' },
  ];
  const command = ['sh', '-c', 'echo "$DB $DB_PORT $DB_PORT_5432_TCP_PROTO"; exec sleep 1000'];
  host.runtime.sync([podOf('early', { command, env })]);
  await host.ready('early');
  services.push({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'db', namespace: 'default' },
    spec: { clusterIP: '10.96.0.9', ports: [{ port: 5432 }] },
  });
  host.runtime.sync([podOf('early', { command, env }), podOf('late', { command, env })]);
  await host.ready('late');
  const line = (name: string) => async () => (await host.log(name)) || undefined;
  t.equal(await until('late has written', line('late')), 'http://10.96.0.9:5432 mine tcp\n');
  t.equal(
    await until('early has written', line('early')),
    'http://$(DB_SERVICE_HOST):$(DB_SERVICE_PORT) mine \n',
  );
  t.match((await host.exec('late', 'env')).stdout, /^DB_SERVICE_HOST=10\.96\.0\.9$/m, 'exec has the same');
});
