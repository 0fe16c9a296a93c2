/**
 * Programs that run in a pod as its containers' commands.
 *
 * Theory of operation. A run is three processes:
 *
 *     waiter   sh, on the machine, detached: writes the exit code to N.exit when the next one has ended
 *     nsenter  on the machine: waits for the command, and ends as it ended, also by signal
 *     main     in the pod, leader of a session of its own: first a shell that goes to the working directory, finds
 *              the program and says so in N.start; then the program itself
 *
 * None needs the agent: what the program writes waits in FIFOs (run-output.ts), and the next agent finds the waiter by
 * `PODWIRE_RUN=folder/N` in its environment. The program's own environment and its volumes come from the container's
 * script, see entry.ts. When the program has ended the waiter stays, and keeps what nobody has read yet, until an agent
 * has; it goes with the pod's folder too.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import {
  childrenOf,
  comesTrue,
  ended,
  isAlive,
  processesBeside,
  processesWithEnv,
  refOf,
  signal,
  statOf,
  type ProcessRef,
} from './procfs.js';
import { collectOutput, makeOutput, type Collector } from './run-output.js';
import { entryArgs } from './entry.js';
import { DEFAULT_PATH } from './holder.js';

/** How a run ended. */
export interface Exit {
  exitCode: number;
  finishedMs: number;
  /** Kubernetes' one word. */
  reason: 'Completed' | 'Error' | 'StartError' | 'ContainerStatusUnknown';
  message?: string;
}

/** A run that this agent watches. */
export interface Run {
  readonly waiter: ProcessRef;
  /** The command itself; absent when it ended before we could look. */
  readonly main?: ProcessRef;
  /** Whether the program itself was reached; else `exit` says why not. */
  readonly hasStarted: boolean;
  /** Resolves when it has ended and nothing of its session is left. Never rejects. */
  readonly exit: Promise<Exit>;
  /** SIGTERM, and SIGKILL to the whole session after the grace. Resolves with `exit`. */
  stop(graceMs: number): Promise<Exit>;
  /** Watch no longer; the run goes on. */
  leave(): void;
}

/** What to run. */
export interface CommandOptions {
  /** `CONTAINER-FOLDER/N`; files `.log`, `.start`, `.exit` and others are made beside it. */
  base: string;
  /** Told when its log cannot be written. */
  logFailed: (error: Error) => void;
  holderPid: number;
  argv: readonly string[];
  /** The container's name. */
  container: string;
  workingDir?: string;
  /** It has an input that can be attached to; see {@link KEEPER}. */
  stdin?: boolean;
  /** It runs on a terminal, which `script` keeps for it: so that the terminal, too, outlives the agent. */
  tty?: boolean;
}

/** fd 4 is a pipe to the agent, which its end tells that the program has ended. */
const WAITER =
  'code=$?; exec 3>&-; echo "$code" >"$0.exit.new" && mv "$0.exit.new" "$0.exit"; exec 4>&-; ' +
  'while [ -p "$0.out" ] || [ -p "$0.err" ]; do sleep 1; done';

/**
 * An input is a FIFO, N.stdin, and a keeper that holds it open, so that its end comes neither when nobody is attached
 * nor when the agent dies. The end is made by ending the keeper, whose pid is in N.keeper.
 */
const KEEPER =
  'mkfifo -m 600 "$0.stdin"; sleep infinity <>"$0.stdin" >/dev/null 2>&1 3>&- 4>&- & echo "$!" >"$0.keeper"; ' +
  '"$@" <"$0.stdin" 4>&-; code=$?; kill "$(cat "$0.keeper")" 2>/dev/null; (exit "$code"); ';

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** The words that run a program; on a terminal, by `script`, which passes its input, output and end on. */
function programArgs({ argv, workingDir = '/', tty = false }: CommandOptions): string[] {
  const words = ['sh', '-c', IN_POD, 'sh', workingDir, ...argv];
  return tty ? ['script', '-qefc', `exec ${words.map(quote).join(' ')}`, '/dev/null'] : words;
}

/** fd 3 is N.start. The words are those that containerd hands to Kubernetes. */
export const IN_POD = `
fail() { echo "failed exec: \\"$1\\": $2" >&3; exit 128; }
if ! { mkdir -p "$1" && cd "$1"; } 2>/dev/null; then fail "$1" 'cannot be the working directory'; fi
shift
case "$1" in
*/*)
  [ -e "$1" ] || fail "$1" "stat $1: no such file or directory"
  if [ -d "$1" ]; then fail "$1" 'is a directory'; fi
  [ -x "$1" ] || fail "$1" 'permission denied'
  ;;
*) command -v "$1" >/dev/null || fail "$1" 'executable file not found in $PATH' ;;
esac
echo "started $$" >&3
exec "$@" 3>&-
`;

/** The namespaces of a pod, as arguments of nsenter. */
export const nsenterArgs = (holderPid: number): string[] => [
  ...['-t', String(holderPid), '-m', '-u', '-i', '-n', '-p', '-r', '-w', '--'],
];

/** Start a command. Resolves when the program has been started, or has failed to. */
export async function startCommand(options: CommandOptions): Promise<Run> {
  const { base, logFailed, holderPid, container, stdin = false } = options;
  const start = openSync(`${base}.start`, 'a', 0o600);
  const output = makeOutput(base);
  let child: ChildProcess;
  try {
    child = spawn(
      'sh',
      // prettier-ignore
      ['-c', (stdin ? KEEPER : '"$@" 4>&-; ') + WAITER, base, 'nsenter', ...nsenterArgs(holderPid), 'setsid', ...entryArgs(container), ...programArgs(options)],
      {
        cwd: '/',
        detached: true,
        stdio: ['ignore', ...output, start, 'pipe'],
        env: { PATH: DEFAULT_PATH, PODWIRE_RUN: base },
      },
    );
  } finally {
    for (const fd of [...output, start]) closeSync(fd);
  }
  const line = child.stdio[4] as Socket;
  const closed = new Promise<void>((resolve) => {
    child.on('error', () => resolve());
    line.on('error', () => {}).on('close', () => resolve());
  });
  line.resume().unref();
  child.unref();
  const collector = collectOutput(base, logFailed);
  const waiter = child.pid === undefined ? undefined : refOf(child.pid);
  if (!waiter) {
    await closed;
    return watch({ base, holderPid, waiter: NOBODY, closed, collector });
  }
  let isOver = false;
  void closed.then(() => (isOver = true));
  const limit = performance.now() + 10_000;
  while (!isOver && readText(`${base}.start`) === '' && performance.now() < limit) await pause(5);
  return watch({
    base,
    holderPid,
    waiter,
    main: mainOf(waiter),
    closed,
    collector,
    leave: () => line.destroy(),
  });
}

const NOBODY: ProcessRef = { pid: 0, startTime: 0 };

/**
 * Take over a run that an earlier agent started.
 *
 * @returns  undefined when it was never started
 */
export function adoptCommand(
  base: string,
  holderPid: number | undefined,
  known: { waiter?: ProcessRef; main?: ProcessRef },
  logFailed: (error: Error) => void,
): Run | undefined {
  const waiter = known.waiter ?? findWaiter(base);
  if (!waiter && readText(`${base}.start`) === '' && readText(`${base}.exit`) === '') return undefined;
  const ref = waiter ?? NOBODY;
  const over = { left: false };
  const closed = (async () => {
    while (!over.left && !isOver(base, ref)) await pause(200);
  })();
  const collector = collectOutput(base, logFailed);
  const main = known.main ?? mainOf(ref);
  return watch({ base, holderPid, waiter: ref, main, closed, collector, leave: () => (over.left = true) });
}

/** Whether the program has ended; its waiter may still be there. */
const isOver = (base: string, waiter: ProcessRef): boolean =>
  existsSync(`${base}.exit`) || waiter.pid === 0 || !isAlive(waiter);

/** The waiter is the eldest of those that carry the mark; nsenter below it carries it too. */
function findWaiter(base: string): ProcessRef | undefined {
  const marked = processesWithEnv(`PODWIRE_RUN=${base}`);
  return marked.find(({ parent }) => !marked.some(({ pid }) => pid === parent));
}

const mainOf = (waiter: ProcessRef): ProcessRef | undefined => {
  // Its children are nsenter and perhaps the keeper, which has none.
  const [main] = waiter.pid > 0 ? childrenOf(waiter.pid).flatMap(childrenOf) : [];
  return main === undefined ? undefined : refOf(main);
};

interface Watched {
  base: string;
  holderPid: number | undefined;
  waiter: ProcessRef;
  main?: ProcessRef;
  /** Resolves when the program has ended. */
  closed: Promise<void>;
  collector: Collector;
  leave?: () => void;
}

function watch({ base, holderPid, waiter, main, closed, collector, leave }: Watched): Run {
  let hasLeft = false;
  const exit = new Promise<Exit>((resolve) => {
    void closed.then(async () => {
      if (hasLeft) return;
      if (main) await killSession(holderPid, main);
      collector.finish();
      await endWaiter(waiter);
      resolve(readExit(base));
    });
  });
  return {
    waiter,
    main,
    hasStarted: readText(`${base}.start`).startsWith('started'),
    exit,
    async stop(graceMs) {
      if (main && isAlive(main)) signal(main.pid, 'SIGTERM');
      const isGone = () => isOver(base, waiter);
      if (!(await comesTrue(isGone, graceMs)) && main) {
        await killSession(holderPid, main);
        await comesTrue(isGone, 2000);
      }
      return exit;
    },
    leave() {
      hasLeft = true;
      collector.leave();
      leave?.();
    },
  };
}

/** End a waiter that has nothing to wait for any longer, with what it has started outside. */
export async function endWaiter(waiter: ProcessRef): Promise<void> {
  if (waiter.pid === 0 || !isAlive(waiter)) return;
  signal(-waiter.pid, 'SIGKILL');
  await ended([waiter], 2000);
}

/** End what a command left behind in its session; what has made a session of its own lives until the pod ends. */
export async function killSession(holderPid: number | undefined, main: ProcessRef): Promise<void> {
  if (holderPid === undefined) return; // all of the pod has ended with its holder
  const now = statOf(main.pid);
  if (now && now.startTime !== main.startTime) return; // the number is somebody else's by now
  const rest = processesBeside(holderPid).filter(
    ({ session, startTime }) => session === main.pid && startTime >= main.startTime,
  );
  for (const { pid } of rest) signal(pid, 'SIGKILL');
  await ended(rest, 5000);
}

function readExit(base: string): Exit {
  const code = readText(`${base}.exit`).trim();
  const failure = /^failed (.*)$/m.exec(readText(`${base}.start`))?.[1];
  const finishedMs = modifiedMs(`${base}.exit`) ?? Date.now();
  if (code === '')
    return {
      exitCode: 137,
      finishedMs,
      reason: 'ContainerStatusUnknown',
      message: 'The container could not be located when the agent looked for it',
    };
  const exitCode = Number(code);
  if (failure !== undefined)
    return {
      exitCode: 128,
      finishedMs,
      reason: 'StartError',
      message: `failed to create containerd task: unable to start container process: ${failure}: unknown`,
    };
  return { exitCode, finishedMs, reason: exitCode === 0 ? 'Completed' : 'Error' };
}

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const modifiedMs = (path: string): number | undefined => {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return undefined;
  }
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
