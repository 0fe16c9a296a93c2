import t from 'tap';
import { podStatusText } from '../../../src/api/pod-columns.js';
import type { Container, Pod, PodSpec } from '../../../src/api/types.js';
import { signal } from '../../../src/agent/pods/procfs.js';
import { deleted, makeHost, makeLab, podOf, skip, until, type TestHost } from './host.js';

const sh = (name: string, script: string, more: Partial<Container> = {}): Container => ({
  name,
  image: 'busybox',
  command: ['sh', '-c', script],
  ...more,
});

const podWith = (
  name: string,
  initContainers: Container[],
  script: string,
  spec: Partial<PodSpec> = {},
): Pod => podOf(name, { image: 'busybox', command: ['sh', '-c', script] }, { initContainers, ...spec });

/** What `kubectl get pods -w` would have shown, without repetitions. */
const texts = (host: TestHost, pod: Pod): string[] =>
  host
    .history(pod.metadata.name)
    .map((status) => podStatusText({ ...pod, status }))
    .filter((text, i, all) => text !== all[i - 1]);

t.test('init containers run one after another, and then the others', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podWith(
    'web',
    [sh('one', 'echo one >>/srv/order; echo from one'), sh('two', 'sleep 0.2; echo two >>/srv/order')],
    'echo main >>/srv/order; sleep 1000',
  );
  host.runtime.sync([pod]);
  const status = await host.ready('web');
  t.equal((await host.exec('web', 'cat', '/srv/order')).stdout, 'one\ntwo\nmain\n');
  t.match(status, {
    phase: 'Running',
    conditions: [{}, { type: 'Initialized', status: 'True' }, {}, {}],
    initContainerStatuses: [
      { name: 'one', ready: true, restartCount: 0, state: { terminated: { reason: 'Completed' } } },
      { name: 'two', ready: true, state: { terminated: { exitCode: 0 } } },
    ],
  });
  const seen = texts(host, pod);
  t.equal(seen[0], 'Init:0/2');
  t.ok(seen.includes('Init:1/2'), seen.join(' '));
  t.equal(seen.at(-1), 'Running');
  t.match(host.history('web')[0], {
    phase: 'Pending',
    conditions: [
      {},
      {
        type: 'Initialized',
        status: 'False',
        reason: 'ContainersNotInitialized',
        message: 'containers with incomplete status: [one two]',
      },
    ],
    containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
  });
  t.equal(await host.log('web', { container: 'one' }), 'from one\n');
});

t.test('one that fails is tried again, with back-off', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podWith('late', [sh('wait', 'test -e /srv/good')], 'sleep 1000');
  host.runtime.sync([pod]);
  await until('it backs off', () => texts(host, pod).includes('Init:CrashLoopBackOff'));
  t.ok(texts(host, pod).includes('Init:Error'), texts(host, pod).join(' '));
  t.equal(host.status('late')?.phase, 'Pending');
  await host.execIn('late', 'wait', 'touch', '/srv/good');
  const status = await host.ready('late');
  t.ok(status.initContainerStatuses![0]!.restartCount > 0);
});

t.test('with restartPolicy Never its failure is the pod’s', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podWith('bad', [sh('no', 'exit 3'), sh('never', 'true')], 'true', { restartPolicy: 'Never' });
  host.runtime.sync([pod]);
  const status = await until('it has failed', () => {
    const now = host.status('bad');
    return now?.phase === 'Failed' && now;
  });
  t.match(status, {
    initContainerStatuses: [
      { state: { terminated: { exitCode: 3, reason: 'Error' } } },
      { restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } },
    ],
    containerStatuses: [{ restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } }],
  });
  t.equal(podStatusText({ ...pod, status }), 'Init:Error');
});

t.test('a sidecar starts before the others and ends after them', { skip }, async (t) => {
  const host = makeHost(t);
  const sidecar = sh('side', 'trap "echo bye; exit 0" TERM; echo up >/srv/side; sleep 1000 & wait', {
    restartPolicy: 'Always',
  });
  const pod = podWith('job', [sidecar], 'until [ -e /srv/end ]; do sleep 0.02; done; cat /srv/side', {
    restartPolicy: 'Never',
  });
  host.runtime.sync([pod]);
  await host.ready('job');
  await until('the sidecar is up', async () => (await host.exec('job', 'cat', '/srv/side')).status === 0);
  t.match(host.status('job')?.initContainerStatuses, [{ ready: true, started: true }]);

  await t.test('one that ends is started again', async () => {
    await host.exec('job', 'pkill', '-f', 'sleep 1000');
    await until('it was restarted', () => host.status('job')?.initContainerStatuses?.[0]?.restartCount === 1);
    await host.ready('job');
  });

  await host.exec('job', 'touch', '/srv/end');
  const status = await until('the pod has succeeded and its sidecar has ended', () => {
    const now = host.status('job');
    return now?.phase === 'Succeeded' && now.initContainerStatuses?.[0]?.state?.terminated && now;
  });
  t.equal(podStatusText({ ...pod, status }), 'Completed');
  t.equal(await host.log('job'), 'up\n');
  t.match(await host.log('job', { container: 'side' }), /bye\n$/, 'it had SIGTERM');
  host.runtime.sync([deleted(pod)]);
  await until('it is removed', () => host.removed.length > 0);
  t.same(host.leftovers(), []);
});

t.test('after a restart of the agent they go on where they were', { skip }, async (t) => {
  const where = makeLab(t);
  const first = makeHost(t, where);
  const pod = podWith(
    'web',
    [sh('one', 'echo one >>/srv/order'), sh('two', 'until [ -e /srv/go ]; do sleep 0.02; done')],
    'echo main >>/srv/order; sleep 1000',
  );
  first.runtime.sync([pod]);
  await until('the second runs', () => first.status('web')?.initContainerStatuses?.[1]?.state?.running);
  await first.runtime.close();
  const second = makeHost(t, where);
  second.runtime.sync([pod]);
  await until('it is known', () => second.status('web')?.initContainerStatuses?.[1]?.state?.running);
  await second.execIn('web', 'two', 'touch', '/srv/go');
  await second.ready('web');
  t.equal((await second.exec('web', 'cat', '/srv/order')).stdout, 'one\nmain\n', 'the first ran once');

  await t.test('and a new holder needs them anew', async (t) => {
    signal(second.state('web').holderPid!, 'SIGKILL');
    await until(
      'another holder',
      () => second.isThere('web') && second.status('web')?.initContainerStatuses?.[1]?.state?.running,
    );
    t.equal((await second.execIn('web', 'two', 'cat', '/srv/order')).stdout, 'one\n');
    await second.execIn('web', 'two', 'touch', '/srv/go');
    await until(
      'main runs again',
      async () => (await second.exec('web', 'grep', 'main', '/srv/order')).status === 0,
    );
  });
});
