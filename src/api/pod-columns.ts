/**
 * What `kubectl get pods` shows of a pod: READY, STATUS, RESTARTS, READINESS GATES.
 *
 * Source: k8s.io/kubernetes, pkg/printers/internalversion/printers.go (printPod)
 */
import { age } from './age.js';
import type { ContainerState, ContainerStatus, Pod } from './types.js';

/** Names of the init containers that stay for the pod's life. */
const sidecarsOf = ({ spec }: Pod): Set<string> =>
  new Set((spec.initContainers ?? []).filter((it) => it.restartPolicy === 'Always').map(({ name }) => name));

/** What holds an init container back, or undefined when the next may go on. */
function initText(pod: Pod): string | undefined {
  const sidecars = sidecarsOf(pod);
  const statuses = pod.status?.initContainerStatuses ?? [];
  for (const [i, { name, state, started }] of statuses.entries()) {
    if (state?.terminated?.exitCode === 0 || (sidecars.has(name) && started)) continue;
    if (state?.terminated) return `Init:${endText(state.terminated)}`;
    const reason = state?.waiting?.reason;
    if (reason && reason !== 'PodInitializing') return `Init:${reason}`;
    return `Init:${i}/${pod.spec.initContainers?.length ?? statuses.length}`;
  }
  return undefined;
}

const endText = ({ reason, signal, exitCode }: NonNullable<ContainerState['terminated']>): string =>
  reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);

/** The one word of STATUS. */
export function podStatusText(pod: Pod): string {
  if (pod.metadata.deletionTimestamp && !/^(Succeeded|Failed)$/.test(pod.status?.phase ?? ''))
    return 'Terminating';
  const init = isConditionTrue(pod, 'Initialized') ? undefined : initText(pod);
  if (init !== undefined) return init;
  let text = pod.status?.reason || pod.status?.phase || 'Unknown';
  let isRunning = false;
  for (const { state, ready } of [...(pod.status?.containerStatuses ?? [])].reverse()) {
    if (state?.waiting?.reason) text = state.waiting.reason;
    else if (state?.terminated) text = endText(state.terminated);
    else if (ready && state?.running) isRunning = true;
  }
  if (text === 'Completed' && isRunning) return isConditionTrue(pod, 'Ready') ? 'Running' : 'NotReady';
  return text;
}

const isConditionTrue = (pod: Pod, type: string): boolean =>
  pod.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ??
  false;

/** `1/2`: of the containers and the sidecars. */
export function podReadyText(pod: Pod): string {
  const sidecars = sidecarsOf(pod);
  const statuses = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name)),
  ];
  return `${statuses.filter(({ ready }) => ready).length}/${pod.spec.containers.length + sidecars.size}`;
}

/** `3 (2m ago)`: of the init containers until they are done, then of the others. */
export function podRestartsText(pod: Pod, now: number): string | number {
  const sidecars = sidecarsOf(pod);
  const isInitialized = isConditionTrue(pod, 'Initialized') || initText(pod) === undefined;
  const statuses = (pod.status?.initContainerStatuses ?? []).filter(
    ({ name }) => !isInitialized || sidecars.has(name),
  );
  if (isInitialized) statuses.push(...(pod.status?.containerStatuses ?? []));
  const count = statuses.reduce((sum, status) => sum + status.restartCount, 0);
  const last = statuses
    .map(lastFinish)
    .filter((time) => time !== undefined)
    .sort()
    .at(-1);
  return count > 0 && last ? `${count} (${age(last, now)} ago)` : count;
}

const lastFinish = (status: ContainerStatus): string | undefined => status.lastState?.terminated?.finishedAt;

/** `1/2`: of the pod's readiness gates those that are open. */
export function podGatesText(pod: Pod): string {
  const gates = pod.spec.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const open = gates.filter(({ conditionType }) => isConditionTrue(pod, conditionType));
  return `${open.length}/${gates.length}`;
}
