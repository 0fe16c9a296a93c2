/** Memory that a program keeps, whatever garbage it has made. */
import { spawn } from 'node:child_process';
import t, { type Test } from 'tap';
import { KEPT_MEMORY_FLAGS, keptMemory } from '../../src/bench/kept-memory.js';
import { printed } from '../../src/bench/programs.js';

const MB = 1 << 20;

/** A program that makes megabytes of objects and a buffer, if it does, and keeps them or not. */
const program = (what: 'keeps' | 'lets go' | 'idle'): string => `
  let made = [];
  if ('${what}' !== 'idle') made = [Array.from({ length: 1e6 }, (_, i) => ({ i })), Buffer.alloc(${10 * MB}, 1)];
  if ('${what}' !== 'keeps') made = undefined;
  setInterval(() => made, 1000);
  console.log('ready');
`;

async function keptBy(t: Test, what: Parameters<typeof program>[0]): Promise<number> {
  const child = spawn(process.execPath, [...KEPT_MEMORY_FLAGS, '-e', program(what)]);
  t.teardown(() => child.kill('SIGKILL'));
  await printed(child, /ready/);
  return keptMemory(child);
}

t.test('what is held counts, what was let go does not', async (t) => {
  const [held, gone, idle] = [await keptBy(t, 'keeps'), await keptBy(t, 'lets go'), await keptBy(t, 'idle')];
  t.ok(held - idle > 20 * MB, `${held} held, ${idle} without`);
  t.ok(Math.abs(gone - idle) < 2 * MB, `${gone} let go, ${idle} without`);
});
