/**
 * A pod's status in the words of Kubernetes, out of its containers' records. No side effects; time is a parameter.
 *
 * Source: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle; k8s.io/kubernetes pkg/kubelet/status/generate.go
 */
import type { Condition, ContainerStatus, Pod, PodPhase, PodStatus } from '../../api/types.js';
import { restarts } from './backoff.js';
import { rfc3339, type ContainerRecord } from './state.js';

/** What a status is made of. */
export interface StatusInput {
  /** Its `status` tells addresses, and since when a condition has held. */
  pod: Pod;
  records: readonly ContainerRecord[];
  hostAddress: string;
  startTime: string;
  nowMs: number;
  /** Why the pod cannot be made at present, a sentence. */
  problem?: string;
}

/** Derive the status. */
export function podStatus(input: StatusInput): PodStatus {
  const { pod, records, hostAddress, startTime, problem } = input;
  const { podIP, podIPs } = pod.status ?? {};
  const phase = phaseOf(pod, records);
  // Kubernetes tells this by Events alone.
  const whys = records
    .filter((record) => record.state.running && record.why !== undefined)
    .map(({ name, why }) => `container ${name}: ${why}`);
  return {
    phase,
    ...(whys.length > 0 && { message: whys.join('; ') }),
    hostIP: hostAddress,
    ...(podIP && { podIP, podIPs: podIPs ?? [{ ip: podIP }] }),
    startTime,
    conditions: conditionsOf(input, phase),
    containerStatuses: pod.spec.containers.map((container): ContainerStatus => {
      const record = records.find(({ name }) => name === container.name);
      const isRunning = record?.state.running !== undefined;
      const state = record?.state ?? { waiting: { reason: 'ContainerCreating' } };
      return {
        name: container.name,
        image: container.image ?? '',
        imageID: '',
        ready: isReady(record),
        started: isRunning && record?.isStarted !== false,
        restartCount: Math.max((record?.run ?? 0) - 1, 0),
        state: state.waiting && problem ? { waiting: { ...state.waiting, message: problem } } : state,
        ...(record?.lastState && { lastState: record.lastState }),
      };
    }),
  };
}

/** A container is ready when it runs, has started, and no probe says that it is not. */
const isReady = (record: ContainerRecord | undefined): boolean =>
  record?.state.running !== undefined && record.isStarted !== false && record.isReady !== false;

function phaseOf(pod: Pod, records: readonly ContainerRecord[]): PodPhase {
  const { restartPolicy } = pod.spec;
  // A container in back-off counts as one that has ended.
  const ends = records.map(({ state, lastState }) =>
    state.running ? undefined : (state.terminated ?? lastState?.terminated),
  );
  if (records.length === 0 || records.some(({ state }, i) => state.waiting && !ends[i])) return 'Pending';
  if (records.some(({ state }, i) => state.running || state.waiting || !ends[i])) return 'Running';
  if (ends.some((end) => restarts(restartPolicy, end?.exitCode ?? 0)) && !pod.metadata.deletionTimestamp)
    return 'Running';
  return ends.every((end) => end?.exitCode === 0) ? 'Succeeded' : 'Failed';
}

function conditionsOf({ pod, records, nowMs }: StatusInput, phase: PodPhase): Condition[] {
  const unready = pod.spec.containers
    .map(({ name }) => name)
    .filter((name) => !isReady(records.find((record) => record.name === name)));
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  const readiness: Omit<Condition, 'type'> =
    unready.length === 0
      ? { status: 'True' }
      : isOver
        ? { status: 'False', reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
        : {
            status: 'False',
            reason: 'ContainersNotReady',
            message: `containers with unready status: [${unready.join(' ')}]`,
          };
  const before = pod.status?.conditions ?? [];
  const conditions: Condition[] = [
    { type: 'PodScheduled', status: 'True' },
    phase === 'Succeeded'
      ? { type: 'Initialized', status: 'True', reason: 'PodCompleted' }
      : { type: 'Initialized', status: 'True' },
    { type: 'ContainersReady', ...readiness },
    { type: 'Ready', ...readiness },
  ];
  return conditions.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const since = old?.status === condition.status ? old.lastTransitionTime : undefined;
    return { ...condition, lastTransitionTime: since ?? rfc3339(nowMs) };
  });
}
