/**
 * In which order the containers of a pod start and end.
 *
 * Init containers run one after another, each to its end, before any other starts. One with `restartPolicy: Always` is
 * a sidecar: the next goes on as soon as it has started, and it runs for as long as the pod does, ready or not; it is
 * the last to be stopped.
 *
 * Source: kubernetes.io/docs/concepts/workloads/pods/init-containers, …/sidecar-containers
 */
import type { Container, ContainerState, PodSpec } from '../../api/types.js';

/** What must be known of a container to decide. */
export interface Progress {
  name: string;
  state: ContainerState;
  isStarted?: boolean;
}

/** Whether an init container stays for the pod's life. */
export const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always';

/**
 * What follows when a container ends: a sidecar always runs, an init container runs until it has succeeded, an ephemeral
 * container never starts again.
 */
export function restartPolicyOf(spec: PodSpec, container: Container): NonNullable<PodSpec['restartPolicy']> {
  const { restartPolicy = 'Always', initContainers = [], ephemeralContainers = [] } = spec;
  if (ephemeralContainers.some(({ name }) => name === container.name)) return 'Never';
  if (!initContainers.includes(container)) return restartPolicy;
  if (isSidecar(container)) return 'Always';
  return restartPolicy === 'Always' ? 'OnFailure' : restartPolicy;
}

/** Whether a container runs and its startup probe, if there is one, has succeeded. */
export const hasStarted = (progress: Progress | undefined): boolean =>
  progress?.state.running !== undefined && progress.isStarted !== false;

/** Whether an init container is no longer in the way of the next. */
export const isDone = (container: Container, progress: Progress | undefined): boolean =>
  progress?.state.terminated?.exitCode === 0 || (isSidecar(container) && hasStarted(progress));

/**
 * The init containers that may run now.
 *
 * @param progress  by name, in any order
 * @returns         of the sidecars that have started and the one that is next; `isOver` when none is left to wait for
 */
export function initContainersDue(
  spec: PodSpec,
  progress: readonly Progress[],
): { due: Container[]; isOver: boolean } {
  const due: Container[] = [];
  for (const container of spec.initContainers ?? []) {
    const known = progress.find(({ name }) => name === container.name);
    due.push(container);
    if (!isDone(container, known)) return { due, isOver: false };
  }
  return { due, isOver: true };
}
