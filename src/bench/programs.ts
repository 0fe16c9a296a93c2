/**
 * The programs that make traffic: run to their end or started for as long as the benchmark lasts, mostly inside a namespace.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { environment, run as runCommand, succeed, type Outcome } from '../sys/command.js';
import type { Scope } from './scope.js';

/** Nothing that is measured takes longer. */
const LIMIT_MS = 60_000;

/** The command line that runs a program inside a namespace. */
export const inside = (netns: string, ...argv: string[]): string[] => ['ip', 'netns', 'exec', netns, ...argv];

/** Run a program to its end; one that takes too long is ended. */
export const run = (argv: readonly string[], input = '', limitMs = LIMIT_MS): Promise<Outcome> =>
  runCommand(argv, input, limitMs);

/** Run a program that must succeed; what it printed. */
export const output = async (argv: readonly string[], input?: string): Promise<string> =>
  succeed(argv, await run(argv, input)).stdout;

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

/** Wait until a started program has printed text that matches, on stdout or stderr. What it printed up to then. */
export function printed(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk: Buffer): void => {
      text += chunk.toString();
      if (!pattern.test(text)) return;
      child.stdout?.off('data', look);
      child.stderr?.off('data', look);
      child.off('close', gone);
      resolve(text);
    };
    const gone = (): void => reject(new Error(`ended before it printed ${pattern}: ${text}`));
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('error', reject);
    // Not 'exit': what it printed last may come after that.
    child.once('close', gone);
  });
}
