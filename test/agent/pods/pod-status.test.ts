import t from 'tap';
import type { ContainerState, PodSpec } from '../../../src/api/types.js';
import { podStatus } from '../../../src/agent/pods/pod-status.js';
import { podOf } from './host.js';

const running: ContainerState = { running: { startedAt: '2025-01-01T00:00:00Z' } };
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });
const creating: ContainerState = { waiting: { reason: 'ContainerCreating' } };
const backingOff: ContainerState = { waiting: { reason: 'CrashLoopBackOff' } };

/** The status of a pod with a container for each state; one in back-off ended with 1 before. */
const statusOf = (restartPolicy: PodSpec['restartPolicy'], states: ContainerState[]) => {
  const pod = podOf('p', {}, { restartPolicy });
  pod.spec.containers = states.map((_, i) => ({ name: `c${i}` }));
  const records = states.map((state, i) => ({
    name: `c${i}`,
    run: 1,
    state,
    ...(state === backingOff && { lastState: ended(1) }),
  }));
  return podStatus({ pod, records, hostAddress: '192.0.2.1', startTime: '2025-01-01T00:00:00Z', nowMs: 0 });
};

t.test('the phase follows from policy and containers', async (t) => {
  for (const [policy, states, phase] of [
    ['Always', [creating], 'Pending'],
    ['Always', [running, creating], 'Pending'],
    ['Always', [running, running], 'Running'],
    ['Always', [backingOff], 'Running'],
    ['Always', [ended(0)], 'Running'],
    ['Never', [running, ended(1)], 'Running'],
    ['Never', [ended(0), ended(0)], 'Succeeded'],
    ['Never', [ended(0), ended(2)], 'Failed'],
    ['OnFailure', [ended(0), ended(2)], 'Running'],
    ['OnFailure', [ended(0)], 'Succeeded'],
  ] as [PodSpec['restartPolicy'], ContainerState[], string][])
    t.equal(statusOf(policy, states).phase, phase, `${policy} ${JSON.stringify(states)}`);
});

t.test('conditions name who is not ready, and why', async (t) => {
  const ready = (policy: PodSpec['restartPolicy'], states: ContainerState[]) =>
    statusOf(policy, states).conditions?.find(({ type }) => type === 'Ready');
  t.match(ready('Always', [running]), { status: 'True' });
  t.match(ready('Always', [running, backingOff]), {
    status: 'False',
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [c1]',
  });
  t.match(ready('Never', [ended(0)]), { status: 'False', reason: 'PodCompleted' });
  t.match(ready('Never', [ended(1)]), { status: 'False', reason: 'PodFailed' });
});

t.test('a condition keeps the time since it has held', async (t) => {
  const pod = podOf('p', {});
  const since = '2024-05-05T05:05:05Z';
  pod.status = { conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: since }] };
  const input = { pod, records: [], hostAddress: '192.0.2.1', startTime: since, nowMs: 1000 };
  t.match(podStatus(input).conditions, [
    { type: 'PodScheduled', lastTransitionTime: since },
    { type: 'Initialized', lastTransitionTime: '1970-01-01T00:00:01Z' },
  ]);
});

t.test('what hinders the pod is said where people look', async (t) => {
  const pod = podOf('p', {});
  const input = { pod, records: [], hostAddress: '', startTime: '', nowMs: 0, problem: 'Cannot do it' };
  t.match(podStatus(input).containerStatuses, [
    { state: { waiting: { reason: 'ContainerCreating', message: 'Cannot do it' } } },
  ]);
});

t.test('each run of a container has an id of its own', async (t) => {
  const pod = podOf('p', {});
  const idOf = (run: number, uid = 'u1') =>
    podStatus({
      pod: { ...pod, metadata: { ...pod.metadata, uid } },
      records: [{ name: pod.spec.containers[0].name, run, state: running }],
      hostAddress: '',
      startTime: '',
      nowMs: 0,
    }).containerStatuses?.[0].containerID;
  t.match(idOf(1), /^podwire:\/\/[0-9a-f]{64}$/);
  t.equal(idOf(1), idOf(1), 'the same for the next agent');
  t.equal(new Set([idOf(1), idOf(2), idOf(1, 'u2')]).size, 3);
  t.equal(idOf(0), undefined, 'none before the first');
});
