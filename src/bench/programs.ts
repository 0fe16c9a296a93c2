/**
 * The programs that make traffic: run to their end or started for as long as the benchmark lasts, mostly inside a namespace.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Scope } from './scope.js';

export interface Outcome {
  /** −1: a signal ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing that is measured takes longer. */
const LIMIT_MS = 60_000;

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  LC_ALL: 'C',
  PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
});

/** The command line that runs a program inside a namespace. */
export const inside = (netns: string, ...argv: string[]): string[] => ['ip', 'netns', 'exec', netns, ...argv];

/** Run a program to its end; one that takes too long is ended. */
export function run(argv: readonly string[], input = '', limitMs = LIMIT_MS): Promise<Outcome> {
  const child = spawn(argv[0]!, argv.slice(1), {
    env: environment(),
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => (said[stream] += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status: status ?? -1, ...said }));
  });
}

/** Run a program that must succeed; what it printed. */
export async function output(argv: readonly string[], input?: string): Promise<string> {
  const { status, stdout, stderr } = await run(argv, input);
  if (status !== 0) throw new Error(`\`${argv.join(' ')}\` ended with ${status}: ${stderr || stdout}`);
  return stdout;
}

/** Start a program that runs until the benchmark ends. */
export function start(scope: Scope, argv: readonly string[]): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: environment() });
  const ended = once(child, 'exit').catch(() => undefined);
  // What nobody reads must not stop it.
  child.stdout.on('data', () => undefined);
  child.stderr.on('data', () => undefined);
  scope.teardown(() => stop(child, ended));
  return child;
}

/** End a started program now. */
export async function stop(
  child: ChildProcess,
  ended: Promise<unknown> = once(child, 'exit'),
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGKILL');
  await ended;
}

/** Wait until a started program has printed text that matches. */
export function printed(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk: Buffer): void => {
      text += chunk.toString();
      if (pattern.test(text)) resolve();
    };
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('error', reject);
    child.once('close', () => reject(new Error(`ended before it printed ${pattern}: ${text}`)));
  });
}
