/** The part of a tap test that what is made on the machine needs; a benchmark has one too. */
export interface TestScope {
  /** Do this at the end, whatever happens; last said, first done. */
  teardown(ending: () => unknown): void;
  /** A folder that goes away at the end. */
  testdir(): string;
  fail(reason: string): unknown;
}
