/**
 * `./scripts/bench`: podwire and the kernel in turn, on the same machine and the same topology, and the ratio of the two.
 *
 * Two hosts on a wire-true underlay (DESIGN §6), two pods on the first and one on the second; once with our packet path, once
 * with the kernel's bridge and VXLAN as flannel wires them. The two are measured alternately, A B A B, and each figure is the
 * median of its rounds. Options: `--rounds N` (5), `--seconds N` (3), `--only WORD` (paths whose name has the word), `-o json`.
 */
import { parseArgs } from 'node:util';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Overlay, within, type TestPod } from '../lib/overlay.js';
import { printed, start } from '../lib/spawn.js';
import type { TestScope } from '../lib/scope.js';

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
const PORT = 5201;

/** What one topology offers to be measured. */
interface Topology {
  readonly name: 'podwire' | 'kernel';
  readonly a: TestPod;
  readonly sameHost: TestPod;
  readonly otherHost: TestPod;
}

interface Path {
  readonly name: string;
  readonly unit: string;
  /** The least ratio that first light asks for. */
  readonly target?: number;
  readonly isLowBetter?: boolean;
  measure(topology: Topology): number;
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

const iperf = (from: TestPod, to: TestPod, ...args: string[]): Iperf => {
  const result = within(
    from.netns,
    'iperf3',
    '-J',
    '-c',
    to.ip,
    '-p',
    String(PORT),
    '-t',
    String(seconds),
    ...args,
  );
  if (result.status !== 0) throw new Error(`iperf3 failed: ${result.stdout}${result.stderr}`);
  return JSON.parse(result.stdout) as Iperf;
};

const tcp = (from: TestPod, to: TestPod, streams = 1): number =>
  iperf(from, to, '-P', String(streams)).end.sum_received!.bits_per_second / 1e9;

/** Delivered, in thousands of datagrams a second. */
const udp = (from: TestPod, to: TestPod, bytes: number): number => {
  const { sum } = iperf(from, to, '-u', '-b', '0', '-l', String(bytes)).end;
  return (sum.packets - sum.lost_packets) / seconds / 1000;
};

/** Median round trip of pings, in microseconds. */
const rtt = (from: TestPod, to: TestPod): number => {
  const { stdout } = within(from.netns, 'ping', '-n', '-q', '-i', '0.002', '-c', '300', to.ip);
  return Number(/= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1]) * 1000;
};

const PATHS: readonly Path[] = [
  { name: 'same host TCP', unit: 'Gbit/s', target: 0.75, measure: ({ a, sameHost }) => tcp(a, sameHost) },
  { name: 'VXLAN TCP', unit: 'Gbit/s', target: 0.7, measure: ({ a, otherHost }) => tcp(a, otherHost) },
  { name: 'VXLAN TCP, 8 streams', unit: 'Gbit/s', measure: ({ a, otherHost }) => tcp(a, otherHost, 8) },
  {
    name: 'same host UDP 64 B',
    unit: 'kpkt/s',
    target: 0.6,
    measure: ({ a, sameHost }) => udp(a, sameHost, 64),
  },
  {
    name: 'VXLAN UDP 64 B',
    unit: 'kpkt/s',
    target: 1.0,
    measure: ({ a, otherHost }) => udp(a, otherHost, 64),
  },
  { name: 'same host ping', unit: 'µs', isLowBetter: true, measure: ({ a, sameHost }) => rtt(a, sameHost) },
  { name: 'VXLAN ping', unit: 'µs', isLowBetter: true, measure: ({ a, otherHost }) => rtt(a, otherHost) },
];

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function build(scope: TestScope, isOurs: boolean): Promise<Topology> {
  const overlay = new Overlay(scope);
  const hosts = isOurs
    ? [await overlay.addHost(), await overlay.addHost()]
    : [await overlay.addKernelHost(), await overlay.addKernelHost()];
  const a = await overlay.addPod(hosts[0]!);
  const sameHost = await overlay.addPod(hosts[0]!);
  const otherHost = await overlay.addPod(hosts[1]!);
  for (const pod of [sameHost, otherHost])
    await printed(
      start(scope, ['ip', 'netns', 'exec', pod.netns, 'iperf3', '-s', '-p', String(PORT), '--forceflush']),
      /listening on/,
    );
  for (const pod of [sameHost, otherHost]) within(a.netns, 'ping', '-c', '2', '-i', '0.2', pod.ip);
  return { name: isOurs ? 'podwire' : 'kernel', a, sameHost, otherHost };
}

async function main(scope: TestScope): Promise<void> {
  const paths = PATHS.filter((path) => path.name.includes(values.only));
  const topologies = [await build(scope, true), await build(scope, false)];
  const figures = new Map<string, number[]>();
  for (let round = 1; round <= rounds; round++)
    for (const path of paths)
      for (const topology of topologies) {
        const figure = path.measure(topology);
        const key = `${path.name} ${topology.name}`;
        figures.set(key, [...(figures.get(key) ?? []), figure]);
        say(`round ${round}/${rounds}  ${path.name}, ${topology.name}: ${figure.toFixed(2)} ${path.unit}`);
      }
  const results = paths.map((path) => {
    const ours = figures.get(`${path.name} podwire`)!;
    const kernel = figures.get(`${path.name} kernel`)!;
    const ratio = path.isLowBetter ? median(kernel) / median(ours) : median(ours) / median(kernel);
    return {
      path: path.name,
      unit: path.unit,
      podwire: median(ours),
      kernel: median(kernel),
      ratio,
      target: path.target,
      rounds: { podwire: ours, kernel },
    };
  });
  if (values.output === 'json') console.log(JSON.stringify(results, null, 2));
  else {
    const row = (...cells: string[]): void =>
      console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(14))).join(''));
    row('path', 'podwire', 'kernel', 'ratio', 'asked for');
    for (const { path, unit, podwire, kernel, ratio, target } of results)
      row(
        path,
        `${podwire.toFixed(2)} ${unit}`,
        `${kernel.toFixed(2)} ${unit}`,
        ratio.toFixed(2),
        target === undefined ? '' : `≥ ${target.toFixed(2)}`,
      );
    console.log(
      `\nmedians of ${rounds} rounds of ${seconds} s, podwire and kernel in turn; ratio above 1: podwire is better`,
    );
  }
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
