/**
 * DNS: names of the cluster asked by dnsperf on loopback, beside dnsmasq and unbound (one thread) that serve the same names; and what a
 * query and a Service cost among many.
 */
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatIpv4 } from '../wire/address.js';
import type { Case, Measured, Options, Topic } from './case.js';
import { timed } from './cpu.js';
import { KEPT_MEMORY_FLAGS, keptMemory } from './kept-memory.js';
import { output, start } from './programs.js';
import type { Scope } from './scope.js';

const NAMES = 500;
const FEW = 10;
const MANY = 10_000;

const RATE = 'DNS queries a second';
const FLAT = 'DNS queries a second, 10 000 Services beside 10';
const MEMORY = 'DNS memory a Service, 10 000 beside 500';

const nameOf = (i: number): string => `s${i}.default.svc.cluster.local`;
const ipOf = (i: number): string => formatIpv4((10 << 24) | (96 << 16) | (256 + i));
const all = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** A port that is free now. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

interface Served {
  readonly port: number;
  readonly child: ChildProcess;
}

/** podwire, and the kilobytes that it kept when it had read its names. */
interface ServedPodwire extends Served {
  readonly keptKb: number;
}

/** A server that does not answer after so long is not coming. */
const COMING_MS = 60_000;

/** Start a server, and wait until it answers the last of its names. */
async function serve(scope: Scope, count: number, argv: (port: number) => string[]): Promise<Served> {
  const port = await freePort();
  const child = start(scope, argv(port));
  const resolver = new Resolver({ timeout: 300, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  for (const end = performance.now() + COMING_MS; ;)
    try {
      await resolver.resolve4(nameOf(count - 1));
      return { port, child };
    } catch (error) {
      if (child.exitCode !== null || performance.now() > end)
        throw new Error(`${argv(port)[0]} does not answer on port ${port}: ${(error as Error).message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

async function servePodwire(
  scope: Scope,
  [node, ...podwire]: readonly string[],
  count: number,
): Promise<ServedPodwire> {
  const file = join(scope.folder(), `services-${count}.json`);
  const items = all(count, (i) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `s${i}`, namespace: 'default' },
    spec: { clusterIP: ipOf(i), clusterIPs: [ipOf(i)], ports: [{ name: 'http', port: 80 }] },
  }));
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const served = await serve(scope, count, (port) => [
    ...[node!, ...KEPT_MEMORY_FLAGS, ...podwire],
    ...['dns', '-f', file, '--listen', `127.0.0.1:${port}`],
  ]);
  return { ...served, keptKb: (await keptMemory(served.child)) / 1024 };
}

function serveDnsmasq(scope: Scope): Promise<Served> {
  const file = join(scope.folder(), 'hosts');
  writeFileSync(file, all(NAMES, (i) => `${ipOf(i)} ${nameOf(i)}\n`).join(''));
  return serve(scope, NAMES, (port) => [
    ...[
      'dnsmasq',
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--no-resolv',
      '--no-hosts',
      '--user=root',
      '--pid-file=',
    ],
    ...[
      `--port=${port}`,
      '--listen-address=127.0.0.1',
      '--bind-interfaces',
      `--addn-hosts=${file}`,
      '--local-ttl=5',
    ],
  ]);
}

function serveUnbound(scope: Scope): Promise<Served> {
  const file = join(scope.folder(), 'unbound.conf');
  return serve(scope, NAMES, (port) => {
    writeFileSync(
      file,
      [
        ...[
          'server:',
          'num-threads: 1',
          'interface: 127.0.0.1',
          `port: ${port}`,
          'do-daemonize: no',
          'use-syslog: no',
        ],
        ...['username: ""', 'chroot: ""', 'pidfile: ""', 'local-zone: "cluster.local." static'],
        ...all(NAMES, (i) => `local-data: "${nameOf(i)}. 5 IN A ${ipOf(i)}"`),
        ...['remote-control:', 'control-enable: no', ''],
      ].join('\n'),
    );
    return ['unbound', '-d', '-c', file];
  });
}

/** Ask as fast as it goes: queries a second, and the average time of one in microseconds. A lost answer is an error. */
async function load(scope: Scope, { port }: Served, count: number, seconds: number): Promise<Measured> {
  const file = join(scope.folder(), `queries-${count}`);
  writeFileSync(file, all(count, (i) => `${nameOf(i)} A\n`).join(''));
  const argv = ['dnsperf', '-s', '127.0.0.1', '-p', String(port), '-d', file, '-l', String(seconds)];
  const { result: text, time } = await timed(() => output([...argv, '-c', '4', '-q', '100']));
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  if (number(/Queries lost:\s+(\d+)/) > 0) throw new Error(`dnsperf lost answers:\n${text}`);
  return {
    figures: [
      number(/Queries per second:\s+([\d.]+)/) / 1000,
      number(/Average Latency \(s\):\s+([\d.]+)/) * 1e6,
    ],
    cpu: { time, done: number(/Queries completed:\s+(\d+)/) / 1e6, unit: 's/Mpkt' },
  };
}

async function build(scope: Scope, { seconds, podwire }: Options): Promise<Case[]> {
  const ours = await servePodwire(scope, podwire, NAMES);
  const few = await servePodwire(scope, podwire, FEW);
  const many = await servePodwire(scope, podwire, MANY);
  const others = [
    ['dnsmasq', await serveDnsmasq(scope)],
    ['unbound', await serveUnbound(scope)],
  ] as const;
  return [
    ...others.map(([beside, theirs]): Case => ({
      name: RATE,
      unit: 'k/s',
      beside,
      target: 0.9,
      more: [{ name: 'DNS latency under load', unit: 'µs', isLowBetter: true }],
      ours: () => load(scope, ours, NAMES, seconds),
      theirs: () => load(scope, theirs, NAMES, seconds),
    })),
    {
      name: FLAT,
      unit: 'k/s',
      beside: `${FEW} Services`,
      ours: () => load(scope, many, MANY, seconds),
      theirs: () => load(scope, few, FEW, seconds),
    },
    {
      name: MEMORY,
      unit: 'KB',
      beside: `${NAMES} Services`,
      isLowBetter: true,
      ours: () => (many.keptKb - few.keptKb) / (MANY - FEW),
      theirs: () => (ours.keptKb - few.keptKb) / (NAMES - FEW),
    },
  ];
}

export const DNS: Topic = {
  name: 'dns',
  cases: [RATE, FLAT, MEMORY],
  programs: { dnsperf: 'dnsperf', dnsmasq: 'dnsmasq-base', unbound: 'unbound' },
  build,
};
