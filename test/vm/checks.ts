/** Counts checks and shows each as it is done, with the time since the start and the time it took. */

export interface Checks {
  /** A line of progress that is no check. */
  say(text: string): void;
  /**
   * Run one check; it fails by throwing.
   *
   * @returns  whether it passed; what `work` resolves with, if text, is shown behind its name
   */
  check(name: string, work: () => Promise<string | void>): Promise<boolean>;
  readonly passed: number;
  readonly failed: readonly string[];
}

export function createChecks(write: (line: string) => void): Checks {
  const began = performance.now();
  const since = (from: number): string => `${((performance.now() - from) / 1000).toFixed(1)} s`;
  const show = (text: string): void => write(`[${since(began).padStart(7)}] ${text}`);
  const failed: string[] = [];
  let passed = 0;
  return {
    say: show,
    async check(name, work) {
      const from = performance.now();
      try {
        const more = await work();
        passed++;
        show(`ok - ${name} (${since(from)}${more ? `, ${more}` : ''})`);
        return true;
      } catch (error) {
        failed.push(name);
        show(`not ok - ${name} (${since(from)})`);
        const message = error instanceof Error ? error.message : String(error);
        write(message.trimEnd().replace(/^/gm, '    '));
        return false;
      }
    },
    get passed() {
      return passed;
    },
    failed,
  };
}

/** Fail the check that runs, unless `condition` holds. */
export function expect(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}
