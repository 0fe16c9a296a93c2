/**
 * Noticing that files have changed. They are looked at when the kernel reports a change in their folders, as soon as no more
 * changes come (a file that is being written is not read by half), and once a second all the same: network file systems report
 * nothing.
 */
import { readdirSync, statSync, watch, type FSWatcher } from 'node:fs';
import { dirname, join } from 'node:path';

/** What differs when a file was changed or replaced. */
export const signature = (paths: readonly string[]): string =>
  paths
    .map((path) => {
      try {
        const { ino, size, mtimeNs } = statSync(path, { bigint: true });
        const inside = statSync(path).isDirectory()
          ? `(${signature(
              readdirSync(path)
                .sort()
                .map((name) => join(path, name)),
            )})`
          : '';
        return `${ino}:${size}:${mtimeNs}${inside}`;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    })
    .join(' ');

export interface WatchPathsOptions {
  /** Look now: something may have changed, see {@link signature}. */
  changed(): void;
  trouble(message: string): void;
  /** How often to look without being told to. */
  intervalMs?: number;
}

/** How long nothing must happen. */
const REST_MS = 30;

/** Watch files, or folders of them, until closed. Does not keep the process alive. */
export function watchPaths(paths: readonly string[], options: WatchPathsOptions): { close(): void } {
  const watchers: FSWatcher[] = [];
  const { changed, trouble, intervalMs = 1_000 } = options;
  let rest: NodeJS.Timeout | undefined;
  const changing = (): void => {
    clearTimeout(rest);
    rest = setTimeout(changed, REST_MS);
    rest.unref();
  };
  for (const dir of new Set(paths.map((path) => (statSync(path).isDirectory() ? path : dirname(path)))))
    try {
      // Errors later on (the folder is gone) leave the timer to look.
      watchers.push(watch(dir, { persistent: false }, changing).on('error', () => undefined));
    } catch (error) {
      trouble(`Cannot watch ${dir}, looking once a second instead: ${(error as Error).message}`);
    }
  const timer = setInterval(changed, intervalMs);
  timer.unref();
  return {
    close() {
      clearInterval(timer);
      clearTimeout(rest);
      for (const watcher of watchers) watcher.close();
    },
  };
}
