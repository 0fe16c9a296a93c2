/** What is measured, in what words, and with which programs. */
import type { TestPod } from '../lib/overlay.js';
import { within } from '../lib/overlay.js';
import { printed, start } from '../lib/spawn.js';
import type { TestScope } from '../lib/scope.js';

export const PORT = 5201;

/** One row of the table: podwire's figure, and another beside it, measured in turn. */
export interface Case {
  readonly name: string;
  readonly unit: string;
  /** What stands beside: the kernel, or podwire itself on another path. */
  readonly beside: string;
  /** The least ratio that is asked for. */
  readonly target?: number;
  readonly isLowBetter?: boolean;
  /** @returns undefined when the machine does not bear it */
  ours(): number | undefined | Promise<number | undefined>;
  theirs(): number | undefined | Promise<number | undefined>;
}

/** Cases that share what they are measured on. */
export interface Topic {
  readonly name: string;
  /** Names of its cases, so that it is not built for nothing. */
  readonly cases: readonly string[];
  build(scope: TestScope, options: Options): Promise<readonly Case[]>;
}

export interface Options {
  readonly seconds: number;
  readonly say: (text: string) => void;
}

interface Iperf {
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum: {
      readonly bits_per_second: number;
      readonly packets: number;
      readonly lost_packets: number;
    };
  };
}

/** Listen for iperf3 in a pod. */
export async function serveIperf(scope: TestScope, pod: TestPod): Promise<void> {
  const argv = ['ip', 'netns', 'exec', pod.netns, 'iperf3', '-s', '-p', String(PORT), '--forceflush'];
  await printed(start(scope, argv), /listening on/);
}

function iperf(from: TestPod, to: string, seconds: number, ...args: string[]): Iperf {
  const argv = ['iperf3', '-J', '-c', to, '-p', String(PORT), '-t', String(seconds), ...args];
  const result = within(from.netns, ...argv);
  if (result.status !== 0) throw new Error(`iperf3 failed: ${result.stdout}${result.stderr}`);
  return JSON.parse(result.stdout) as Iperf;
}

/** Gbit/s. */
export const tcp = (from: TestPod, to: string, seconds: number, streams = 1): number =>
  iperf(from, to, seconds, '-P', String(streams)).end.sum_received!.bits_per_second / 1e9;

/** Delivered, in thousands of datagrams a second. */
export function udp(from: TestPod, to: string, seconds: number, bytes: number): number {
  const { sum } = iperf(from, to, seconds, '-u', '-b', '0', '-l', String(bytes)).end;
  return (sum.packets - sum.lost_packets) / seconds / 1000;
}

/** Median round trip of pings, in microseconds. */
export function rtt(from: TestPod, to: string): number {
  const { stdout } = within(from.netns, 'ping', '-n', '-q', '-i', '0.002', '-c', '300', to);
  return Number(/= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1]) * 1000;
}

export const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};
