/**
 * Child processes of tests. tap reaches into every child through NODE_OPTIONS (start 50 → 170 ms, exit hooks that are not
 * ours). It adds it behind our back, after we have said which environment we want; so children start through env(1),
 * which takes it out again and becomes the program, with the same pid.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import type { TestScope } from './scope.js';

export { printed } from '../../src/bench/programs.js';

const LEAKS = /^(NODE_OPTIONS|NODE_V8_COVERAGE|TAP|TAP_.*|_TAPJS_.*)$/;

/**
 * The environment a user's shell would give, with `extra` on top. For what is not a Node program: a Node child of this very
 * process gets tap's options all the same, unless {@link cleanArgv} starts it.
 */
export function cleanEnv(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !LEAKS.test(name));
  return { ...Object.fromEntries(kept), ...extra };
}

/** The command line that runs a program in the environment of a user's shell, with `extra` on top. */
export function cleanArgv(argv: readonly string[], extra: NodeJS.ProcessEnv = {}): string[] {
  const names = new Set(['NODE_OPTIONS', 'NODE_V8_COVERAGE']);
  for (const name of Object.keys(process.env)) if (LEAKS.test(name)) names.add(name);
  const added = Object.entries(extra).filter(([, value]) => value !== undefined);
  return [
    'env',
    ...[...names].flatMap((name) => ['-u', name]),
    ...added.map(([name, value]) => `${name}=${value}`),
    ...argv,
  ];
}

/** How a child ended. */
export interface Result {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run a program to its end, blocking, at most three minutes. Status 127: there is no such program. */
export function runSync(
  argv: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Result {
  const [command, ...args] = cleanArgv(argv, options.env);
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    input: options.input ?? '',
    encoding: 'utf8',
    timeout: 180_000,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined && status === null && signal === null) throw error;
  return { status, signal, stdout, stderr };
}

/** Run a program that must succeed; what it printed. */
export function output(argv: readonly string[], input?: string, env?: NodeJS.ProcessEnv): string {
  const result = runSync(argv, { input, env });
  if (result.status !== 0)
    throw new Error(`\`${argv.join(' ')}\` ended with ${result.status ?? result.signal}: ${result.stderr}`);
  return result.stdout;
}

/** Start a program that ends with the test: it is killed, by its own pid, in the test's teardown. */
export function start(t: TestScope, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const { env, ...rest } = options;
  const [command, ...args] = cleanArgv(argv, env);
  const child = spawn(command, args, { stdio: 'pipe', ...rest });
  const ended = once(child, 'exit').catch(() => {});
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}
