import t from 'tap';
import { createEventRecorder, type Happening } from '../../../src/agent/pods/events.js';
import type { Event } from '../../../src/api/types.js';
import { validate } from '../../../src/api/validate.js';
import { deleted, makeHost, podOf, skip, until } from './host.js';

const happening = (message: string): Happening => ({
  type: 'Warning',
  reason: 'BackOff',
  message,
  container: 'main',
});

t.test('what is said again counts up', async (t) => {
  const sent: Event[] = [];
  let nowMs = Date.parse('2025-01-01T00:00:00Z');
  const recorder = createEventRecorder(
    'n1',
    (event) => sent.push(event),
    () => nowMs,
  );
  const pod = podOf('web', {});
  recorder.record(pod, happening('one'));
  nowMs += 5000;
  recorder.record(pod, happening('two'));
  recorder.record(pod, happening('one'));
  t.same(
    sent.map(({ message, count }) => [message, count]),
    [
      ['one', 1],
      ['two', 1],
      ['one', 2],
    ],
  );
  t.equal(sent[2]?.metadata.name, sent[0]?.metadata.name);
  t.match(sent[2], {
    involvedObject: { kind: 'Pod', name: 'web', uid: 'uid-web', fieldPath: 'spec.containers{main}' },
    source: { component: 'kubelet', host: 'n1' },
    firstTimestamp: '2025-01-01T00:00:00Z',
    lastTimestamp: '2025-01-01T00:00:05Z',
  });
  for (const event of sent) t.same(validate(event), []);
});

t.test('a pod that says too much is not heard for a while', async (t) => {
  const sent: Event[] = [];
  let nowMs = 0;
  const recorder = createEventRecorder(
    'n1',
    (event) => sent.push(event),
    () => nowMs,
  );
  const pod = podOf('noisy', {});
  for (let i = 0; i < 100; i++) recorder.record(pod, happening('x'));
  t.equal(sent.length, 25);
  nowMs += 600_000;
  for (let i = 0; i < 100; i++) recorder.record(pod, happening('x'));
  t.equal(sent.length, 27);
  recorder.record(podOf('other', {}), happening('x'));
  t.equal(sent.length, 28, 'others are heard all the same');
});

t.test('a pod’s life is told in events', { skip }, async (t) => {
  const sent: Event[] = [];
  const host = makeHost(t, undefined, { event: (event) => void sent.push(event) });
  const told = (pod: string) =>
    sent
      .filter(({ involvedObject }) => involvedObject.name === pod)
      .map(({ type, reason, message }) => `${type} ${reason} ${message}`);
  const hears = (pod: string, line: string) =>
    until(`${pod}: ${line}`, () => told(pod).some((one) => one.startsWith(line)));
  const good = podOf('good', { image: 'nginx:1.27' });
  const crashes = podOf('crashes', { image: 'busybox', command: ['false'] });
  const unwell = podOf('unwell', {
    image: 'busybox',
    readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 },
  });
  const mounts = podOf(
    'mounts',
    { image: 'busybox', volumeMounts: [{ name: 'v', mountPath: '/v' }] },
    { volumes: [{ name: 'v', secret: { secretName: 'none' } }] },
  );
  host.runtime.sync([good, crashes, unwell, mounts]);
  await host.ready('good');
  t.same(told('good'), [
    'Normal Pulled Container image "nginx:1.27" already present on machine',
    'Normal Created Created container: main',
    'Normal Started Started container main',
  ]);
  await hears(
    'crashes',
    'Warning BackOff Back-off restarting failed container main in pod crashes_default(uid-crashes)',
  );
  await hears('unwell', 'Warning Unhealthy Readiness probe failed: ');
  await hears(
    'mounts',
    'Warning FailedMount MountVolume.SetUp failed for volume "v" : secret "none" not found',
  );
  host.runtime.sync([deleted(good), crashes, unwell, mounts]);
  await hears('good', 'Normal Killing Stopping container main');
});
