/** What was measured, as tables for a person and as objects for a program. */
import type { CpuResult, Result, Results } from './bench.js';
import { median } from './case.js';

const MISSING = '-';

/** How much better podwire is: above 1 it is. */
export function ratioOf(ours: number, theirs: number, isLowBetter = false): number {
  return isLowBetter ? theirs / ours : ours / theirs;
}

/** The median of each side, and the ratios: of the medians, and the least and the largest of a round. */
export function summarize({ podwire, theirs, isLowBetter, ...rest }: Result) {
  const middle = (list: readonly number[]): number | undefined =>
    list.length > 0 ? median(list) : undefined;
  const [ours, beside] = [middle(podwire), middle(theirs)];
  const pairs = podwire.slice(0, theirs.length).map((figure, i) => ratioOf(figure, theirs[i]!, isLowBetter));
  return {
    ...rest,
    podwire: ours,
    theirs: beside,
    ratio: ours !== undefined && beside !== undefined ? ratioOf(ours, beside, isLowBetter) : undefined,
    least: pairs.length > 0 ? Math.min(...pairs) : undefined,
    most: pairs.length > 0 ? Math.max(...pairs) : undefined,
    isLowBetter: isLowBetter === true,
    rounds: { podwire, theirs },
  };
}

const number = (value: number): string => value.toFixed(value >= 1000 ? 0 : value >= 100 ? 1 : 2);
const ratio = (value: number | undefined): string => value?.toFixed(2) ?? MISSING;
const asked = (target: number | undefined): string => (target === undefined ? '' : `≥ ${target.toFixed(2)}`);

/** Rows of the table of figures; the first is the heading. */
export const figureRows = (results: readonly Result[]): string[][] => [
  ['PATH', 'PODWIRE', 'BESIDE', '', 'RATIO', 'ROUNDS', 'ASKED FOR'],
  ...results.map((result) => {
    const { podwire, theirs, ratio: of, least, most } = summarize(result);
    const { name, unit, beside, target } = result;
    return [
      name,
      podwire === undefined ? MISSING : `${number(podwire)} ${unit}`,
      theirs === undefined ? 'not borne' : `${number(theirs)} ${unit}`,
      beside,
      ratio(of),
      least === undefined ? MISSING : `${ratio(least)} – ${ratio(most)}`,
      asked(target),
    ];
  }),
];

/** Rows of the table of processor time; the first is the heading. */
export const cpuRows = (results: readonly CpuResult[]): string[][] => [
  ['PROCESSOR TIME', 'PODWIRE', 'KERNEL’S SHARE', 'BESIDE', 'KERNEL’S SHARE', '', 'RATIO', 'ASKED FOR'],
  ...results.map(({ name, unit, beside, podwire, theirs, target }) => [
    name,
    ...[podwire, theirs].flatMap(({ seconds, kernelShare }) => [
      `${number(seconds)} ${unit}`,
      `${(kernelShare * 100).toFixed(0)} %`,
    ]),
    beside,
    ratio(ratioOf(podwire.seconds, theirs.seconds, true)),
    asked(target),
  ]),
];

/** For `-o json`. */
export const reportObject = ({ results, cpu, failures }: Results): object => ({
  results: results.map(summarize),
  processorTime: cpu.map((one) => ({
    ...one,
    ratio: ratioOf(one.podwire.seconds, one.theirs.seconds, true),
  })),
  failures,
});
