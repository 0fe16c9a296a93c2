/**
 * Joining a container's own program: attach.
 *
 * Theory of operation. What it writes is in the log of its run, so who is attached follows the log, from where it is
 * now; the first one on a container whose input is for one (`stdinOnce`) from the beginning, so that `kubectl run -i`
 * misses nothing. What is typed goes into the FIFO of the run (command.ts). It is over when the run is; with a
 * container whose input is for one, the input ends with the client's. Its stdout and stderr are entries of one log, which is
 * read for each.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { openFifo } from '../../sys/pipe.js';
import { resizeTerminalOf } from '../../sys/pty.js';
import { readLog } from './logs.js';
import { childrenOf, isAlive, processesWithEnv, signal } from './procfs.js';
import { specOf, type ContainerRecord, type PodState } from './state.js';

export interface Attachment {
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Absent when none is wanted, or the container has none. */
  readonly stdin?: Writable;
  resize(columns: number, rows: number): void;
  /** The client is gone, or has no more to type. */
  inputEnded(): void;
}

/**
 * Attach to the run of a container.
 *
 * @param dir       the pod's folder
 * @param hasStdin  whether the client types; else nothing holds the input open
 * @throws {RangeError} when it does not run
 */
export function attach(dir: string, state: PodState, record: ContainerRecord, hasStdin: boolean): Attachment {
  if (!record.state.running) throw new RangeError(`container not found ("${record.name}")`);
  const spec = specOf(state, record.name);
  const base = join(dir, record.name, String(record.run));
  const { run } = record;
  const isGrowing = (): boolean =>
    record.run === run && record.state.running !== undefined && existsSync(dir);
  const isFirst = spec?.stdinOnce === true && !existsSync(`${base}.attached`);
  if (isFirst) writeFileSync(`${base}.attached`, '', { mode: 0o600 });
  const from = isFirst ? 0 : (statSync(`${base}.log`, { throwIfNoEntry: false })?.size ?? 0);
  const [stdout, stderr] = (['stdout', 'stderr'] as const).map((stream) =>
    readLog(`${base}.log`, { isGrowing, from, stream }),
  );
  const stdin =
    hasStdin && existsSync(`${base}.stdin`)
      ? new Socket({ fd: openFifo(`${base}.stdin`), readable: false, writable: true })
      : undefined;
  return {
    stdout: stdout!,
    stderr: stderr!,
    ...(stdin && { stdin }),
    resize(columns, rows) {
      const [program] = record.main ? childrenOf(record.main.pid) : [];
      if (spec?.tty && program !== undefined) resizeTerminalOf(program, columns, rows);
    },
    inputEnded() {
      stdin?.destroy();
      if (hasStdin && spec?.stdinOnce) endKeeper(base);
    },
  };
}

/** The FIFO's end comes when its last writer is gone. */
function endKeeper(base: string): void {
  const keeper = Number(textOf(`${base}.keeper`));
  // A pid alone may be somebody else's by now.
  const ours = processesWithEnv(`PODWIRE_RUN=${base}`).find(({ pid }) => pid === keeper);
  if (ours && isAlive(ours)) signal(keeper, 'SIGKILL');
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
