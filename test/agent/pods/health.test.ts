import t from 'tap';
import type { Container, Pod, PodSpec, PodStatus } from '../../../src/api/types.js';
import { attachAddress, deleted, makeHost, makeLab, podOf, skip, until, type TestHost } from './host.js';

const readyOf = (status: PodStatus | undefined) => status?.conditions?.find(({ type }) => type === 'Ready');
const mainOf = (host: TestHost, name: string) => host.status(name)?.containerStatuses?.[0];
/** One failure counts, so no look may fail for want of time. */
const FAST = { periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 30 };
const hasFile = { exec: { command: ['cat', '/tmp/good'] }, ...FAST };

const probed = (name: string, container: Partial<Container>, spec: Partial<PodSpec> = {}): Pod =>
  podOf(name, { image: 'alpine', ...container }, spec);

t.test('a pod is Ready while its readiness probe says so', { skip }, async (t) => {
  const host = makeHost(t);
  host.runtime.sync([probed('web', { readinessProbe: hasFile })]);
  await until('it runs', () => mainOf(host, 'web')?.state?.running);
  t.match(host.status('web'), {
    phase: 'Running',
    conditions: [
      { type: 'PodScheduled', status: 'True' },
      { type: 'Initialized', status: 'True' },
      { type: 'ContainersReady', status: 'False', reason: 'ContainersNotReady' },
      { type: 'Ready', status: 'False', message: 'containers with unready status: [main]' },
    ],
    containerStatuses: [{ ready: false, started: true }],
  });
  await host.exec('web', 'touch', '/tmp/good');
  await host.ready('web');
  t.match(mainOf(host, 'web'), { ready: true, restartCount: 0 });
  await host.exec('web', 'rm', '/tmp/good');
  await until('it is not ready', () => readyOf(host.status('web'))?.status === 'False');
});

t.test('requests go to the pod’s own address', { skip }, async (t) => {
  const host = makeHost(t, undefined, { attach: attachAddress });
  const ports = [{ name: 'http', containerPort: 80 }];
  const pod = (name: string, readinessProbe: Container['readinessProbe']) =>
    probed(name, { image: 'nginx', ports, readinessProbe });
  host.runtime.sync([
    pod('page', { httpGet: { port: 'http' }, ...FAST }),
    pod('open', { tcpSocket: { port: 80 }, ...FAST }),
    pod('missing', { httpGet: { port: 80, path: '/nothing' }, ...FAST }),
  ]);
  await host.ready('page');
  await host.ready('open');
  await until('it has been asked', async () =>
    (await host.log('missing')).includes('"GET /nothing HTTP/1.1" 404 14 "-" "kube-probe/podwire"'),
  );
  t.equal(readyOf(host.status('missing'))?.status, 'False');
  await until('it says why', () => host.status('missing')?.message);
  t.equal(
    host.status('missing')?.message,
    'container main: Readiness probe failed: HTTP probe failed with statuscode: 404',
  );
  t.equal(host.status('page')?.message, undefined);
  t.match(await host.log('page'), /^10\.244\.1\.2 /m);
});

t.test('what fails its liveness probe is started again, by any policy but Never', { skip }, async (t) => {
  const host = makeHost(t);
  const container = {
    command: ['sh', '-c', 'trap "exit 0" TERM; touch /tmp/good; sleep 1000 & wait'],
    // Until the file is there for the first time.
    startupProbe: { ...hasFile, failureThreshold: 60 },
    livenessProbe: hasFile,
  };
  host.runtime.sync([
    probed('again', container, { restartPolicy: 'OnFailure' }),
    probed('once', container, { restartPolicy: 'Never' }),
  ]);
  await host.ready('again');
  await host.ready('once');
  for (const name of ['again', 'once']) await host.exec(name, 'rm', '/tmp/good');
  await until('again was started again', () => mainOf(host, 'again')?.restartCount === 1);
  t.match(mainOf(host, 'again')?.lastState?.terminated, {
    exitCode: 0,
    reason: 'Completed',
    message:
      'Container main failed liveness probe, will be restarted: cat: /tmp/good: No such file or directory',
  });
  await host.ready('again');
  await until('once has ended', () => host.status('once')?.phase === 'Succeeded');
  t.match(mainOf(host, 'once')?.state?.terminated?.message, /^Container main failed liveness probe: cat/);
});

t.test('a built-in server is started again as well', { skip }, async (t) => {
  const host = makeHost(t, undefined, { attach: attachAddress });
  const livenessProbe = { httpGet: { port: 80, path: '/nothing' }, ...FAST };
  host.runtime.sync([probed('web', { image: 'nginx', livenessProbe })]);
  await until('it was started again', () => (mainOf(host, 'web')?.restartCount ?? 0) >= 2);
  t.match(mainOf(host, 'web')?.lastState?.terminated, {
    message: /failed liveness probe, will be restarted: HTTP probe failed with statuscode: 404$/,
  });
});

t.test('a container has started when its startup probe says so', { skip }, async (t) => {
  const host = makeHost(t);
  host.runtime.sync([
    probed('slow', { startupProbe: { ...hasFile, failureThreshold: 60 } }),
    probed('never', { startupProbe: hasFile }),
  ]);
  await until('it runs', () => mainOf(host, 'slow')?.state?.running);
  t.match(mainOf(host, 'slow'), { ready: false, started: false });
  await host.exec('slow', 'touch', '/tmp/good');
  await host.ready('slow');
  t.match(mainOf(host, 'slow'), { ready: true, started: true, restartCount: 0 });
  await until('never was started again', () => (mainOf(host, 'never')?.restartCount ?? 0) > 0);
  t.match(mainOf(host, 'never')?.lastState?.terminated?.message, /^Container main failed startup probe,/);
});

t.test('a pod that is being deleted serves until its preStop hook is done', { skip }, async (t) => {
  const host = makeHost(t);
  const hook = 'echo begun >/tmp/hook; until [ -e /tmp/go ]; do sleep 0.02; done';
  const pod = probed('web', {
    image: 'nginx',
    readinessProbe: { ...hasFile, exec: { command: ['true'] } },
    lifecycle: { preStop: { exec: { command: ['sh', '-c', hook] } } },
  });
  host.runtime.sync([pod]);
  await host.ready('web');
  host.runtime.sync([deleted(pod, 300)]);
  await until('the hook has begun', async () => (await host.exec('web', 'cat', '/tmp/hook')).status === 0);
  t.match((await host.exec('web', 'curl', '-s', 'http://127.0.0.1/')).stdout, 'pod web');
  t.equal(readyOf(host.status('web'))?.status, 'True', 'who may ask it is the endpoints’ business');
  t.same(host.removed, []);
  await host.exec('web', 'touch', '/tmp/go');
  await until('it is removed', () => host.removed.length > 0);
  t.same(host.leftovers(), []);
});

t.test('a preStop hook has no more time than the grace', { skip }, async (t) => {
  const host = makeHost(t);
  const lifecycle = (handler: object) => ({ lifecycle: { preStop: handler } });
  const pods = [
    probed('naps', lifecycle({ sleep: { seconds: 1000 } })),
    probed('hangs', lifecycle({ exec: { command: ['sh', '-c', 'touch /tmp/hook; sleep 1000'] } })),
    probed('waits', { command: ['sleep', '1000'], ...lifecycle({ sleep: { seconds: 1000 } }) }),
  ];
  host.runtime.sync(pods);
  for (const { metadata } of pods) await host.ready(metadata.name);
  host.runtime.sync(pods.map((pod) => deleted(pod, 1000)));
  await until('a hook runs', async () => (await host.exec('hangs', 'cat', '/tmp/hook')).status === 0);
  host.runtime.sync(pods.map((pod) => deleted(pod, 1)));
  await until('they are removed', () => host.removed.length === 3);
  t.same(host.leftovers(), []);
});

t.test('a restart of the agent takes no pod out of its Services', { skip }, async (t) => {
  const lab = makeLab(t);
  const pods = [
    probed('web', { startupProbe: hasFile, readinessProbe: { ...hasFile, periodSeconds: 60 } }),
    probed('not', { readinessProbe: { ...hasFile, periodSeconds: 60 } }),
  ];
  const first = makeHost(t, lab);
  first.runtime.sync([pods[0]]);
  await until('web runs', () => mainOf(first, 'web')?.state?.running);
  await first.exec('web', 'touch', '/tmp/good');
  await first.ready('web');
  first.runtime.sync(pods);
  await until('not runs', () => mainOf(first, 'not')?.state?.running);
  await first.runtime.close();
  const second = makeHost(t, lab);
  second.runtime.sync(pods);
  await second.ready('web');
  await until('not is reported', () => mainOf(second, 'not')?.state?.running);
  t.strictSame(
    second.history('web').map((status) => readyOf(status)?.status),
    ['True'],
  );
  t.equal(readyOf(second.status('not'))?.status, 'False');
});
