/** Traffic between two places and what came of it: iperf3 for streams and datagrams, sockperf for requests and answers. */
import type { Measured } from './case.js';
import { timed } from './cpu.js';
import type { PodPlace } from './overlay.js';
import { inside, output, printed, run, start, stop } from './programs.js';
import type { Scope } from './scope.js';

/** Where iperf3 listens, a second one for the load beside a measurement, and sockperf by TCP. */
export const IPERF_PORT = 5201;
const LOAD_PORT = 5202;
export const REQUEST_PORT = 11111;

export const TRAFFIC_PROGRAMS = {
  iperf3: 'iperf3',
  sockperf: 'sockperf',
  ping: 'iputils-ping',
  ethtool: 'ethtool',
};

/** Bits a second of the stream that runs beside requests "under load", the same on both sides. */
const LOAD = '1G';

interface Iperf {
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number; readonly bytes: number };
    readonly sum: {
      readonly bits_per_second: number;
      readonly packets: number;
      readonly lost_packets: number;
    };
  };
}

/** Have a place answer iperf3 and sockperf. */
export async function serve(scope: Scope, { netns }: PodPlace): Promise<void> {
  const iperfs = [IPERF_PORT, LOAD_PORT].map((port) =>
    start(scope, inside(netns, 'iperf3', '-s', '-p', String(port), '--forceflush')),
  );
  const argv = ['sockperf', 'server', '--tcp', '-i', '0.0.0.0', '-p', String(REQUEST_PORT)];
  await Promise.all([
    ...iperfs.map((child) => printed(child, /listening on/)),
    printed(start(scope, inside(netns, ...argv)), /\[SERVER\] listen on/),
  ]);
}

/** Two packets there and back: neighbours are known then. @throws when none comes back */
export async function reach(from: PodPlace, to: string): Promise<void> {
  await output(inside(from.netns, 'ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', to));
}

const iperfArgv = (port: number, to: string, seconds: number, ...args: string[]): string[] => [
  ...['iperf3', '-J', '-c', to, '-p', String(port), '-t', String(seconds)],
  ...args,
];

async function iperf(
  from: PodPlace,
  to: string,
  port: number,
  seconds: number,
  ...args: string[]
): Promise<Iperf> {
  const { status, stdout, stderr } = await run(inside(from.netns, ...iperfArgv(port, to, seconds, ...args)));
  if (status !== 0) throw new Error(`iperf3 to ${to} failed: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Iperf;
}

/** Gbit/s that arrived, and processor time a gigabyte. */
export async function tcp(
  from: PodPlace,
  to: string,
  seconds: number,
  streams = 1,
  port = IPERF_PORT,
): Promise<Measured> {
  const { result, time } = await timed(() => iperf(from, to, port, seconds, '-P', String(streams)));
  const { bits_per_second: rate, bytes } = result.end.sum_received!;
  return { figures: [rate / 1e9], cpu: { time, done: bytes / 1e9, unit: 's/GB' } };
}

/** Datagrams that arrived, in thousands a second, and processor time a million of them. */
export async function udp(from: PodPlace, to: string, seconds: number, bytes: number): Promise<Measured> {
  const { result, time } = await timed(() =>
    iperf(from, to, IPERF_PORT, seconds, '-u', '-b', '0', '-l', String(bytes)),
  );
  const { packets, lost_packets: lost } = result.end.sum;
  const arrived = packets - lost;
  return { figures: [arrived / seconds / 1000], cpu: { time, done: arrived / 1e6, unit: 's/Mpkt' } };
}

/** The percentiles that {@link requests} gives. */
export const PERCENTILES = ['p50', 'p99', 'p99.9'] as const;

/**
 * Round trips of small requests over one TCP connection, each sent when the answer to the one before has come: microseconds, by
 * {@link PERCENTILES}.
 */
export async function requests(
  from: PodPlace,
  to: string,
  seconds: number,
  port = REQUEST_PORT,
): Promise<Measured> {
  const argv = ['sockperf', 'ping-pong', '--tcp', '--full-rtt', '-i', to, '-p', String(port)];
  const { status, stdout, stderr } = await run(inside(from.netns, ...argv, '-t', String(Math.ceil(seconds))));
  const figures = ['50.000', '99.000', '99.900'].map((percent) =>
    Number(new RegExp(`percentile ${percent} =\\s+([\\d.]+)`).exec(stdout)?.[1]),
  );
  if (status !== 0 || figures.some(Number.isNaN))
    throw new Error(`sockperf to ${to} failed: ${stdout}${stderr}`);
  return { figures };
}

/** As {@link requests}, while a TCP stream at a fixed rate runs between the same two. */
export async function requestsUnderLoad(
  scope: Scope,
  from: PodPlace,
  to: string,
  seconds: number,
): Promise<Measured> {
  const load = iperfArgv(LOAD_PORT, to, seconds + 10, '-b', LOAD, '-i', '0.1', '--forceflush').filter(
    (word) => word !== '-J',
  );
  const child = start(scope, inside(from.netns, ...load));
  await printed(child, /bits\/sec/);
  try {
    return await requests(from, to, seconds);
  } finally {
    await stop(child);
  }
}
