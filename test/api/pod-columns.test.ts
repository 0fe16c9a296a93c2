import t from 'tap';
import { podGatesText, podReadyText, podRestartsText, podStatusText } from '../../src/api/pod-columns.js';
import type { ContainerState, ContainerStatus, Pod, PodStatus } from '../../src/api/types.js';

const status = (
  name: string,
  state: ContainerState,
  more: Partial<ContainerStatus> = {},
): ContainerStatus => ({
  name,
  image: '',
  imageID: '',
  ready: state.running !== undefined,
  started: state.running !== undefined,
  restartCount: 0,
  state,
  ...more,
});
const waiting = (reason: string): ContainerState => ({ waiting: { reason } });
const running: ContainerState = { running: {} };
const ended = (exitCode: number, reason?: string): ContainerState => ({ terminated: { exitCode, reason } });

const pod = (podStatus: PodStatus): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: {
    initContainers: [{ name: 'i1' }, { name: 'side', restartPolicy: 'Always' }, { name: 'i2' }],
    containers: [{ name: 'c1' }],
    readinessGates: [{ conditionType: 'one' }, { conditionType: 'two' }],
  },
  status: podStatus,
});
const initialized = { type: 'Initialized', status: 'True' } as const;
const main = [status('c1', waiting('PodInitializing'))];

t.test('STATUS says which init container holds the pod back', async (t) => {
  const text = (...initContainerStatuses: ContainerStatus[]) =>
    podStatusText(pod({ phase: 'Pending', initContainerStatuses, containerStatuses: main }));
  const next = status('side', waiting('PodInitializing'));
  t.equal(text(status('i1', waiting('PodInitializing')), next), 'Init:0/3');
  t.equal(text(status('i1', running), next), 'Init:0/3');
  t.equal(text(status('i1', ended(0)), next), 'Init:1/3');
  t.equal(text(status('i1', ended(0)), status('side', running), status('i2', running)), 'Init:2/3');
  t.equal(text(status('i1', ended(1, 'Error')), next), 'Init:Error');
  t.equal(text(status('i1', ended(7)), next), 'Init:ExitCode:7');
  t.equal(text(status('i1', waiting('CrashLoopBackOff')), next), 'Init:CrashLoopBackOff');
  t.equal(text(status('i1', ended(0)), status('side', running), status('i2', ended(0))), 'PodInitializing');
});

t.test('READY counts sidecars, RESTARTS those that can still restart', async (t) => {
  const lastState = { terminated: { exitCode: 1, finishedAt: '2025-01-01T00:00:00Z' } };
  const now = Date.parse('2025-01-01T00:02:05Z');
  const initContainerStatuses = [
    status('i1', ended(0), { restartCount: 5, lastState }),
    status('side', running, { restartCount: 2, lastState }),
    status('i2', running),
  ];
  const starting = pod({ phase: 'Pending', initContainerStatuses, containerStatuses: main });
  t.equal(podReadyText(starting), '1/2');
  t.equal(podRestartsText(starting, now), '7 (2m5s ago)');
  const up = pod({
    phase: 'Running',
    conditions: [initialized, { type: 'two', status: 'True' }, { type: 'one', status: 'False' }],
    initContainerStatuses,
    containerStatuses: [status('c1', running)],
  });
  t.equal(podReadyText(up), '2/2');
  t.equal(podRestartsText(up, now), '2 (2m5s ago)');
  t.equal(podGatesText(up), '1/2');
  t.equal(podStatusText(up), 'Running');
});

t.test('a pod that ends is Terminating until its programs have', async (t) => {
  const going = (phase: PodStatus['phase']) => {
    const object = pod({
      phase,
      conditions: [initialized],
      containerStatuses: [status('c1', ended(0, 'Completed'))],
    });
    object.metadata.deletionTimestamp = '2025-01-01T00:00:00Z';
    return podStatusText(object);
  };
  t.equal(going('Running'), 'Terminating');
  t.equal(going('Succeeded'), 'Completed');
});
