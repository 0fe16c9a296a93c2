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
import { NO_OBJECTS } from '../../api/container-environment.js';
import type { Pod, PodStatus } from '../../api/types.js';
import { netnsPath } from '../../sys/netns.js';
import { endWaiter } from './command.js';
import { VOLUMES, volumesScript } from './entry.js';
import type { Happening } from './events.js';
import { addNetns, killHolder, removeNetns, startHolder } from './holder.js';
import type { HostContext } from './host-context.js';
import { readLog } from './logs.js';
import { PodContainers } from './pod-containers.js';
import { podStatus } from './pod-status.js';
import { isAlive } from './procfs.js';
import { Reporter } from './reporter.js';
import { allRecords, holderOf, writeState, type PodState } from './state.js';
import { PodVolumes, tmpfsSize } from './volumes.js';

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

const DETACH_LIMIT_MS = 5000;
/** After a change of a running pod's volumes has failed. */
const FILL_AGAIN_MS = 5000;
/** How long a pod that is taken over waits for its volumes to be brought up to date. */
const REFILL_LIMIT_MS = 2000;
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
  readonly #containers: PodContainers;
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

  /** @param state  of a pod that an earlier agent made, or {@link newState} */
  constructor(context: HostContext, state: PodState) {
    this.#context = context;
    this.#log = context.log.child({ pod: `${state.namespace}/${state.name}` });
    this.state = state;
    this.dir = join(context.podsDir, state.uid);
    this.#containers = new PodContainers({
      dir: this.dir,
      state,
      context,
      holderPid: () => this.#livingHolder()?.pid,
      changed: () => this.#changed(),
      log: this.#log,
    });
    const { objects, allocatable = {}, requestToken } = context;
    this.#volumes = new PodVolumes({ objects: () => objects?.() ?? NO_OBJECTS, allocatable, requestToken });
    this.#reporter = new Reporter(
      () => this.#status(),
      (status) => context.report(this.state.pod, status),
    );
  }

  /** Make the pod, or take it over where an earlier agent left it. Returns at once; does nothing the second time. */
  begin(pod: Pod): void {
    const isNew = this.state.pod !== pod;
    this.state.pod = pod;
    if (this.#isBegun) {
      if (isNew) this.#reporter.seen(pod.status);
      if (this.#containers.addEphemeral()) this.#changed();
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

  #tell(type: Happening['type'], reason: string, message: string): void {
    this.#context.events.record(this.state.pod, { type, reason, message });
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
    const stopped = this.#work.then(() => this.#containers.stop(graceMs));
    this.#removal ??= stopped.then(() => this.#tearDown(isFinal));
    return this.#removal;
  }

  /** The agent ends, the pod stays. */
  async leave(): Promise<void> {
    this.#ending.abort();
    await this.#work;
    await this.#containers.leave();
  }

  /** @throws {RangeError} when there is no such container */
  logs({ container, follow = false, previous = false, ...options }: LogOptions): Readable {
    const { containers, name } = this.state;
    const all = allRecords(this.state);
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
    const isTakenOver = this.#livingHolder() !== undefined;
    if (!isTakenOver) {
      const wasMade = state.holderPid !== undefined || this.#isAttached;
      state.holderPid = undefined;
      writeState(dir, state);
      await killHolder(dir, undefined);
      this.#containers.holderIsGone();
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
    if (isTakenOver && allRecords(state).some(({ run }) => run > 0)) {
      // What an earlier agent has mounted will do where the server is away: a token cannot be had, a Secret is not known.
      const late = new AbortController();
      const limit = sleep(REFILL_LIMIT_MS, undefined, { signal: late.signal }).catch(() => {});
      await Promise.race([this.#refillVolumes(), limit, this.#isEnding]);
      late.abort();
    } else
      try {
        await Promise.race([this.#fillVolumes(), this.#isEnding]);
      } catch (error) {
        this.#isWaitingForObjects = true;
        throw error;
      }
    this.#containers.holderIsBack();
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
    this.#containers.objectsHaveChanged();
    if (!this.#volumes.isStale(this.state.pod) || Date.now() < this.#noFillBeforeMs) return;
    void this.#refillVolumes();
  }

  /** Bring what is mounted up to date; where that fails it stays as it is. Never rejects. */
  async #refillVolumes(): Promise<void> {
    this.#isFilling = true;
    try {
      await this.#fillVolumes();
    } catch (error) {
      this.#noFillBeforeMs = Date.now() + FILL_AGAIN_MS;
      this.#log.warn({ err: error }, (error as Error).message);
      this.#tell('Warning', 'FailedMount', (error as Error).message);
    } finally {
      this.#isFilling = false;
    }
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
        for (const { waiter } of allRecords(state)) if (waiter) await endWaiter(waiter);
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
    if (this.#isMade && !this.#ending.signal.aborted && this.#livingHolder())
      this.#containers.advance(this.#status());
    this.#reporter.due();
  }

  #status(): PodStatus {
    const { pod, containers: records, initContainers: initRecords, startTime, failure } = this.state;
    const { ephemeralContainers: ephemeralRecords } = this.state;
    const { hostAddress } = this.#context;
    const problem = this.#problem;
    return podStatus({
      pod,
      records,
      initRecords,
      ephemeralRecords,
      hostAddress,
      startTime,
      nowMs: Date.now(),
      problem,
      failure,
    });
  }
}
