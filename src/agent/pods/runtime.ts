/**
 * The pods of one host: what shall run against what does.
 *
 * Theory of operation. Every pod that has a folder under `dir` has a {@link PodLife}; at the start these are the
 * folders that an earlier agent left. The first `sync` takes over those that are still wanted and removes the
 * others. A pod whose name is still held by one that is going waits for it. `wanted` is kept, so that whatever
 * ends can be followed by what was waiting.
 */
import { rmSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { Event, Pod } from '../../api/types.js';
import { DEFAULT_BACKOFF, type Backoff } from './backoff.js';
import { createEventRecorder } from './events.js';
import { createGate } from './gate.js';
import { endForsakenExecs } from './exec.js';
import { graceMsOf, newState, type HostContext, type HostFacts } from './host-context.js';
import { PodLife, type LogOptions } from './pod-life.js';
import { podFolders, readState, uidOf, type PodState } from './state.js';

export type { PodNetwork } from './pod-network.js';

export interface PodRuntimeOptions extends HostFacts {
  /** Where the pods' folders are, and nothing else; no pod can see it. */
  dir: string;
  /** Something happened to a pod that people want to know of. */
  event?(event: Event): void;
  /** A pod with a deletionTimestamp is gone from this host. */
  removed(pod: Pod): void;
  /** Of containers that end; default as in Kubernetes. */
  backoff?: Backoff;
}

export interface PodRuntime {
  /**
   * The pods this host shall run: those with `status.podIP` whose `nodeName` is ours. Level-triggered, cheap when
   * nothing changed, never throws. Not to be called before the first complete list: what is not in it is ended.
   */
  sync(pods: readonly Pod[]): void;
  /**
   * The log of a container, as text; `follow` keeps it open until the container ends.
   *
   * @throws {RangeError} when there is no such pod or container
   */
  logs(uid: string, options: LogOptions): Readable;
  /**
   * What is known of a pod, as it is now.
   *
   * @throws {RangeError} when there is no such pod
   */
  state(uid: string): PodState;
  /** Its folder. @throws {RangeError} as `state` */
  folder(uid: string): string;
  /** The agent ends: pods and their commands stay. */
  close(): Promise<void>;
  /** End and remove all pods, also those that no `sync` named, with one second of grace. */
  removeAll(): Promise<void>;
}

const CHECK_MS = 1000;
/** Holders that are made side by side: each is some forty short processes. */
const MAKING_AT_ONCE = 4;
const DOWN_GRACE_MS = 1000;

/** Make the runtime, and find what an earlier agent left. Nothing is changed before the first `sync`. */
export function createPodRuntime(options: PodRuntimeOptions): PodRuntime {
  const { log } = options;
  const context: HostContext = {
    ...options,
    podsDir: resolve(options.dir),
    backoff: options.backoff ?? DEFAULT_BACKOFF,
    gate: createGate(MAKING_AT_ONCE),
    events: createEventRecorder(options.node, (event) => options.event?.(event)),
  };
  const lives = new Map<string, PodLife>();
  /** Pods on their way out, by uid; they are in `lives` too. */
  const leaving = new Map<string, Promise<void>>();
  let wanted = new Map<string, Pod>();
  let isClosed = false;
  let hasBegun = false;

  for (const folder of podFolders(context.podsDir)) {
    const state = readState(folder);
    if (state) lives.set(basename(folder), new PodLife(context, state));
    else removeStray(folder, log);
  }

  const timer = setInterval(() => {
    for (const life of lives.values()) life.check();
  }, CHECK_MS);

  function end(uid: string, life: PodLife, graceMs: number): void {
    const gone = life.remove(graceMs);
    if (leaving.has(uid)) return;
    leaving.set(
      uid,
      gone.then(() => {
        lives.delete(uid);
        leaving.delete(uid);
        if (isClosed) return;
        const pod = wanted.get(uid) ?? life.state.pod;
        context.events.forget(pod);
        if (pod.metadata.deletionTimestamp) options.removed(pod);
        reconcile();
      }),
    );
  }

  function start(uid: string, pod: Pod): void {
    const state = newState(context, pod);
    for (const { state: other } of lives.values())
      if (other.name === state.name && other.namespace === state.namespace) return; // its name is not free yet
    const life = new PodLife(context, state);
    lives.set(uid, life);
    life.begin(pod);
  }

  function reconcile(): void {
    for (const [uid, life] of lives)
      if (!wanted.has(uid)) end(uid, life, graceOfDeletion(life.state.pod, true));
    for (const [uid, pod] of wanted) {
      const life = lives.get(uid);
      if (pod.metadata.deletionTimestamp) {
        if (life) {
          life.state.pod = pod;
          end(uid, life, graceOfDeletion(pod, false));
        }
      } else if (life) {
        if (leaving.has(uid)) continue;
        life.begin(pod);
        life.refresh();
      } else if (pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed') start(uid, pod);
    }
  }

  function lifeOf(uid: string): PodLife {
    const life = lives.get(uid);
    if (!life) throw new RangeError(`Cannot enter pod "${uid}": it does not run on this host`);
    return life;
  }

  return {
    sync(pods) {
      if (isClosed) return;
      if (!hasBegun)
        void endForsakenExecs(context.podsDir).catch((error: unknown) =>
          log.warn({ err: error }, 'cannot end what an earlier agent has started by exec'),
        );
      hasBegun = true;
      wanted = new Map(pods.map((pod) => [uidOf(pod), pod]));
      // Nothing of these is here, or no longer: say so as often as we are asked.
      for (const [uid, pod] of wanted)
        if (pod.metadata.deletionTimestamp && !lives.has(uid)) options.removed(pod);
      reconcile();
    },

    logs(uid, logOptions) {
      const life = lives.get(uid);
      if (!life) throw new RangeError(`Cannot read logs of pod "${uid}": it does not run on this host`);
      return life.logs(logOptions);
    },

    state: (uid) => lifeOf(uid).state,
    folder: (uid) => lifeOf(uid).dir,

    async close() {
      isClosed = true;
      clearInterval(timer);
      await Promise.all([...lives].filter(([uid]) => !leaving.has(uid)).map(([, life]) => life.leave()));
    },

    async removeAll() {
      isClosed = true;
      clearInterval(timer);
      wanted = new Map();
      await Promise.all([...lives.values()].map((life) => life.remove(DOWN_GRACE_MS, true)));
      lives.clear();
      rmSync(context.podsDir, { recursive: true, force: true });
    },
  };
}

/** How long a pod may take to end. */
function graceOfDeletion({ metadata, spec }: Pod, hasVanished: boolean): number {
  if (hasVanished && metadata.deletionTimestamp) return 0; // forced
  return graceMsOf(spec, metadata.deletionGracePeriodSeconds);
}

/** A folder without a state: the state is the first thing that is made, so there is nothing else. */
function removeStray(folder: string, log: Logger): void {
  log.warn({ folder }, 'removing a folder of pods without a state');
  rmSync(folder, { recursive: true, force: true });
}
