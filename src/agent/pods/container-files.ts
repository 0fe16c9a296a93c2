/**
 * What a container has on disk: the folder of its runs (state.ts says which files it holds), the script that enters it, and
 * its last words.
 *
 * Which run is the one of now is in the record; who writes `start`, `exit` and the FIFOs is command.ts.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '../../api/types.js';
import type { ContainerContext } from './container-context.js';
import { hasEntry, readLastWords, writeEntry } from './entry.js';
import { LogWriter } from './log-writer.js';
import { lastWordsOfLog } from './logs.js';
import type { ContainerRecord } from './state.js';

export class ContainerFiles {
  readonly #context: ContainerContext;
  readonly #spec: Container;
  readonly #record: ContainerRecord;

  constructor(context: ContainerContext, spec: Container, record: ContainerRecord) {
    this.#context = context;
    this.#spec = spec;
    this.#record = record;
  }

  /** Files of the run of now, without their suffix. */
  get base(): string {
    return this.#baseOf(this.#record.run);
  }

  /** Room for a run that begins; of those before it, only the last one's files are kept. */
  makeRoom(): void {
    this.#makeFolder();
    for (const suffix of ['log', 'log.1', 'start', 'exit', 'stdin', 'keeper', 'attached', 'out', 'err'])
      rmSync(`${this.#baseOf(this.#record.run - 2)}.${suffix}`, { force: true });
  }

  /** Nobody shall find that the run of now began, or how it ended. */
  forgetRun(): void {
    for (const suffix of ['start', 'exit']) rmSync(`${this.base}.${suffix}`, { force: true });
  }

  /** The log of the run of now, for a built-in image to write. */
  openLog(): LogWriter {
    this.#makeFolder();
    return new LogWriter(`${this.base}.log`, this.logFailed);
  }

  readonly logFailed = (error: Error): void =>
    this.#context.log.warn({ container: this.#spec.name, err: error }, 'cannot write a log; lines are lost');

  /** Write the script that enters it, with the variables of now. */
  writeEntry(holderPid: number, env: Record<string, string>): void {
    writeEntry(holderPid, { ...this.#context, container: this.#spec, env });
  }

  /** The same, where a new holder has none. */
  makeEntry(): void {
    const holderPid = this.#context.holderPid();
    if (holderPid === undefined || hasEntry(holderPid, this.#record.name)) return;
    this.writeEntry(holderPid, this.#context.environment());
  }

  /** What the container itself says of its end. */
  lastWords(exitCode: number): string | undefined {
    const isLogAsked = this.#spec.terminationMessagePolicy === 'FallbackToLogsOnError' && exitCode !== 0;
    const holderPid = this.#context.holderPid();
    const words = holderPid === undefined ? undefined : readLastWords(holderPid, this.#record.name);
    return words ?? (isLogAsked ? lastWordsOfLog(`${this.base}.log`) : undefined);
  }

  #makeFolder(): void {
    mkdirSync(join(this.#context.dir, this.#record.name), { recursive: true, mode: 0o700 });
  }

  #baseOf(run: number): string {
    return join(this.#context.dir, this.#record.name, String(run));
  }
}
