/**
 * A program that somebody outside runs in a container, with his own input and output: exec.
 *
 * Theory of operation. As for a container's own command (command.ts) a shell inside finds the program and says on fd 3
 * whether it has; but nothing survives the caller here:
 *
 *     nsenter  on the machine, our child: ends as the program ends, also by signal
 *     main     in the pod, leader of a session of its own, on a terminal if asked for
 *
 * Standard streams are pipes, not Node's sockets, so that /dev/stdin can be opened again. It is over when the program
 * has ended and its output is closed, as in containerd: what it leaves in the background with its output holds it.
 * `kill` ends the whole session: SIGHUP, and SIGKILL a second later. An agent that is killed cannot; so nsenter carries
 * `PODWIRE_EXEC=folder of the pods` in its environment, by which the next agent finds and ends what nobody hears any longer.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { openPipe } from '../../sys/pipe.js';
import { IN_POD, killSession, nsenterArgs } from './command.js';
import { entryArgs } from './entry.js';
import { DEFAULT_PATH } from './holder.js';
import {
  childrenOf,
  ended,
  isAlive,
  processesBeside,
  processesWithEnv,
  refOf,
  signal,
  type ProcessRef,
} from './procfs.js';
import { holderOf, specOf, type ContainerRecord, type PodState } from './state.js';
import { openTerminal, type Terminal } from './terminal.js';

/** What to run. */
export interface ExecOptions {
  argv: readonly string[];
  /** Default: none, and the program reads nothing. */
  stdin?: boolean;
  /** One stream for input and output, which can be resized. */
  tty?: boolean;
}

/** How a program ended, or why it was never there. */
export type ExecEnd = { exitCode: number } | { problem: string };

export interface Exec {
  readonly stdin?: Writable;
  readonly stdout: Readable;
  /** Absent on a terminal. */
  readonly stderr?: Readable;
  resize(columns: number, rows: number): void;
  /** Resolves when the program has ended; its output may still be read then. Never rejects. */
  readonly end: Promise<ExecEnd>;
  /** End it with all of its session. Resolves when it is gone. */
  kill(): Promise<void>;
}

const HANGUP_GRACE_MS = 1000;
/** In whose environment the folder of the pods stands. */
const MARK = 'PODWIRE_EXEC';

/**
 * Run a program in a container.
 *
 * @param folder  the pod's
 * @throws {RangeError} when the container does not run
 */
export function startExec(
  folder: string,
  state: PodState,
  container: ContainerRecord,
  options: ExecOptions,
): Exec {
  const holder = holderOf(state);
  if (!holder || !isAlive(holder) || !container.state.running)
    throw new RangeError(`container not found ("${container.name}")`);
  const { argv, tty = false, stdin = false } = options;
  const terminal = tty ? openTerminal(holder.pid) : undefined;
  const pipes = terminal
    ? undefined
    : { stdin: stdin ? openPipe() : undefined, stdout: openPipe(), stderr: openPipe() };
  const { workingDir = '/', env = [] } = specOf(state, container.name) ?? {};
  const term = terminal && !env.some(({ name }) => name === 'TERM') ? ['env', 'TERM=xterm'] : [];
  const given = terminal
    ? [terminal.slaveFd, terminal.slaveFd, terminal.slaveFd]
    : [pipes!.stdin?.readFd ?? 'ignore', pipes!.stdout.writeFd, pipes!.stderr.writeFd];
  let child: ChildProcess;
  try {
    child = spawn(
      'nsenter',
      // prettier-ignore
      [...nsenterArgs(holder.pid), 'setsid', ...(terminal ? ['--ctty'] : []), ...entryArgs(container.name), ...term, 'sh', '-c', IN_POD, 'sh', workingDir, ...argv],
      // Of a process group of its own, so that a Ctrl-C for the agent is none for it.
      {
        cwd: '/',
        detached: true,
        stdio: [...given, 'pipe'] as never,
        env: { PATH: DEFAULT_PATH, [MARK]: dirname(folder) },
      },
    );
  } finally {
    for (const fd of new Set(given)) if (typeof fd === 'number') closeSync(fd);
  }
  const streams = terminal ? { stdin: terminal.input, stdout: terminal.output } : streamsOf(pipes!);
  return {
    ...(stdin && { stdin: streams.stdin }),
    stdout: streams.stdout,
    ...('stderr' in streams && { stderr: streams.stderr }),
    resize: (columns, rows) => terminal?.resize(columns, rows),
    end: endOf(child, argv),
    kill: () => kill(child, holder.pid, terminal),
  };
}

type Pipes = { stdin?: { writeFd: number }; stdout: { readFd: number }; stderr: { readFd: number } };

function streamsOf({ stdin, stdout, stderr }: Pipes) {
  const reader = ({ readFd }: { readFd: number }): Readable =>
    new Socket({ fd: readFd, readable: true, writable: false });
  return {
    stdin: stdin && new Socket({ fd: stdin.writeFd, readable: false, writable: true }),
    stdout: reader(stdout),
    stderr: reader(stderr),
  };
}

function endOf(child: ChildProcess, argv: readonly string[]): Promise<ExecEnd> {
  let said = '';
  const start = child.stdio[3] as Readable;
  start.setEncoding('utf8').on('data', (text: string) => (said += text));
  // It is closed when the program begins, and in any case when nobody is left.
  const closed = new Promise<void>((resolve) => start.once('close', resolve));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ problem: `Cannot run "${argv[0]}": ${error.message}` }));
    child.once('exit', (code, name) => {
      void closed.then(() => {
        const failure = /^failed (.*)$/m.exec(said)?.[1];
        if (failure !== undefined)
          resolve({
            problem: `OCI runtime exec failed: exec failed: unable to start container process: ${failure}: unknown`,
          });
        else if (!said.startsWith('started')) resolve({ problem: 'the container has ended' });
        else resolve({ exitCode: code ?? 128 + constants.signals[name!] });
      });
    });
  });
}

async function kill(child: ChildProcess, holderPid: number, terminal: Terminal | undefined): Promise<void> {
  terminal?.close();
  const main =
    child.pid === undefined || child.exitCode !== null ? undefined : childrenOf(child.pid).map(refOf)[0];
  if (main) {
    await endSession(holderPid, main);
  }
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
}

async function endSession(holderPid: number, main: ProcessRef): Promise<void> {
  const session = processesBeside(holderPid).filter((process) => process.session === main.pid);
  for (const { pid } of session) signal(pid, 'SIGHUP');
  await ended(session, HANGUP_GRACE_MS);
  await killSession(holderPid, main);
}

/** End what was started by agents that were killed. @param podsDir  the folder of all pods' folders */
export async function endForsakenExecs(podsDir: string): Promise<void> {
  const forsaken = processesWithEnv(`${MARK}=${podsDir}`).filter(({ parent }) => parent !== process.pid);
  await Promise.all(
    forsaken.map(async (nsenter) => {
      const [main] = childrenOf(nsenter.pid).map(refOf);
      if (main) await endSession(main.pid, main);
      if (isAlive(nsenter)) signal(nsenter.pid, 'SIGKILL');
    }),
  );
}
