/**
 * One container of a pod: started, watched, started again with back-off, stopped, taken over by the next agent.
 *
 * Theory of operation. `record.state` is what Kubernetes shows and what the next agent goes on from:
 *
 *     waiting ContainerCreating ──▶ running ──▶ terminated          for good, by the restart policy
 *              ▲                                    │
 *              │ at once the first time, else  ─────┤
 *              └────────── waiting CrashLoopBackOff ◀
 *
 * The record is on disk (`changed`) before anything it announces happens: a run's number before its processes exist.
 * Without a living holder nothing starts; the container is parked until {@link ContainerLife.mayRun}.
 *
 * While it runs its {@link Prober} looks at it. One that fails its liveness or startup probe is stopped, and what
 * follows is what follows a run that ended by itself, but for the policy: all but `Never` start it again.
 *
 * To stop is: the preStop hook, SIGTERM, SIGKILL when the grace is over. Until then it is running, and serves.
 */
import { setImmediate as turnOver } from 'node:timers/promises';
import { timestamp } from '../../api/age.js';
import { MissingError } from '../../api/container-environment.js';
import type { Container, LifecycleHandler } from '../../api/types.js';
import { nextDelay, restarts } from './backoff.js';
import { startBuiltin } from './builtin-run.js';
import { adoptCommand, startCommand, type Exit, type Run } from './command.js';
import { probeTarget, type ContainerContext } from './container-context.js';
import { ContainerFiles } from './container-files.js';
import { MIN_GRACE_MS, PreStop, runPostStart } from './hooks.js';
import { planOf } from './images.js';
import { look, type ProbeResult } from './probe.js';
import { Prober } from './prober.js';
import { isSidecar } from './start-order.js';
import { containerId, type ContainerRecord } from './state.js';
import type { Servers } from './servers.js';

export class ContainerLife {
  readonly record: ContainerRecord;
  readonly #context: ContainerContext;
  readonly #spec: Container;
  readonly #files: ContainerFiles;
  #run: Run | undefined;
  #servers: Servers | undefined;
  readonly #prober: Prober;
  #timer: NodeJS.Timeout | undefined;
  /** Why we are stopping a run that shall not go on as it is. */
  #killedFor: string | undefined;
  /** The preStop hook of this run. */
  #hook: PreStop | undefined;
  /** Aborted when this run's start must not be waited for any longer. */
  #starting = new AbortController();
  #isEnding = false;
  #isBegun = false;
  #isParked = false;
  /** The last step under way; steps follow each other. */
  #step: Promise<void> = Promise.resolve();

  /** See start-order.ts; meaningful for an init container. */
  get isSidecar(): boolean {
    return isSidecar(this.#spec);
  }

  constructor(context: ContainerContext, spec: Container, record: ContainerRecord) {
    this.#context = context;
    this.#spec = spec;
    this.record = record;
    this.#files = new ContainerFiles(context, spec, record);
    this.#prober = new Prober({
      container: spec,
      health: record,
      look: (probe, timeoutSeconds) => this.#look(probe, timeoutSeconds),
      changed: () => context.changed(),
      kill: (kind, message, graceSeconds) => {
        const graceMs = graceSeconds === undefined ? context.graceMs : graceSeconds * 1000;
        void this.#kill(`Container ${spec.name} failed ${kind} probe`, message, graceMs);
      },
      unhealthy: (sentence) => context.tell('Warning', 'Unhealthy', sentence),
      log: context.log,
    });
  }

  /** Start it, or take it over in whatever state an earlier agent left it. */
  #begin(): Promise<void> {
    return this.#next(async () => {
      const { state, lastState, delayMs = 0 } = this.record;
      if (state.terminated) {
        const { isKilled } = this.record;
        if (isKilled || restarts(this.#context.restartPolicy, state.terminated.exitCode)) await this.#start();
      } else if (lastState?.terminated && state.waiting?.reason === 'CrashLoopBackOff') {
        this.#startIn(Date.parse(lastState.terminated.finishedAt ?? '') + delayMs - Date.now());
      } else if (this.record.run === 0 || state.waiting?.reason === CONFIG_ERROR) await this.#start();
      else await this.#takeOver();
    });
  }

  /** It may run: begins it the first time, and again when a new holder exists after the old one was killed. */
  mayRun(): void {
    if (!this.#isBegun) {
      this.#isBegun = true;
      void this.#begin();
    } else if (this.#isParked) {
      this.#isParked = false;
      void this.#next(() => this.#start());
    }
  }

  /** A new holder was made: what a built-in server needs of it; commands start anew. */
  holderIsBack(): void {
    if (this.#servers) this.#files.makeEntry();
  }

  /** What its environment comes from may be there now. */
  objectsHaveChanged(): void {
    if (this.record.state.waiting?.reason !== CONFIG_ERROR || this.#isEnding) return;
    clearTimeout(this.#timer);
    void this.#next(async () => {
      if (this.record.state.waiting?.reason === CONFIG_ERROR) await this.#start();
    });
  }

  /** A new holder will be made: an init container has to run once more, for all that it did is gone with the old one. */
  holderIsGone(): void {
    if (this.isSidecar || this.record.state.terminated?.exitCode !== 0) return;
    this.#files.forgetRun();
    this.record.state = { waiting: { reason: 'ContainerCreating' } };
    this.#isBegun = true;
    this.#isParked = true;
  }

  /** End it within the grace. Resolves when it is over; may be called again with less grace. */
  async stop(graceMs: number): Promise<void> {
    if (!this.#isEnding && this.record.state.running)
      this.#context.tell('Normal', 'Killing', `Stopping container ${this.#spec.name}`);
    this.#isEnding = true;
    clearTimeout(this.#timer);
    this.#prober.containerIsEnding();
    this.#starting.abort();
    await this.#step;
    const exit = await this.#run?.stop(await this.#preStop(graceMs));
    if (this.#servers) {
      await this.#preStop(graceMs);
      await this.#closeServers();
    } else if (!exit) return;
    if (!this.record.state.terminated) this.#terminated(exit ?? COMPLETED());
  }

  /** The agent ends: the command goes on, the servers cannot. */
  async leave(): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#timer);
    this.#prober.end();
    this.#starting.abort();
    await this.#step;
    this.#run?.leave();
    await this.#closeServers();
  }

  /** One step after another, and none after the end. What throws (a full disk) is shown and tried again. */
  #next(step: () => Promise<void>): Promise<void> {
    this.#step = this.#step.then(async () => {
      try {
        if (!this.#isEnding) await step();
      } catch (error) {
        const { message } = error as Error;
        const reason = error instanceof MissingError ? CONFIG_ERROR : 'CreateContainerError';
        this.record.state = { waiting: { reason, message } };
        this.#context.tell('Warning', 'Failed', `Error: ${message}`);
        this.#context.changed();
        this.#startIn(this.#context.backoff.baseMs);
      }
    });
    return this.#step;
  }

  async #start(): Promise<void> {
    const { record } = this;
    const holderPid = this.#context.holderPid();
    record.state = { waiting: { reason: 'ContainerCreating' } };
    if (holderPid === undefined) {
      this.#isParked = true;
      this.#context.changed();
      return;
    }
    const env = this.#context.environment();
    this.#files.writeEntry(holderPid, env);
    const { tell } = this.#context;
    tell('Normal', 'Pulled', `Container image "${this.#spec.image}" already present on machine`);
    record.run += 1;
    record.isKilled = undefined;
    record.waiter = undefined;
    record.main = undefined;
    this.#killedFor = undefined;
    this.#newHooks();
    this.#prober.reset();
    tell('Normal', 'Created', `Created container: ${record.name}`);
    this.#context.changed();
    this.#files.makeRoom();
    const plan = planOf(this.#spec, env);
    if (plan.kind === 'builtin') {
      if (await this.#serve()) await this.#hasBegun();
      return;
    }
    const run = await startCommand({
      base: this.#files.base,
      logFailed: this.#files.logFailed,
      holderPid,
      argv: plan.argv,
      container: record.name,
      workingDir: this.#spec.workingDir,
      stdin: this.#spec.stdin,
      tty: this.#spec.tty,
    });
    this.#watch(run);
    if (run.hasStarted) await this.#hasBegun();
    else void run.exit.then((exit) => this.#sayNotStarted(exit));
  }

  #sayNotStarted({ reason, message = '' }: Exit): void {
    if (reason === 'StartError') this.#context.tell('Warning', 'Failed', `Error: ${message}`);
  }

  async #takeOver(): Promise<void> {
    const { record } = this;
    this.#newHooks();
    if (planOf(this.#spec).kind === 'builtin') {
      this.#files.makeEntry();
      if (await this.#serve()) await this.#hasBegun();
      return;
    }
    const run = adoptCommand(this.#files.base, this.#context.holderPid(), record, this.#files.logFailed);
    if (!run) {
      record.run -= 1;
      await this.#start();
      return;
    }
    this.#watch(run);
    if (run.hasStarted) await this.#hasBegun();
  }

  #watch(run: Run): void {
    this.#run = run;
    this.record.waiter = run.waiter;
    this.record.main = run.main;
    const starting = this.#starting;
    void run.exit.then((exit) => {
      starting.abort();
      if (this.#run !== run) return;
      if (this.#isEnding) this.#terminated(exit);
      else void this.#next(() => this.#over(exit));
    });
  }

  /** Open the sockets of a built-in image; on failure the container has ended. */
  async #serve(): Promise<boolean> {
    const plan = planOf(this.#spec);
    if (plan.kind !== 'builtin') return false;
    const log = this.#files.openLog();
    try {
      this.#servers = await startBuiltin(this.#context, this.#spec, plan.listeners, log);
      return true;
    } catch (error) {
      const { message } = error as Error;
      await this.#over({ exitCode: 1, finishedMs: Date.now(), reason: 'Error', message });
      return false;
    }
  }

  async #closeServers(): Promise<void> {
    const servers = this.#servers;
    this.#servers = undefined;
    await servers?.close();
  }

  /** It runs; when it was taken over, since some time. */
  #isRunning(): void {
    const startedAt = this.record.state.running?.startedAt;
    if (startedAt === undefined) {
      this.record.state = { running: { startedAt: timestamp(Date.now()) } };
      this.#context.changed();
    }
    this.#prober.begin(startedAt === undefined ? 0 : Math.max(Date.now() - Date.parse(startedAt), 0));
  }

  #look(handler: LifecycleHandler, limitSeconds: number, signal?: AbortSignal): Promise<ProbeResult> {
    return look(handler, probeTarget(this.#context, this.#spec), limitSeconds, signal);
  }

  /** Stop a run whose probe has failed. */
  async #kill(why: string, message: string, graceMs: number): Promise<void> {
    const run = this.#run;
    if (this.#isEnding) return;
    const isLast = this.#context.restartPolicy === 'Never';
    const what = `${why}${isLast ? '' : ', will be restarted'}`;
    this.#killedFor = `${what}: ${message}`;
    this.#context.tell('Normal', 'Killing', what);
    this.#context.log.warn({ container: this.#spec.name }, this.#killedFor);
    if (run) {
      await run.stop(await this.#preStop(graceMs)); // its exit is watched
      return;
    }
    const servers = this.#servers;
    await this.#preStop(graceMs);
    await this.#next(async () => {
      if (!servers || this.#servers !== servers) return;
      await this.#closeServers();
      await this.#over(COMPLETED());
    });
  }

  /** Run the preStop hook if there is one. @returns what is left of the grace */
  async #preStop(graceMs: number): Promise<number> {
    if (!this.record.state.running) return graceMs;
    return (await this.#hook?.within(graceMs)) ?? graceMs;
  }

  /** The hooks of the run that begins. */
  #newHooks(): void {
    const { preStop } = this.#spec.lifecycle ?? {};
    const { log } = this.#context;
    const failed = (message: string) => {
      log.warn({ container: this.#spec.name }, `preStop hook failed: ${message}`);
      this.#context.tell('Warning', 'FailedPreStopHook', `PreStopHook failed: ${message}`);
    };
    this.#hook = preStop && new PreStop(preStop, (...args) => this.#look(...args), failed);
    this.#starting = new AbortController();
  }

  /** The program was reached: run the postStart hook; the container runs when that has succeeded. */
  async #hasBegun(): Promise<void> {
    const { postStart } = this.#spec.lifecycle ?? {};
    const isKnown = this.record.state.running !== undefined; // an earlier agent has run it
    if (!isKnown) this.#context.tell('Normal', 'Started', `Started container ${this.#spec.name}`);
    if (postStart && !isKnown) {
      const why = await runPostStart(postStart, (...args) => this.#look(...args), this.#starting.signal);
      if (this.#starting.signal.aborted) return;
      if (why !== undefined) {
        this.#context.tell('Warning', 'FailedPostStartHook', `PostStartHook failed: ${why}`);
        // Not awaited: what follows a kill is a step of its own.
        void this.#kill('PostStartHook failed', why, Math.min(this.#context.graceMs, MIN_GRACE_MS));
        return;
      }
    }
    this.#isRunning();
  }

  /** A run has ended by itself: decide what follows. */
  async #over(exit: Exit): Promise<void> {
    const { record } = this;
    const { restartPolicy, backoff, fullName } = this.#context;
    this.#run = undefined;
    const startedMs = Date.parse(record.state.running?.startedAt ?? '') || exit.finishedMs;
    // A command that ends well when it is told to has still failed its probe.
    record.isKilled = this.#killedFor !== undefined && restartPolicy !== 'Never';
    this.#terminated(exit);
    if (!record.isKilled && !restarts(restartPolicy, exit.exitCode)) return;
    await turnOver(); // that it ended is reported, also when it starts again at once
    record.delayMs = nextDelay(backoff, record.delayMs, exit.finishedMs - startedMs);
    record.lastState = record.state;
    if (record.delayMs === 0) return this.#start();
    const wait = `${Math.ceil(record.delayMs / 1000)}s`;
    const message = `back-off ${wait} restarting failed container=${record.name} pod=${fullName}`;
    record.state = { waiting: { reason: 'CrashLoopBackOff', message } };
    const { tell } = this.#context;
    tell('Warning', 'BackOff', `Back-off restarting failed container ${record.name} in pod ${fullName}`);
    this.#context.changed();
    this.#startIn(exit.finishedMs + record.delayMs - Date.now());
  }

  #terminated({ exitCode, reason, message: why, finishedMs }: Exit): void {
    this.#prober.end();
    const message = why ?? this.#files.lastWords(exitCode) ?? this.#killedFor;
    const finishedAt = timestamp(finishedMs);
    const startedAt = this.record.state.running?.startedAt ?? finishedAt;
    const containerID = containerId(this.#context.uid, this.record);
    this.record.state = {
      terminated: {
        exitCode,
        reason,
        ...(message !== undefined && { message }),
        startedAt,
        finishedAt,
        containerID,
      },
    };
    this.#context.changed();
  }

  #startIn(ms: number): void {
    if (this.#isEnding) return;
    this.#timer = setTimeout(() => void this.#next(() => this.#start()), Math.max(ms, 0));
  }
}

const CONFIG_ERROR = 'CreateContainerConfigError';

const COMPLETED = (): Exit => ({ exitCode: 0, finishedMs: Date.now(), reason: 'Completed' });
