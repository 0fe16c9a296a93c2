/** Containers that `kubectl debug` adds to a pod that runs. */
import t from 'tap';
import type { EphemeralContainer, Pod } from '../../../src/api/types.js';
import { deleted, makeHost, makeLab, podOf, skip, until, type TestHost } from './host.js';

/** The pod as the API has it after containers were added. */
const withMore = (pod: Pod, ...ephemeralContainers: EphemeralContainer[]): Pod => ({
  ...pod,
  spec: { ...pod.spec, ephemeralContainers },
});
const sh = (name: string, script: string, more: Partial<EphemeralContainer> = {}): EphemeralContainer => ({
  name,
  image: 'busybox',
  command: ['sh', '-c', script],
  ...more,
});
const statusOf = (host: TestHost, name: string) =>
  host.status('web')?.ephemeralContainerStatuses?.find((one) => one.name === name);

t.test('they run beside the others, once, and nothing waits for them', { skip }, async (t) => {
  const lab = makeLab(t);
  const host = makeHost(t, lab);
  const pod = podOf('web', { image: 'nginx' }, { volumes: [{ name: 'v', emptyDir: {} }] });
  host.runtime.sync([pod]);
  await host.ready('web');
  t.equal(host.status('web')?.ephemeralContainerStatuses, undefined);

  const mount = { volumeMounts: [{ name: 'v', mountPath: '/mnt/v' }], env: [{ name: 'WHO', value: 'me' }] };
  const look = sh('look', 'echo $WHO; touch /mnt/v/seen; echo no >&2; exit 3', mount);
  host.runtime.sync([withMore(pod, look)]);
  await until('it has ended', () => statusOf(host, 'look')?.state?.terminated);
  t.match(statusOf(host, 'look'), {
    ready: false,
    restartCount: 0,
    containerID: /^podwire:/,
    state: { terminated: { exitCode: 3, reason: 'Error' } },
  });
  t.match(host.status('web'), { phase: 'Running', containerStatuses: [{ name: 'main', ready: true }] });
  t.same((await host.log('web', { container: 'look' })).split('\n').sort(), ['', 'me', 'no']);

  const stay = sh('stay', 'sleep 1000', mount);
  const both = withMore(pod, look, stay);
  host.runtime.sync([both]);
  await until('the second runs', () => statusOf(host, 'stay')?.state?.running);
  t.equal((await host.execIn('web', 'stay', 'ls', '/mnt/v')).stdout, 'seen\n');
  t.match((await host.execIn('web', 'stay', 'curl', '-s', 'http://127.0.0.1/')).stdout, 'pod web');
  const { main } = host.state('web').ephemeralContainers![1]!;

  await host.runtime.close();
  const next = makeHost(t, lab);
  next.runtime.sync([both]);
  await next.ready('web');
  t.same(next.state('web').ephemeralContainers![1]!.main, main, 'the next agent takes them over');
  t.match(statusOf(next, 'look')?.state, { terminated: { exitCode: 3 } }, 'and starts none again');

  next.runtime.sync([deleted(both)]);
  await until('all is gone', () => next.removed.includes('web'));
  t.same(next.leftovers(), []);
});

t.test(
  'one that is added before the pod is made begins before its init containers have ended',
  { skip },
  async (t) => {
    const host = makeHost(t);
    const waits = {
      name: 'first',
      image: 'busybox',
      command: ['sh', '-c', 'until [ -e /tmp/go ]; do sleep 0.01; done'],
    };
    const pod = podOf('web', { image: 'nginx' }, { initContainers: [waits] });
    host.runtime.sync([withMore(pod, sh('frees', 'touch /tmp/go'))]);
    await host.ready('web');
    t.match(statusOf(host, 'frees')?.state, { terminated: { exitCode: 0, reason: 'Completed' } });
  },
);

t.test('a pod whose own containers have ended is over, and they end with it', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podOf(
    'web',
    { command: ['sh', '-c', 'until [ -e /tmp/go ]; do sleep 0.01; done'] },
    { restartPolicy: 'Never' },
  );
  host.runtime.sync([pod]);
  await host.ready('web');
  host.runtime.sync([
    withMore(pod, sh('stay', "trap 'exit 0' TERM; touch /tmp/go; while :; do sleep 0.05; done")),
  ]);
  await until('it has succeeded', () => host.status('web')?.phase === 'Succeeded');
  await until('the other has ended', () => statusOf(host, 'stay')?.state?.terminated);
});
