/**
 * A gate that lets through so many at once; the others wait in line.
 */

/** Run a task when it is its turn. */
export type Gate = <T>(task: () => Promise<T>) => Promise<T>;

/** @param width  how many tasks may run at the same time */
export function createGate(width: number): Gate {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    // Whoever is woken takes over the place of the one who left.
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
