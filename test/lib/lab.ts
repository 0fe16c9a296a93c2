/**
 * A lab of the real program for tests: its own name, its own run directory, gone at the end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Status } from '../../src/cli/status.js';
import { inRoot } from './root.js';
import type { TestScope } from './scope.js';
import { runSync, type Result } from './spawn.js';
import { until } from './until.js';

export interface TestLab {
  readonly name: string;
  /** For children that run the program by themselves. */
  readonly env: Record<string, string>;
  argv(...words: string[]): string[];
  podwire(...words: string[]): Result;
  /** A command that must succeed; what it printed. */
  must(...words: string[]): string;
  /** Make objects from YAML. */
  apply(yaml: string): void;
  status(): Status;
  /** Until all pods are there and ready. */
  ready(): Promise<void>;
}

let made = 0;

/** Bring a lab up from YAML with a Lab object, which lives as long as the test. */
export function bringUp(t: TestScope, yaml: string): TestLab {
  const name = `pwt-${process.pid}${made === 0 ? '' : String.fromCharCode(96 + made)}`;
  made++;
  const env = { PODWIRE_RUN: mkdtempSync(join(tmpdir(), `${name}-`)) };
  const argv = (...words: string[]): string[] => [inRoot('scripts/podwire'), ...words];
  const podwire = (...words: string[]): Result => runSync(argv(...words), { env });
  const checked = ({ status, stdout, stderr }: Result, words: readonly string[]): string => {
    if (status !== 0) throw new Error(`podwire ${words.join(' ')} ended with ${status}: ${stdout}${stderr}`);
    return stdout;
  };
  const feed = (input: string, ...words: string[]): string =>
    checked(runSync(argv(...words), { env, input }), words);
  const status = (): Status =>
    JSON.parse(checked(podwire('status', '-o', 'json'), ['status', '-o', 'json'])) as Status;
  t.teardown(() => {
    podwire('down', '--lab', name);
    rmSync(env.PODWIRE_RUN, { recursive: true, force: true });
  });
  feed(yaml, 'up', '-f', '-', '--lab', name);
  return {
    name,
    env,
    argv,
    podwire,
    status,
    must: (...words) => checked(podwire(...words), words),
    apply: (text) => void feed(text, 'apply', '-f', '-'),
    async ready() {
      await until('all pods are ready', () => status().pods.every((pod) => pod.ready));
    },
  };
}
