/** What is measured, in what words. */
import type { CpuTime } from './cpu.js';
import type { Scope } from './scope.js';

/** A figure's name, and what is asked of it. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** The least ratio that is asked for. */
  readonly target?: number;
  readonly isLowBetter?: boolean;
}

/** A run that says nothing about what is measured. Its round is left out, and said. */
export class InvalidRun extends Error {
  override readonly name = 'InvalidRun';
}

/** A figure; or several, with the processor time they cost; undefined when the machine does not bear it. */
export type Sample = number | Measured | undefined;

export interface Measured {
  /** The case's own figure, then those of {@link Case.more}. */
  readonly figures: readonly number[];
  readonly cpu?: CpuCost;
}

/** Processor time of all processes, and what was done with it. */
export interface CpuCost {
  readonly time: CpuTime;
  /** How many units were done: gigabytes, or millions of packets. */
  readonly done: number;
  readonly unit: 's/GB' | 's/Mpkt';
}

/** One row of the table: podwire's figure, and another beside it, measured in turn. */
export interface Case extends Row {
  /** What stands beside: the kernel, or podwire itself on another path. */
  readonly beside: string;
  /** Rows whose figures the same run gives. */
  readonly more?: readonly Row[];
  /** The least ratio of processor time that is asked for. */
  readonly cpuTarget?: number;
  ours(): Sample | Promise<Sample>;
  theirs(): Sample | Promise<Sample>;
}

/** Cases that share what they are measured on. */
export interface Topic {
  readonly name: string;
  /** Names of its cases, so that it is not built for nothing. */
  readonly cases: readonly string[];
  /** Programs that it calls, each with its Debian package. */
  readonly programs: Readonly<Record<string, string>>;
  build(scope: Scope, options: Options): Promise<readonly Case[]>;
}

export interface Options {
  readonly seconds: number;
  readonly say: (text: string) => void;
  /** Program and arguments that run this very podwire. */
  readonly podwire: readonly string[];
}

export const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};
