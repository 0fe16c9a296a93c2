/**
 * Memory that a program keeps: what its heap and its buffers hold once garbage is collected. What a process has resident says how
 * lately that was done: one that has read a large file and then makes no garbage keeps that of the reading for as long as it runs.
 *
 * The program is started with {@link KEPT_MEMORY_FLAGS}, which have it load this module: it then answers a signal.
 */
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { printed } from './programs.js';

/** For `node`, before the program. */
export const KEPT_MEMORY_FLAGS: readonly string[] = [
  '--expose-gc',
  '--import',
  fileURLToPath(import.meta.url),
];

const SIGNAL = 'SIGUSR2';

/** Bytes that a program keeps. */
export async function keptMemory(child: ChildProcess): Promise<number> {
  const said = printed(child, /kept \d+ bytes/);
  child.kill(SIGNAL);
  return Number(/kept (\d+) bytes/.exec(await said)![1]);
}

if (globalThis.gc)
  process.on(SIGNAL, () => {
    // Buffers are swept behind its back: the second one waits for that.
    for (let i = 0; i < 2; i++) globalThis.gc!();
    const { heapUsed, external } = process.memoryUsage();
    process.stderr.write(`kept ${heapUsed + external} bytes\n`);
  });
