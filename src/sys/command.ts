/**
 * Run a program of the system to its end, in the way set-up code needs it: arguments as a list, all its words in the
 * error. Blocking for tools and tests; the agent uses the asynchronous twin.
 */
import { spawn, spawnSync } from 'node:child_process';

/** How a program ended. A program that was killed by a signal has status −1. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that is needed did not do what it was told. The message holds its own words. */
export class CommandError extends Error {
  readonly argv: readonly string[];
  readonly outcome: Outcome | undefined;

  constructor(message: string, argv: readonly string[], outcome?: Outcome) {
    super(message);
    this.name = 'CommandError';
    this.argv = argv;
    this.outcome = outcome;
  }
}

/** Debian's package for each program we call, for the advice when it is missing. */
const PACKAGES: Record<string, string> = {
  ip: 'iproute2',
  ethtool: 'ethtool',
  nsenter: 'util-linux',
};

const MAX_OUTPUT = 64 * 1024 * 1024;

/** Run and wait, blocking. Throws {@link CommandError} only if the program could not be started. */
export function runSync(argv: readonly string[], input = ''): Outcome {
  const child = spawnSync(argv[0], argv.slice(1), {
    input,
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT,
    env: environment(),
  });
  // A program that ends before it has read its input breaks the pipe; its status says why.
  if (child.error !== undefined && (child.error as NodeJS.ErrnoException).code !== 'EPIPE')
    throw cannotStart(argv, child.error);
  return { status: child.status ?? -1, stdout: child.stdout, stderr: child.stderr };
}

/**
 * Run and wait without blocking. Rejects with {@link CommandError} only if the program could not be started.
 *
 * @param limitMs  one that takes longer is killed; undefined: it may
 */
export function run(argv: readonly string[], input = '', limitMs?: number): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), {
      stdio: 'pipe',
      env: environment(),
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error) => reject(cannotStart(argv, error)));
    child.on('close', (status) => resolve({ status: status ?? -1, stdout, stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** The outcome if the program succeeded; else throw what it said. */
export function succeed(argv: readonly string[], outcome: Outcome): Outcome {
  if (outcome.status === 0) return outcome;
  const words = outcome.stderr.trim() || outcome.stdout.trim() || `exit status ${outcome.status}`;
  throw new CommandError(`Cannot run \`${argv.join(' ')}\`: ${words}`, argv, outcome);
}

/** In English, so that messages can be understood and parsed; /sbin is not on everybody's path. */
export function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin` };
}

function cannotStart(argv: readonly string[], error: NodeJS.ErrnoException): CommandError {
  const packageName = PACKAGES[argv[0]] ?? argv[0];
  const why =
    error.code === 'ENOENT'
      ? `there is no such program; install it with \`apt-get install ${packageName}\``
      : error.message;
  return new CommandError(`Cannot run "${argv[0]}": ${why}`, argv);
}
