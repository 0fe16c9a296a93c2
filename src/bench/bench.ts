/**
 * Measures podwire and what stands beside it in turn, A B A B, on the same machine and the same topology. What is measured stands
 * in the topics; `report.ts` says it.
 */
import { DNS } from './dns.js';
import { FORWARDING, WIRES } from './forwarding.js';
import { SERVICES } from './services.js';
import {
  InvalidRun,
  type Case,
  type CpuCost,
  type Measured,
  type Options,
  type Row,
  type Sample,
  type Topic,
} from './case.js';
import { openScope } from './scope.js';

export const TOPICS: readonly Topic[] = [FORWARDING, WIRES, SERVICES, DNS];

export interface BenchOptions extends Options {
  readonly rounds: number;
  /** Topics by name, and cases whose name has one of the words; none: all. */
  readonly only: readonly string[];
}

export interface Result extends Row {
  readonly topic: string;
  readonly beside: string;
  readonly podwire: readonly number[];
  readonly theirs: readonly number[];
}

/** Processor time of all rounds of a case. */
export interface CpuResult {
  readonly name: string;
  readonly beside: string;
  readonly unit: string;
  readonly target?: number;
  readonly podwire: CpuFigure;
  readonly theirs: CpuFigure;
}

export interface CpuFigure {
  /** Seconds a unit. */
  readonly seconds: number;
  /** The kernel's share of them, 0..1. */
  readonly kernelShare: number;
}

export interface Results {
  readonly results: readonly Result[];
  readonly cpu: readonly CpuResult[];
  /** What could not be measured, and why. */
  readonly failures: readonly string[];
}

const isWanted = (topic: Topic, name: string, only: readonly string[]): boolean =>
  only.length === 0 || only.some((word) => topic.name === word || name.includes(word));

/** Topics of which anything is wanted. */
export const wantedTopics = (only: readonly string[]): Topic[] =>
  TOPICS.filter((topic) => topic.cases.some((name) => isWanted(topic, name, only)));

/**
 * Measure. What is made for it is gone when this resolves or rejects. A case or a topic that fails is left out, and said.
 *
 * @param signal  ends it; the promise then rejects with the signal's reason
 */
export async function runBench(options: BenchOptions, signal: AbortSignal): Promise<Results> {
  const results: Result[] = [];
  const cpu: CpuResult[] = [];
  const failures: string[] = [];
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  aborted.catch(() => undefined);
  const note = (what: string, error: unknown): void => {
    failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    options.say(failures.at(-1)!);
  };
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await Promise.race([work(), aborted]);
    } catch (error) {
      signal.throwIfAborted();
      note(what, error);
      return undefined;
    }
  };
  for (const topic of wantedTopics(options.only)) {
    const scope = openScope((reason) => failures.push(reason));
    try {
      for (const one of (await attempt(topic.name, () => topic.build(scope, options))) ?? []) {
        if (!isWanted(topic, one.name, options.only)) continue;
        const rounds = await attempt(one.name, () => takeTurns(one, options, signal, note));
        if (!rounds) continue;
        results.push(...resultsOf(topic, one, rounds));
        cpu.push(...cpuOf(one, rounds));
      }
    } finally {
      await scope.end();
    }
  }
  return { results, cpu, failures };
}

interface Rounds {
  readonly ours: Measured[];
  readonly theirs: Measured[];
}

const measured = (sample: Exclude<Sample, undefined>): Measured =>
  typeof sample === 'number' ? { figures: [sample] } : sample;

/** A round counts with both sides or not at all: ratios are those of pairs. */
async function takeTurns(
  one: Case,
  { rounds, say }: BenchOptions,
  signal: AbortSignal,
  note: (what: string, error: unknown) => void,
): Promise<Rounds> {
  const taken: Rounds = { ours: [], theirs: [] };
  for (let round = 1; round <= rounds; round++) {
    const pair: [side: 'ours' | 'theirs', sample: Sample][] = [];
    for (const side of ['ours', 'theirs'] as const) {
      signal.throwIfAborted();
      const what = `round ${round}/${rounds}  ${one.name}, ${side === 'ours' ? 'podwire' : one.beside}`;
      try {
        const sample = await one[side]();
        pair.push([side, sample]);
        say(
          `${what}: ${sample === undefined ? 'not borne' : `${measured(sample).figures[0]!.toFixed(2)} ${one.unit}`}`,
        );
      } catch (error) {
        if (!(error instanceof InvalidRun)) throw error;
        note(what, error);
      }
    }
    if (pair.length === 2)
      for (const [side, sample] of pair) if (sample !== undefined) taken[side].push(measured(sample));
  }
  if (taken.ours.length === 0 && taken.theirs.length === 0) throw new Error('no round is valid');
  return taken;
}

/** A case's own row, and those that the same runs gave. */
function resultsOf(topic: Topic, one: Case, { ours, theirs }: Rounds): Result[] {
  const rows: Row[] = [one, ...(one.more ?? [])];
  return rows.map(({ name, unit, target, isLowBetter }, i) => ({
    topic: topic.name,
    name,
    unit,
    target,
    isLowBetter,
    beside: one.beside,
    podwire: ours.map(({ figures }) => figures[i]!),
    theirs: theirs.map(({ figures }) => figures[i]!),
  }));
}

function cpuOf(one: Case, { ours, theirs }: Rounds): CpuResult[] {
  const [podwire, beside] = [cpuFigure(ours), cpuFigure(theirs)];
  const unit = ours[0]?.cpu?.unit;
  if (!podwire || !beside || unit === undefined) return [];
  return [{ name: one.name, beside: one.beside, unit, target: one.cpuTarget, podwire, theirs: beside }];
}

/** All rounds together: the clock of processor time is coarse. */
function cpuFigure(rounds: readonly Measured[]): CpuFigure | undefined {
  const costs = rounds.flatMap(({ cpu }) => (cpu ? [cpu] : []));
  const total = (pick: (cost: CpuCost) => number): number => costs.reduce((sum, cost) => sum + pick(cost), 0);
  const busy = total(({ time }) => time.busy);
  if (busy === 0) return undefined;
  return { seconds: busy / total(({ done }) => done), kernelShare: total(({ time }) => time.kernel) / busy };
}
