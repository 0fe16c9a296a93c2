/**
 * A pod's status in the words of Kubernetes, out of its containers' records. No side effects; time is a parameter.
 *
 * Source: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle; k8s.io/kubernetes pkg/kubelet/status/generate.go
 */
import { timestamp } from '../../api/age.js';
import type {
  Condition,
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodPhase,
  PodSpec,
  PodStatus,
} from '../../api/types.js';
import { restarts } from './backoff.js';
import { hasStarted, isDone, isSidecar, restartPolicyOf } from './start-order.js';
import { containerId, uidOf, type ContainerRecord } from './state.js';

/** What a status is made of. */
export interface StatusInput {
  /** Its `status` tells addresses, since when a condition has held, and what others say of readiness gates. */
  pod: Pod;
  records: readonly ContainerRecord[];
  initRecords?: readonly ContainerRecord[];
  ephemeralRecords?: readonly ContainerRecord[];
  hostAddress: string;
  startTime: string;
  nowMs: number;
  /** Why the pod cannot be made at present, a sentence. */
  problem?: string;
  /** Why the pod has failed, whatever its containers did. */
  failure?: { reason: string; message: string };
}

/** Derive the status. */
export function podStatus(input: StatusInput): PodStatus {
  const { pod, records, initRecords = [], ephemeralRecords = [] } = input;
  const { hostAddress, startTime, problem, failure } = input;
  const { podIP, podIPs } = pod.status ?? {};
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const phase = failure ? 'Failed' : phaseOf(pod, records, initRecords);
  // Kubernetes tells this by Events alone.
  const whys = [...initRecords, ...records]
    .filter((record) => record.state.running && record.why !== undefined)
    .map(({ name, why }) => `container ${name}: ${why}`);
  const message = failure?.message ?? whys.join('; ');
  const firstReason = initContainers.length > 0 ? 'PodInitializing' : 'ContainerCreating';
  const statusOf = (container: Container, record: ContainerRecord | undefined, isInit: boolean) =>
    containerStatus(container, record, { uid: uidOf(pod), firstReason, problem, isInit });
  return {
    phase,
    ...(failure && { reason: failure.reason }),
    ...(message !== '' && { message }),
    hostIP: hostAddress,
    hostIPs: [{ ip: hostAddress }],
    ...(podIP && { podIP, podIPs: podIPs ?? [{ ip: podIP }] }),
    startTime,
    conditions: conditionsOf(input, phase),
    ...(initContainers.length > 0 && {
      initContainerStatuses: initContainers.map((one) => statusOf(one, recordOf(one, initRecords), true)),
    }),
    containerStatuses: containers.map((one) => statusOf(one, recordOf(one, records), false)),
    ...(ephemeralContainers.length > 0 && {
      ephemeralContainerStatuses: ephemeralContainers.map((one) => ({
        ...statusOf(one, recordOf(one, ephemeralRecords), false),
        ready: false, // nothing waits for them
      })),
    }),
  };
}

const recordOf = ({ name }: Container, records: readonly ContainerRecord[]): ContainerRecord | undefined =>
  records.find((record) => record.name === name);

interface StatusContext {
  uid: string;
  /** Why a container waits that is being made. */
  firstReason: string;
  problem: string | undefined;
  isInit: boolean;
}

function containerStatus(
  container: Container,
  record: ContainerRecord | undefined,
  { uid, firstReason, problem, isInit }: StatusContext,
): ContainerStatus {
  const containerID = record && containerId(uid, record);
  let state: ContainerState = record?.state ?? { waiting: { reason: 'ContainerCreating' } };
  if (state.waiting?.reason === 'ContainerCreating') {
    const message = state.waiting.message ?? problem;
    state = { waiting: { reason: firstReason, ...(message !== undefined && { message }) } };
  }
  const hasSucceeded = isInit && !isSidecar(container) && state.terminated?.exitCode === 0;
  return {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    ...(containerID !== undefined && { containerID }),
    ready: hasSucceeded || isReady(record),
    started: record !== undefined && hasStarted(record),
    restartCount: Math.max((record?.run ?? 0) - 1, 0),
    state,
    ...(record?.lastState && { lastState: record.lastState }),
  };
}

/** A container is ready when it runs, has started, and no probe says that it is not. */
const isReady = (record: ContainerRecord | undefined): boolean =>
  record !== undefined && hasStarted(record) && record.isReady !== false;

/** Init containers that are still in the way of the others. */
const unfinished = ({ initContainers = [] }: PodSpec, records: readonly ContainerRecord[]): Container[] =>
  initContainers.filter((container) => !isDone(container, recordOf(container, records)));

/** Whether a container will never run again. */
const isOver = (spec: PodSpec, container: Container, record: ContainerRecord | undefined): boolean =>
  record?.state.terminated !== undefined &&
  !record.isKilled &&
  !restarts(restartPolicyOf(spec, container), record.state.terminated.exitCode);

function phaseOf(
  pod: Pod,
  records: readonly ContainerRecord[],
  initRecords: readonly ContainerRecord[],
): PodPhase {
  const { spec } = pod;
  const blocking = unfinished(spec, initRecords);
  const haveBegun = records.some(({ run }) => run > 0);
  if (blocking.some((container) => isOver(spec, container, recordOf(container, initRecords))))
    return 'Failed';
  if (blocking.length > 0 && !haveBegun) return 'Pending';
  // A container in back-off counts as one that has ended.
  const ends = records.map(({ state, lastState }) =>
    state.running ? undefined : (state.terminated ?? lastState?.terminated),
  );
  if (records.length === 0 || records.some(({ state }, i) => state.waiting && !ends[i])) return 'Pending';
  if (records.some(({ state }, i) => state.running || state.waiting || !ends[i])) return 'Running';
  const willGoOn = records.some(
    ({ isKilled }, i) => isKilled || restarts(spec.restartPolicy, ends[i]?.exitCode ?? 0),
  );
  if (willGoOn && !pod.metadata.deletionTimestamp) return 'Running';
  return ends.every((end) => end?.exitCode === 0) ? 'Succeeded' : 'Failed';
}

type Verdict = Omit<Condition, 'type'>;

function conditionsOf(input: StatusInput, phase: PodPhase): Condition[] {
  const { pod, records, initRecords = [], nowMs } = input;
  const before = pod.status?.conditions ?? [];
  const containersReady = areContainersReady(pod.spec, records, initRecords, phase);
  const conditions: Condition[] = [
    { type: 'PodScheduled', status: 'True' },
    { type: 'Initialized', ...isInitialized(pod.spec, records, initRecords, phase) },
    { type: 'ContainersReady', ...containersReady },
    {
      type: 'Ready',
      ...(containersReady.status === 'True' ? areGatesOpen(pod, before) : containersReady),
    },
  ];
  return conditions.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const since = old?.status === condition.status ? old.lastTransitionTime : undefined;
    return { ...condition, lastTransitionTime: since ?? timestamp(nowMs) };
  });
}

function isInitialized(
  spec: PodSpec,
  records: readonly ContainerRecord[],
  initRecords: readonly ContainerRecord[],
  phase: PodPhase,
): Verdict {
  if (phase === 'Succeeded') return { status: 'True', reason: 'PodCompleted' };
  // Once the others have begun it stays so, whatever becomes of a sidecar.
  const names = records.some(({ run }) => run > 0)
    ? []
    : unfinished(spec, initRecords).map(({ name }) => name);
  if (names.length === 0) return { status: 'True' };
  return {
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${names.join(' ')}]`,
  };
}

function areContainersReady(
  { containers, initContainers = [] }: PodSpec,
  records: readonly ContainerRecord[],
  initRecords: readonly ContainerRecord[],
  phase: PodPhase,
): Verdict {
  const unready = [
    ...initContainers.filter((one) => isSidecar(one) && !isReady(recordOf(one, initRecords))),
    ...containers.filter((one) => !isReady(recordOf(one, records))),
  ].map(({ name }) => name);
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  if (unready.length === 0) return { status: 'True' };
  return {
    status: 'False',
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${unready.join(' ')}]`,
  };
}

/** What others say of the pod's readiness gates. */
function areGatesOpen({ spec }: Pod, conditions: readonly Condition[]): Verdict {
  const closed = (spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const status = conditions.find(({ type }) => type === conditionType)?.status;
    if (status === 'True') return [];
    if (status === undefined)
      return `corresponding condition of pod readiness gate "${conditionType}" does not exist.`;
    return `the status of pod readiness gate "${conditionType}" is not "True", but ${status}`;
  });
  if (closed.length === 0) return { status: 'True' };
  return { status: 'False', reason: 'ReadinessGatesNotReady', message: closed.join(', ') };
}

/**
 * A status as it is to be stored: what others have said of the pod (readiness gates, a disruption) stays.
 *
 * @param current  the stored status
 * @param said     the agent's
 */
export function mergeStatus(current: Pod['status'], said: PodStatus | undefined): PodStatus {
  const ours = said?.conditions ?? [];
  const others = (current?.conditions ?? []).filter(({ type }) => !ours.some((one) => one.type === type));
  const next: PodStatus = { ...current, ...said, conditions: [...ours, ...others] };
  // A sentence about a trouble that is over would stay for ever.
  if (said?.message === undefined) delete next.message;
  if (said?.reason === undefined) delete next.reason;
  return next;
}
