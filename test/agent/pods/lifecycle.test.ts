import t from 'tap';
import type { Pod } from '../../../src/api/types.js';
import { makeHost, podOf, skip, until, type TestHost } from './host.js';

const mainOf = (host: TestHost, name: string) => host.status(name)?.containerStatuses?.[0];
const readyOf = (host: TestHost, name: string) =>
  host.status(name)?.conditions?.find(({ type }) => type === 'Ready');

t.test('a container runs when its postStart hook has succeeded', { skip }, async (t) => {
  const host = makeHost(t);
  const exec = (script: string) => ({ exec: { command: ['sh', '-c', script] } });
  const wait = 'until [ -e /srv/go ]; do sleep 0.02; done';
  const command = ['sh', '-c', 'touch /srv/started; sleep 1000'];
  host.runtime.sync([
    podOf('good', { command, lifecycle: { postStart: exec(wait) } }),
    podOf('bad', { command, lifecycle: { postStart: exec('echo no way; exit 1') } }),
    podOf('page', { image: 'nginx', lifecycle: { postStart: exec('touch /srv/hooked') } }),
  ]);
  await until(
    'the program runs',
    async () => host.isThere('good') && (await host.exec('good', 'test', '-e', '/srv/started')).status === 0,
  );
  t.match(mainOf(host, 'good')?.state, { waiting: { reason: 'ContainerCreating' } });
  await host.exec('good', 'touch', '/srv/go');
  await host.ready('good');
  await host.ready('page');
  t.equal((await host.exec('page', 'test', '-e', '/srv/hooked')).status, 0);
  await until('the bad one is tried again', () => (mainOf(host, 'bad')?.restartCount ?? 0) > 0);
  t.match(
    mainOf(host, 'bad')?.lastState?.terminated?.message,
    /^PostStartHook failed, will be restarted: no way/,
  );
});

t.test('a pod with a readiness gate waits for who sets its condition', { skip }, async (t) => {
  const host = makeHost(t);
  const gate = 'example.com/in-pool';
  const pod = podOf('gated', { image: 'busybox' }, { readinessGates: [{ conditionType: gate }] });
  host.runtime.sync([pod]);
  await until('it runs', () => mainOf(host, 'gated')?.ready);
  t.match(readyOf(host, 'gated'), {
    status: 'False',
    reason: 'ReadinessGatesNotReady',
    message: `corresponding condition of pod readiness gate "${gate}" does not exist.`,
  });
  const told = (status: 'True' | 'False'): Pod => ({
    ...pod,
    status: { ...pod.status, conditions: [{ type: gate, status }] },
  });
  host.runtime.sync([told('False')]);
  await until('it is told', () => readyOf(host, 'gated')?.message?.includes('is not "True", but False'));
  host.runtime.sync([told('True')]);
  await host.ready('gated');
});

t.test('a pod that was active for too long has failed', { skip }, async (t) => {
  const host = makeHost(t);
  const command = ['sh', '-c', 'trap "exit 0" TERM; sleep 1000 & wait'];
  host.runtime.sync([podOf('slow', { command }, { activeDeadlineSeconds: 1 })]);
  const status = await until('it has failed, and ended', () => {
    const now = host.status('slow');
    return now?.phase === 'Failed' && now.containerStatuses?.[0]?.state?.terminated && now;
  });
  t.match(status, {
    reason: 'DeadlineExceeded',
    message: 'Pod was active on the node longer than the specified deadline',
    conditions: [{}, {}, {}, { type: 'Ready', status: 'False', reason: 'PodFailed' }],
    containerStatuses: [{ restartCount: 0 }],
  });
});
