/**
 * The parent of a lab's server and agents: starts them, starts again what dies, ends them all.
 *
 * Theory of operation. A child is `running`, `waiting` (dead, its next start is set) or, once {@link Supervisor.stop} was
 * called, `stopped` for good. A child that dies is started again at once, so that an agent killed under load takes
 * its TAPs back before TCP notices. One that dies again soon waits 0.25 s, then twice as long each time, up to 10 s; a run
 * of 10 s or more counts as healthy and forgives the past. Nobody gives up: what a person repairs comes up by itself.
 *
 * It knows nothing of processes: starting, killing and time are parameters.
 */

/** A child to keep running. */
export interface ChildSpec {
  /** `server` or the name of a node. */
  readonly name: string;
  /** Program and arguments. */
  readonly argv: readonly string[];
}

/** A started child. */
export interface Running {
  readonly pid: number;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface ChildState {
  readonly name: string;
  /** Absent while it waits for its next start. */
  readonly pid?: number;
  readonly restarts: number;
  /** How the last run ended: `exit code 1`, `SIGKILL`, or why it could not be started. */
  readonly lastExit?: string;
}

export interface SupervisorOptions {
  /** Start a child; `ended` is called once, later, with words for how it ended. May throw. */
  start(child: ChildSpec, ended: (how: string) => void): Running;
  /** Call `action` after `ms`; returns how to call it off. */
  after(ms: number, action: () => void): () => void;
  /** Milliseconds, monotonic. */
  now(): number;
  /** After every start and end. */
  changed(children: readonly ChildState[]): void;
}

export interface Supervisor {
  /** Start one more child, and keep it running. Does nothing once all are to stop. */
  add(child: ChildSpec): void;
  /** SIGTERM to all; SIGKILL to those alive after `graceMs`. Resolves when none is alive. */
  stop(graceMs: number): Promise<void>;
}

/** A run this long is healthy. */
const HEALTHY_MS = 10_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

/** How long to wait before the next start of a child that died `failures` times in a row. */
export const backOff = (failures: number): number =>
  failures <= 1 ? 0 : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 2));

interface Slot {
  readonly spec: ChildSpec;
  running?: Running;
  startedAt: number;
  failures: number;
  restarts: number;
  lastExit?: string;
  cancel?: () => void;
}

/** A supervisor without children. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const slots: Slot[] = [];
  let onIdle: (() => void) | undefined;
  let stopping = false;

  const states = (): ChildState[] =>
    slots.map(({ spec, running, restarts, lastExit }) => ({
      name: spec.name,
      ...(running && { pid: running.pid }),
      restarts,
      ...(lastExit !== undefined && { lastExit }),
    }));

  function start(slot: Slot): void {
    delete slot.cancel;
    slot.startedAt = options.now();
    try {
      slot.running = options.start(slot.spec, (how) => ended(slot, how));
    } catch (error) {
      ended(slot, (error as Error).message);
      return;
    }
    options.changed(states());
  }

  function ended(slot: Slot, how: string): void {
    delete slot.running;
    slot.lastExit = how;
    if (stopping) {
      options.changed(states());
      if (slots.every((other) => !other.running)) onIdle?.();
      return;
    }
    slot.failures = options.now() - slot.startedAt >= HEALTHY_MS ? 1 : slot.failures + 1;
    slot.restarts++;
    const wait = backOff(slot.failures);
    if (wait === 0) return start(slot);
    slot.cancel = options.after(wait, () => start(slot));
    options.changed(states());
  }

  return {
    add(spec) {
      if (stopping) return;
      const slot: Slot = { spec, startedAt: 0, failures: 0, restarts: 0 };
      slots.push(slot);
      start(slot);
    },
    async stop(graceMs) {
      stopping = true;
      for (const slot of slots) {
        slot.cancel?.();
        slot.running?.kill('SIGTERM');
      }
      if (slots.every((slot) => !slot.running)) return;
      await new Promise<void>((resolve) => {
        const cancel = options.after(graceMs, () => {
          for (const slot of slots) slot.running?.kill('SIGKILL');
        });
        onIdle = () => {
          cancel();
          resolve();
        };
      });
    },
  };
}
