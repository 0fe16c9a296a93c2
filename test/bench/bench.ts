/**
 * `./scripts/bench`: podwire and the kernel in turn, on the same machine and the same topology, and the ratio of the two.
 *
 * What is measured stands in the topics; each figure is the median of its rounds, in which the two sides of a case take turns,
 * A B A B. Options: `--rounds N` (5), `--seconds N` (3), `--only WORD` (a topic, or cases whose name has the word), `-o json`.
 */
import { parseArgs } from 'node:util';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestScope } from '../lib/scope.js';
import { FORWARDING } from './forwarding.js';
import { median, type Case, type Topic } from './measure.js';
import { DNS } from './dns.js';
import { SERVICES } from './services.js';

const TOPICS: readonly Topic[] = [FORWARDING, SERVICES, DNS];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    output: { type: 'string', short: 'o', default: 'text' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const say = (text: string): void => void process.stderr.write(`${text}\n`);

interface Result {
  readonly name: string;
  readonly unit: string;
  readonly podwire: number | undefined;
  readonly beside: number | undefined;
  /** What stands beside. */
  readonly what: string;
  readonly ratio: number | undefined;
  readonly target: number | undefined;
  readonly rounds: { readonly podwire: readonly number[]; readonly beside: readonly number[] };
}

async function measure(one: Case): Promise<Result> {
  const figures = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 1; round <= rounds; round++)
    for (const side of ['ours', 'theirs'] as const) {
      const figure = await one[side]();
      const who = side === 'ours' ? 'podwire' : one.beside;
      say(`round ${round}/${rounds}  ${one.name}, ${who}: ${figure?.toFixed(2) ?? 'not borne'} ${one.unit}`);
      if (figure !== undefined) figures[side].push(figure);
    }
  const middle = (list: readonly number[]): number | undefined =>
    list.length > 0 ? median(list) : undefined;
  const [podwire, beside] = [middle(figures.ours), middle(figures.theirs)];
  const quotient = podwire !== undefined && beside !== undefined ? podwire / beside : undefined;
  return {
    name: one.name,
    unit: one.unit,
    podwire,
    beside,
    what: one.beside,
    ratio: quotient !== undefined && one.isLowBetter ? 1 / quotient : quotient,
    target: one.target,
    rounds: { podwire: figures.ours, beside: figures.theirs },
  };
}

function print(results: readonly Result[]): void {
  const widths = [52, 16, 30, 8, 12];
  const row = (...cells: string[]): void =>
    console.log(
      cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(''),
    );
  row('path', 'podwire', 'beside', 'ratio', 'asked for');
  for (const { name, unit, podwire, beside, what, ratio, target } of results)
    row(
      name,
      podwire === undefined ? '-' : `${podwire.toFixed(2)} ${unit}`,
      beside === undefined ? `${what}: not borne` : `${what}: ${beside.toFixed(2)} ${unit}`,
      ratio?.toFixed(2) ?? '-',
      target === undefined ? '' : `≥ ${target.toFixed(2)}`,
    );
  console.log(
    `\nmedians of ${rounds} rounds of ${seconds} s, both in turn; a ratio above 1: podwire is better than what stands beside`,
  );
}

async function main(scope: TestScope): Promise<void> {
  const results: Result[] = [];
  for (const topic of TOPICS) {
    const isWanted = (name: string): boolean => topic.name === values.only || name.includes(values.only);
    if (!topic.cases.some(isWanted)) continue;
    for (const one of await topic.build(scope, { seconds, say }))
      if (isWanted(one.name)) results.push(await measure(one));
  }
  if (values.output === 'json') console.log(JSON.stringify(results, null, 2));
  else print(results);
}

/** What is made here is taken back in the reverse order, also after a failure or Ctrl-C. */
const endings: (() => unknown)[] = [];
const folder = mkdtempSync(join(tmpdir(), 'podwire-bench-'));
const scope: TestScope = {
  teardown: (ending) => void endings.unshift(ending),
  testdir: () => folder,
  fail: (reason) => say(reason),
};
const end = async (): Promise<void> => {
  for (const ending of endings.splice(0)) await ending();
  rmSync(folder, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void end().then(() => process.exit(1)));
try {
  await main(scope);
} finally {
  await end();
}
