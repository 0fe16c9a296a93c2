/**
 * What a benchmark makes on the machine, and how all of it goes away again: namespaces named `pwb-PID-…`, programs, a folder.
 *
 * Endings run in the reverse order, also after a failure or Ctrl-C. What a benchmark left that was ended by SIGKILL is taken
 * away by the next one.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ip } from '../sys/iproute2.js';
import { NETNS_DIR } from '../sys/netns.js';

/** Where things are made that have to go away. */
export interface Scope {
  /** Do this at the end, whatever happens; last said, first done. */
  teardown(ending: () => unknown): void;
  /** A folder that goes away at the end. */
  folder(): string;
  /** A network namespace with `lo` up that goes away at the end. Its name. */
  makeNetns(): string;
  /** Something without which nothing can be measured any more has ended. */
  fail(reason: string): unknown;
}

export interface OpenScope extends Scope {
  /** Take everything away. */
  end(): Promise<void>;
}

const PREFIX = 'pwb';

/** @param fail  what to do when something ends that everything rests on */
export function openScope(fail: (reason: string) => unknown): OpenScope {
  removeLeftovers();
  const endings: (() => unknown)[] = [];
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}-${process.pid}-`));
  let made = 0;
  return {
    teardown: (ending) => void endings.unshift(ending),
    folder: () => folder,
    makeNetns() {
      const name = `${PREFIX}-${process.pid}-${(made += 1)}`;
      ip([`netns add ${name}`]);
      endings.unshift(() => ip([`netns del ${name}`], { force: true }));
      ip(['link set lo up'], { netns: name });
      return name;
    },
    fail,
    async end() {
      for (let ending = endings.shift(); ending; ending = endings.shift())
        try {
          await ending();
        } catch (error) {
          // The rest has to go away all the same.
          fail(`Cannot take everything away: ${error instanceof Error ? error.message : String(error)}`);
        }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Namespaces of benchmarks whose process is gone. */
function removeLeftovers(): void {
  if (!existsSync(NETNS_DIR)) return;
  for (const name of readdirSync(NETNS_DIR)) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-\\d+$`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) ip([`netns del ${name}`], { force: true });
  }
}
