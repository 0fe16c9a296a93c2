/**
 * The containers of one pod together: whose turn it is to begin, and in which order they end.
 *
 * start-order.ts decides about init containers; container.ts is one container. Ephemeral containers may come at any time,
 * and begin as soon as there is a holder.
 */
import type { Logger } from 'pino';
import { containerEnvironment } from '../../api/container-environment.js';
import { isTerminal } from '../../api/pod.js';
import { serviceEnvironment } from '../../api/service-environment.js';
import type { Container, PodStatus } from '../../api/types.js';
import { ContainerLife } from './container.js';
import { enterArgv } from './enter.js';
import { MIN_GRACE_MS } from './hooks.js';
import { graceMsOf, type HostContext } from './host-context.js';
import { initContainersDue, restartPolicyOf } from './start-order.js';
import { newRecord, type ContainerRecord, type PodState } from './state.js';

/** What they need to know of their pod. */
export interface PodOfContainers {
  /** The pod's folder. */
  dir: string;
  state: PodState;
  context: HostContext;
  /** The holder's pid while it is alive. */
  holderPid(): number | undefined;
  /** A record has changed: write it down and report it. */
  changed(): void;
  log: Logger;
}

export class PodContainers {
  readonly #pod: PodOfContainers;
  readonly #containers: readonly ContainerLife[];
  readonly #initContainers: readonly ContainerLife[];
  readonly #ephemeralContainers: ContainerLife[] = [];
  /** They are being stopped though the pod stays. */
  #stopping: Promise<void> | undefined;

  constructor(pod: PodOfContainers) {
    this.#pod = pod;
    const { state } = pod;
    const { containers, initContainers = [] } = state.pod.spec;
    this.#containers = containers.map((container) => this.#lifeOf(container, state.containers));
    this.#initContainers = initContainers.map((container) => this.#lifeOf(container, state.initContainers));
    this.addEphemeral();
  }

  /** Take up the ephemeral containers of which nothing was known. @returns whether there are any */
  addEphemeral(): boolean {
    const { state } = this.#pod;
    const added = (state.pod.spec.ephemeralContainers ?? []).filter(
      ({ name }) => !this.#ephemeralContainers.some(({ record }) => record.name === name),
    );
    const records = (state.ephemeralContainers ??= []);
    for (const container of added) this.#ephemeralContainers.push(this.#lifeOf(container, records));
    return added.length > 0;
  }

  get #all(): ContainerLife[] {
    return [...this.#initContainers, ...this.#containers, ...this.#ephemeralContainers];
  }

  #lifeOf(container: Container, records: ContainerRecord[]): ContainerLife {
    const { dir, state, context, holderPid, changed, log } = this.#pod;
    const { spec } = state.pod;
    let record = records.find(({ name }) => name === container.name);
    if (!record) records.push((record = newRecord(container)));
    return new ContainerLife(
      {
        dir,
        fullName: `${state.name}_${state.namespace}(${state.uid})`,
        podName: state.name,
        uid: state.uid,
        hostname: state.hostname,
        netns: state.netns ?? context.netns,
        hostNetns: context.netns,
        restartPolicy: restartPolicyOf(spec, container),
        graceMs: graceMsOf(spec),
        backoff: context.backoff,
        holderPid,
        podIP: () => state.pod.status?.podIP,
        volumes: spec.volumes ?? [],
        environment: () => this.#environmentOf(container),
        enter: (name, argv, limitSeconds) => enterArgv(state, argv, { container: name, limitSeconds }),
        changed,
        tell: (type, reason, message) =>
          context.events.record(state.pod, { type, reason, message, container: container.name }),
        log,
      },
      container,
      record,
    );
  }

  #environmentOf(container: Container): Record<string, string> {
    const { services, objects, allocatable, hostAddress } = this.#pod.context;
    const { pod } = this.#pod.state;
    return containerEnvironment({
      pod: { ...pod, status: { ...pod.status, hostIP: hostAddress } },
      container,
      services: serviceEnvironment(pod, services?.() ?? []),
      objects: objects?.(),
      allocatable,
    });
  }

  /**
   * Let those begin whose turn it is, and end what has no reason to stay in a pod that is over: sidecars end with the last
   * of those that they serve. There is a living holder.
   *
   * @param status  as it is now
   */
  advance(status: PodStatus): void {
    const { state } = this.#pod;
    if (state.failure || isTerminal({ status })) {
      this.#end();
      return;
    }
    for (const container of this.#ephemeralContainers) container.mayRun();
    const { due, isOver } = initContainersDue(state.pod.spec, state.initContainers);
    for (const container of this.#initContainers.slice(0, due.length)) container.mayRun();
    if (isOver) for (const container of this.#containers) container.mayRun();
  }

  #end(): void {
    if (this.#stopping) return;
    // What an earlier agent started is taken over first, else it could not be stopped.
    for (const container of this.#all) if (container.record.state.running) container.mayRun();
    this.#stopping = this.stop(graceMsOf(this.#pod.state.pod.spec));
  }

  /** Stop the containers, and then the sidecars, the first of them last. */
  async stop(graceMs: number): Promise<void> {
    const since = performance.now();
    const sidecars = this.#initContainers.filter(({ isSidecar }) => isSidecar).reverse();
    const others = this.#all.filter((container) => !sidecars.includes(container));
    await Promise.all(others.map((container) => container.stop(graceMs)));
    for (const sidecar of sidecars)
      await sidecar.stop(Math.max(graceMs - (performance.now() - since), Math.min(graceMs, MIN_GRACE_MS)));
  }

  /** The agent ends, they do not. */
  async leave(): Promise<void> {
    await Promise.all(this.#all.map((container) => container.leave()));
  }

  /** A new holder will be made. */
  holderIsGone(): void {
    for (const container of this.#initContainers) container.holderIsGone();
  }

  /** There is a holder, with all that containers need. */
  holderIsBack(): void {
    for (const container of this.#all) container.holderIsBack();
  }

  /** What environments come from may be there now. */
  objectsHaveChanged(): void {
    for (const container of this.#all) container.objectsHaveChanged();
  }
}
