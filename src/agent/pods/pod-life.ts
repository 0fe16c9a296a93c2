/**
 * One pod on this host, from the first step to the last.
 *
 * Theory of operation.
 *
 *     state.json ▶ ip netns add ▶ holder ▶ state.json ▶ NIC (attach) ▶ volumes ▶ init containers ▶ containers … running
 *     … containers stop ▶ NIC away (detach) ▶ holder ends ▶ ip netns del ▶ folder removed ▶ gone
 *
 * What a step is about to make is on disk before it, so that an agent that dies anywhere leaves a folder by which
 * the next one finds, and goes on with or removes, all of it. A step that fails is tried again: 1 s later, 2 s, up
 * to 30 s; the pod's status says why.
 *
 * A holder that somebody killed is made again in the same network namespace; NIC and address stay.
 *
 * A pod with hostNetwork lives in the host's network namespace: it has neither a namespace nor a NIC of its own, and
 * the steps that make and remove these are left out.
 */
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { isTerminal } from '../../api/pod.js';
import { containerEnvironment, NO_OBJECTS, type PodObjects } from '../../api/container-environment.js';
import type { Allocatable } from '../../api/pod-fields.js';
import { serviceEnvironment } from '../../api/service-environment.js';
import type { Container, Pod, PodStatus, Service } from '../../api/types.js';
import { netnsPath } from '../../sys/netns.js';
import type { Backoff } from './backoff.js';
import { ContainerLife, newRecord } from './container.js';
import { endWaiter } from './command.js';
import { enterArgv } from './enter.js';
import { VOLUMES, volumesScript } from './entry.js';
import type { EventRecorder, Happening } from './events.js';
import type { Gate } from './gate.js';
import { MIN_GRACE_MS } from './hooks.js';
import { addNetns, killHolder, removeNetns, startHolder } from './holder.js';
import { readLog } from './logs.js';
import type { PodNetwork } from './pod-network.js';
import { podStatus } from './pod-status.js';
import { Reporter } from './reporter.js';
import { initContainersDue, restartPolicyOf } from './start-order.js';
import type { ResolverFiles } from './pod-dns.js';
import { isAlive } from './procfs.js';
import { PodVolumes, tmpfsSize, type RequestToken } from './volumes.js';
import { holderOf, rfc3339, uidOf, writeState, type ContainerRecord, type PodState } from './state.js';

/** What all pods of a host share. */
export interface HostContext {
  lab: string;
  node: string;
  /** The folder of all pods' folders, absolute. */
  podsDir: string;
  network: PodNetwork;
  hostAddress: string;
  /** The host's network namespace; undefined: the machine's own. */
  netns?: string;
  /** Those of the cluster, as they are now. */
  services?(): readonly Service[];
  /** What volumes and environments are made from. */
  objects?(): PodObjects;
  /** What the node has to give. */
  allocatable?: Allocatable;
  requestToken?: RequestToken;
  /** What a pod's resolver reads; its hostname is the pod's own. */
  resolverFiles(pod: Pod, hostname: string): ResolverFiles;
  backoff: Backoff;
  /** Before each holder that is made. */
  gate: Gate;
  report(pod: Pod, status: PodStatus): void;
  /** Tell people of what happened to a pod. */
  events: EventRecorder;
  log: Logger;
}

export interface LogOptions {
  /** Default: the only, or first, container. */
  container?: string;
  follow?: boolean;
  /** Lines from the end. */
  tail?: number;
  /** What was written at this time or later, see log-entry.ts. */
  since?: string;
  /** With the time before each line. */
  timestamps?: boolean;
  /** End after so many bytes. */
  limitBytes?: number;
  /** The run before the last start. */
  previous?: boolean;
}

/** The name of a pod's own network namespace; undefined: it has none. */
const netnsOf = (context: Pick<HostContext, 'lab' | 'node'>, { metadata, spec }: Pod): string | undefined =>
  spec.hostNetwork
    ? undefined
    : `${context.lab}.${context.node}.${metadata.namespace ?? 'default'}.${metadata.name}`;

/** As the kubelet has it: on the host's network a pod is called as its host. */
function hostnameOf({ node }: HostContext, { metadata, spec }: Pod): string {
  const name = spec.hostNetwork ? node : (spec.hostname ?? metadata.name);
  return name.slice(0, 63).replace(/[-.]+$/, '');
}

/** The state of a pod of which nothing exists yet. */
export function newState(context: HostContext, pod: Pod): PodState {
  const { name, namespace = 'default' } = pod.metadata;
  return {
    lab: context.lab,
    node: context.node,
    namespace,
    name,
    uid: uidOf(pod),
    netns: netnsOf(context, pod),
    hostname: hostnameOf(context, pod),
    startTime: rfc3339(Date.now()),
    containers: pod.spec.containers.map(newRecord),
    initContainers: (pod.spec.initContainers ?? []).map(newRecord),
    pod,
  };
}

const DETACH_LIMIT_MS = 5000;
/** After a change of a running pod's volumes has failed. */
const FILL_AGAIN_MS = 5000;
/** Unless the pod says otherwise. */
export const DEFAULT_GRACE_SECONDS = 30;

/** A promise that must be kept in time. */
async function within(limitMs: number, promise: Promise<void>): Promise<void> {
  const timer = new AbortController();
  const late = sleep(limitMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`Cannot detach the network: no answer in ${limitMs / 1000} s`);
  });
  await Promise.race([promise, late]).finally(() => timer.abort());
}

export class PodLife {
  readonly state: PodState;
  readonly dir: string;
  readonly #context: HostContext;
  readonly #log: Logger;
  readonly #containers: readonly ContainerLife[];
  readonly #initContainers: readonly ContainerLife[];
  /** Aborted when no new step may begin: the pod is being removed, or the agent ends. */
  readonly #ending = new AbortController();
  readonly #isEnding = once(this.#ending.signal, 'abort');
  #work: Promise<void> = Promise.resolve();
  #removal: Promise<void> | undefined;
  #graceMs = Infinity;
  #problem: string | undefined;
  readonly #reporter: Reporter;
  readonly #volumes: PodVolumes;
  #isWaitingForObjects = false;
  #wake = (): void => {};
  #isFilling = false;
  #noFillBeforeMs = 0;
  #isBegun = false;
  /** It has all that its containers need. */
  #isMade = false;
  /** Its containers are being stopped though the pod stays. */
  #stopping: Promise<void> | undefined;

  /** @param state  of a pod that an earlier agent made, or {@link newState} */
  constructor(context: HostContext, state: PodState) {
    this.#context = context;
    this.#log = context.log.child({ pod: `${state.namespace}/${state.name}` });
    this.state = state;
    this.dir = join(context.podsDir, state.uid);
    const { containers, initContainers = [] } = state.pod.spec;
    this.#containers = containers.map((container) => this.#lifeOf(container, state.containers));
    this.#initContainers = initContainers.map((container) => this.#lifeOf(container, state.initContainers));
    const { objects, allocatable = {}, requestToken } = context;
    this.#volumes = new PodVolumes({ objects: () => objects?.() ?? NO_OBJECTS, allocatable, requestToken });
    this.#reporter = new Reporter(
      () => this.#status(),
      (status) => context.report(this.state.pod, status),
    );
  }

  #lifeOf(container: Container, records: ContainerRecord[]): ContainerLife {
    const { state } = this;
    const context = this.#context;
    const { spec } = state.pod;
    let record = records.find(({ name }) => name === container.name);
    if (!record) records.push((record = newRecord(container)));
    return new ContainerLife(
      {
        dir: this.dir,
        fullName: `${state.name}_${state.namespace}(${state.uid})`,
        podName: state.name,
        uid: state.uid,
        hostname: state.hostname,
        netns: state.netns ?? context.netns,
        hostNetns: context.netns,
        restartPolicy: restartPolicyOf(spec, container),
        graceMs: (spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000,
        backoff: context.backoff,
        holderPid: () => this.#livingHolder()?.pid,
        podIP: () => this.state.pod.status?.podIP,
        volumes: spec.volumes ?? [],
        environment: () => this.#environmentOf(container),
        enter: (name, argv, limitSeconds) => enterArgv(this.state, argv, { container: name, limitSeconds }),
        changed: () => this.#changed(),
        tell: (type, reason, message) =>
          context.events.record(this.state.pod, { type, reason, message, container: container.name }),
        log: this.#log,
      },
      container,
      record,
    );
  }

  #environmentOf(container: Container): Record<string, string> {
    const { services, objects, allocatable, hostAddress } = this.#context;
    const { pod } = this.state;
    return containerEnvironment({
      pod: { ...pod, status: { ...pod.status, hostIP: hostAddress } },
      container,
      services: serviceEnvironment(pod, services?.() ?? []),
      objects: objects?.(),
      allocatable,
    });
  }

  /** Make the pod, or take it over where an earlier agent left it. Returns at once; does nothing the second time. */
  begin(pod: Pod): void {
    const isNew = this.state.pod !== pod;
    this.state.pod = pod;
    if (this.#isBegun) {
      if (isNew) this.#reporter.seen(pod.status);
      if (isNew && pod.spec.readinessGates) this.#reporter.due();
      return;
    }
    this.#isBegun = true;
    this.#make();
  }

  #make(): void {
    this.#work = this.#work.then(async () => {
      await this.#untilDone('make', () => this.#makeOrTakeOver());
      if (this.#ending.signal.aborted) return;
      this.#isMade = true;
      this.#changed();
    });
  }

  /** Let those containers begin whose turn it is, and those end that have no reason to stay. */
  #advance(): void {
    const { state } = this;
    if (!this.#isMade || this.#ending.signal.aborted || !this.#livingHolder()) return;
    if (state.failure || isTerminal({ status: this.#status() })) {
      this.#end();
      return;
    }
    const { due, isOver } = initContainersDue(state.pod.spec, state.initContainers);
    for (const container of this.#initContainers.slice(0, due.length)) container.mayRun();
    if (isOver) for (const container of this.#containers) container.mayRun();
  }

  /** Stop what still runs of a pod that is over: sidecars end with the last of those that they serve. */
  #end(): void {
    if (this.#stopping) return;
    // What an earlier agent started is taken over first, else it could not be stopped.
    for (const container of [...this.#initContainers, ...this.#containers])
      if (container.record.state.running) container.mayRun();
    this.#stopping = this.#stopAll(this.#containerGraceMs());
  }

  #tell(type: Happening['type'], reason: string, message: string): void {
    this.#context.events.record(this.state.pod, { type, reason, message });
  }

  #containerGraceMs(): number {
    return (this.state.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
  }

  /** Stop the containers, and then the sidecars, the first of them last. */
  async #stopAll(graceMs: number): Promise<void> {
    const since = performance.now();
    const sidecars = this.#initContainers.filter(({ isSidecar }) => isSidecar).reverse();
    const others = this.#initContainers.filter(({ isSidecar }) => !isSidecar);
    await Promise.all([...others, ...this.#containers].map((container) => container.stop(graceMs)));
    for (const sidecar of sidecars)
      await sidecar.stop(Math.max(graceMs - (performance.now() - since), Math.min(graceMs, MIN_GRACE_MS)));
  }

  /** Look after it; called about once a second. */
  check(): void {
    if (!this.#isBegun || this.#ending.signal.aborted) return;
    this.refresh();
    this.#checkDeadline();
    if (this.state.holderPid === undefined || this.#livingHolder()) return;
    this.state.holderPid = undefined;
    this.#log.warn('the holder is gone; making it again');
    this.#tell('Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
    this.#isMade = false;
    this.#make();
  }

  /** A pod that has been active for too long has failed. */
  #checkDeadline(): void {
    const { activeDeadlineSeconds: limit } = this.state.pod.spec;
    if (limit === undefined || this.state.failure || isTerminal({ status: this.#status() })) return;
    if (Date.now() < Date.parse(this.state.startTime) + limit * 1000) return;
    const message = 'Pod was active on the node longer than the specified deadline';
    this.state.failure = { reason: 'DeadlineExceeded', message };
    this.#log.warn(message);
    this.#tell('Normal', 'DeadlineExceeded', message);
    this.#changed();
  }

  /**
   * End the pod and remove everything of it. Resolves when it is gone; called again with less grace it hurries.
   *
   * @param isFinal  the network is going as well, there is no use in asking it twice
   */
  remove(graceMs: number, isFinal = false): Promise<void> {
    // Asked again with no less grace: programs that are ending get no second SIGTERM.
    if (this.#removal && graceMs >= this.#graceMs) return this.#removal;
    this.#graceMs = graceMs;
    this.#ending.abort();
    const stopped = this.#work.then(() => this.#stopAll(graceMs));
    this.#removal ??= stopped.then(() => this.#tearDown(isFinal));
    return this.#removal;
  }

  /** The agent ends, the pod stays. */
  async leave(): Promise<void> {
    this.#ending.abort();
    await this.#work;
    await Promise.all([...this.#initContainers, ...this.#containers].map((container) => container.leave()));
  }

  /** @throws {RangeError} when there is no such container */
  logs({ container, follow = false, previous = false, ...options }: LogOptions): Readable {
    const { containers, initContainers, name } = this.state;
    const all = [...containers, ...initContainers];
    const record = container === undefined ? containers[0] : all.find((it) => it.name === container);
    if (!record) {
      const names = all.map((it) => it.name).join(', ');
      throw new RangeError(
        `Cannot read logs of pod "${name}": it has no container "${container}"; it has ${names}`,
      );
    }
    const run = record.run - (previous ? 1 : 0);
    if (previous && run < 1)
      throw new RangeError(
        `Cannot read logs of the previous run of container "${record.name}": it was started once only`,
      );
    const isGrowing = () => record.run === run && !record.state.terminated && existsSync(this.dir);
    return readLog(join(this.dir, record.name, `${run}.log`), {
      ...options,
      isGrowing: follow && !previous ? isGrowing : undefined,
    });
  }

  #livingHolder() {
    const holder = holderOf(this.state);
    return holder && isAlive(holder) ? holder : undefined;
  }

  async #makeOrTakeOver(): Promise<void> {
    const { state, dir } = this;
    const { podsDir, network, gate } = this.#context;
    if (!this.#livingHolder()) {
      const wasMade = state.holderPid !== undefined || this.#isAttached;
      state.holderPid = undefined;
      writeState(dir, state);
      await killHolder(dir, undefined);
      for (const container of this.#initContainers) container.holderIsGone();
      if (state.netns !== undefined && (!wasMade || !existsSync(netnsPath(state.netns)))) {
        await removeNetns(state.netns);
        await addNetns(state.netns);
      }
      const { hostname, pod } = state;
      const netns = state.netns ?? this.#context.netns;
      const volumes = { script: volumesScript(pod.spec.volumes ?? [], tmpfsSize), at: VOLUMES };
      const files = this.#context.resolverFiles(pod, hostname);
      const holder = await gate(() =>
        startHolder({ dir, secretDir: podsDir, netns, hostname, files, pod, volumes }),
      );
      state.holderPid = holder.pid;
      state.holderStart = holder.startTime;
      writeState(dir, state);
    }
    if (state.netns !== undefined) {
      // A network that hangs must not keep the pod from being removed.
      await Promise.race([network.attach(state.pod, state.netns), this.#isEnding]);
      this.#isAttached = true;
    }
    try {
      await Promise.race([this.#fillVolumes(), this.#isEnding]);
    } catch (error) {
      this.#isWaitingForObjects = true;
      throw error;
    }
    for (const container of [...this.#initContainers, ...this.#containers]) container.holderIsBack();
  }

  async #fillVolumes(): Promise<void> {
    const holder = this.#livingHolder();
    const { pod } = this.state;
    if (!holder) throw new Error('Its holder has ended');
    await this.#volumes.fill(pod, holder.pid);
  }

  /** Objects that the pod may name have changed, or time has passed. Cheap when there is nothing to do. */
  refresh(): void {
    if (this.#ending.signal.aborted) return;
    if (this.#isWaitingForObjects) this.#wake();
    if (!this.#isMade || this.#isFilling) return;
    for (const container of [...this.#initContainers, ...this.#containers]) container.objectsHaveChanged();
    if (!this.#volumes.isStale(this.state.pod) || Date.now() < this.#noFillBeforeMs) return;
    this.#isFilling = true;
    void this.#fillVolumes()
      .catch((error: unknown) => {
        // What is mounted stays as it is.
        this.#noFillBeforeMs = Date.now() + FILL_AGAIN_MS;
        this.#log.warn({ err: error }, (error as Error).message);
        this.#tell('Warning', 'FailedMount', (error as Error).message);
      })
      .finally(() => (this.#isFilling = false));
  }

  /** The NIC is in, so that the network namespace outlives a holder. */
  #isAttached = false;

  async #tearDown(isFinal: boolean): Promise<void> {
    const { state, dir } = this;
    const { network } = this.#context;
    let isDetached = state.netns === undefined;
    await this.#untilDone(
      'remove',
      async () => {
        try {
          if (!isDetached) await within(DETACH_LIMIT_MS, network.detach(state.pod));
          isDetached = true;
        } catch (error) {
          if (!isFinal) throw error;
          this.#log.warn({ err: error }, 'cannot detach the network'); // the NIC goes with its namespace
        }
        await killHolder(dir, holderOf(state));
        for (const { waiter } of [...state.initContainers, ...state.containers])
          if (waiter) await endWaiter(waiter);
        if (state.netns !== undefined) await removeNetns(state.netns);
        rmSync(dir, { recursive: true, force: true });
      },
      true,
    );
    this.#log.info('removed');
  }

  /** Try until it works. Stops trying when the pod is to end, unless `isEnding`. Never rejects. */
  async #untilDone(what: 'make' | 'remove', step: () => Promise<void>, isEnding = false): Promise<void> {
    const signal = isEnding ? undefined : this.#ending.signal;
    for (let waitMs = 1000; !signal?.aborted; waitMs = Math.min(waitMs * 2, 30_000)) {
      try {
        await step();
        this.#problem = undefined;
        return;
      } catch (error) {
        this.#problem = (error as Error).message;
        this.#log.error({ err: error }, `cannot ${what} the pod; trying again`);
        this.#tell('Warning', this.#reasonFor(what), this.#problem);
        this.#reporter.due();
      }
      await this.#pause(waitMs, signal);
    }
  }

  /** The kubelet's word for a step that has failed. */
  #reasonFor(what: 'make' | 'remove'): string {
    if (what === 'remove') return 'FailedKillPod';
    return this.#isWaitingForObjects ? 'FailedMount' : 'FailedCreatePodSandBox';
  }

  /** Until the time is over, the pod ends, or what it waits for may have come. */
  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const awake = new AbortController();
    this.#wake = () => awake.abort();
    const either = signal ? AbortSignal.any([signal, awake.signal]) : awake.signal;
    await sleep(ms, undefined, { signal: either }).catch(() => {});
    this.#wake = () => {};
    this.#isWaitingForObjects = false;
  }

  #changed(): void {
    if (existsSync(this.dir)) {
      try {
        writeState(this.dir, this.state);
      } catch (error) {
        this.#log.error({ err: error }, `cannot write the state of ${basename(this.dir)}`);
      }
    }
    this.#advance();
    this.#reporter.due();
  }

  #status(): PodStatus {
    const { pod, containers: records, initContainers: initRecords, startTime, failure } = this.state;
    const { hostAddress } = this.#context;
    const problem = this.#problem;
    return podStatus({
      pod,
      records,
      initRecords,
      hostAddress,
      startTime,
      nowMs: Date.now(),
      problem,
      failure,
    });
  }
}
