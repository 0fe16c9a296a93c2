/**
 * Run a program in the foreground as if it had been typed: our streams are its streams, our signals its signals, its
 * end our end.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { CommandError } from './verb.js';

/** Signals that people and programs send to us and mean the program. */
const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const;
/** A terminal sends these to the whole foreground job, so the program has them already. */
const FROM_TERMINAL: readonly string[] = ['SIGINT', 'SIGQUIT'];

/**
 * @param argv  ends in the program; what stands before it enters namespaces
 * @returns     its exit code; 128+N when signal N ended it
 */
export async function runInside(argv: readonly string[]): Promise<number> {
  const [program, ...args] = argv;
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  // The handlers first: a program that is quick to say that it is ready may be sent a signal before we run on.
  const handlers = FORWARDED.map((name) => {
    const handler = (): void => {
      if (child.pid === undefined || (onTerminal && FROM_TERMINAL.includes(name))) return;
      for (const pid of targets(child.pid)) kill(pid, name);
    };
    process.on(name, handler);
    return () => process.off(name, handler);
  });
  const child = spawn(program!, args, { stdio: 'inherit' });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (error: NodeJS.ErrnoException) =>
        reject(
          new CommandError(
            error.code === 'ENOENT'
              ? `Cannot find the program "${program}"; install util-linux, for example "apt-get install util-linux"`
              : error.message,
          ),
        ),
      );
      child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
    });
  } finally {
    for (const off of handlers) off();
  }
}

/**
 * Who gets a signal: not `nsenter`, which enters a pid namespace by a child, waits for it and passes no signal on, but
 * that child. Where nothing forked, the process itself has become the program.
 */
function targets(pid: number): number[] {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'nsenter') return [pid];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number);
    return children.length > 0 ? children : [pid];
  } catch {
    return [pid];
  }
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it ended meanwhile; its exit code follows
  }
}
