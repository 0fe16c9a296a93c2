/**
 * DNS: names of the cluster asked by dnsperf on loopback, beside dnsmasq and unbound (one thread) that serve the same names; and what a
 * query and a Service cost among many.
 */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatIpv4 } from '../../src/wire/address.js';
import { askOnce, query } from '../lib/dns.js';
import { inRoot } from '../lib/root.js';
import type { TestScope } from '../lib/scope.js';
import { cleanEnv, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';
import type { Case, Options, Topic } from './measure.js';

const NAMES = 500;
const FEW = 10;
const MANY = 10_000;

const RATE = 'DNS queries/s';
const LATENCY = 'DNS latency under load';
const FLAT = 'DNS queries/s, 10 000 Services beside 10';
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
  readonly pid: number;
}

/** Start a server, and wait until it answers the last of its names. */
async function serve(scope: TestScope, count: number, argv: (port: number) => string[]): Promise<Served> {
  const port = await freePort();
  const child = start(scope, argv(port), { stdio: 'ignore' });
  const asked = query({ name: nameOf(count - 1), type: 1 });
  await until(`a DNS server answers on port ${port}`, () =>
    Promise.race([
      askOnce(port, asked).then((answer) => answer.readUInt16BE(6) === 1),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 300)),
    ]),
  );
  return { port, pid: child.pid! };
}

function servePodwire(scope: TestScope, count: number): Promise<Served> {
  const file = join(scope.testdir(), `services-${count}.json`);
  const items = all(count, (i) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `s${i}`, namespace: 'default' },
    spec: { clusterIP: ipOf(i), clusterIPs: [ipOf(i)], ports: [{ name: 'http', port: 80 }] },
  }));
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  return serve(scope, count, (port) => [
    inRoot('scripts/podwire'),
    'dns',
    '-f',
    file,
    '--listen',
    `127.0.0.1:${port}`,
  ]);
}

function serveDnsmasq(scope: TestScope): Promise<Served> {
  const file = join(scope.testdir(), 'hosts');
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

function serveUnbound(scope: TestScope): Promise<Served> {
  const file = join(scope.testdir(), 'unbound.conf');
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

interface Load {
  readonly perSecond: number;
  readonly latencyUs: number;
}

/** Ask as fast as it goes. A lost answer is an error: half the truth is none. */
async function load(scope: TestScope, { port }: Served, count: number, seconds: number): Promise<Load> {
  const file = join(scope.testdir(), `queries-${count}`);
  writeFileSync(file, all(count, (i) => `${nameOf(i)} A\n`).join(''));
  const argv = [
    '-s',
    '127.0.0.1',
    '-p',
    String(port),
    '-d',
    file,
    '-l',
    String(seconds),
    '-c',
    '4',
    '-q',
    '100',
  ];
  const child = spawn('dnsperf', argv, { env: cleanEnv() });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await once(child, 'close');
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  if (number(/Queries lost:\s+(\d+)/) > 0) throw new Error(`dnsperf lost answers:\n${text}`);
  return {
    perSecond: number(/Queries per second:\s+([\d.]+)/),
    latencyUs: number(/Average Latency \(s\):\s+([\d.]+)/) * 1e6,
  };
}

const residentKb = ({ pid }: Served): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

async function build(scope: TestScope, { seconds }: Options): Promise<Case[]> {
  const ours = await servePodwire(scope, NAMES);
  const [few, many] = [await servePodwire(scope, FEW), await servePodwire(scope, MANY)];
  const others = [
    ['dnsmasq', await serveDnsmasq(scope)],
    ['unbound', await serveUnbound(scope)],
  ] as const;
  return [
    ...others.flatMap(([beside, theirs]): Case[] => [
      {
        name: `${RATE}, ${beside}`,
        unit: 'queries/s',
        beside,
        target: 0.6,
        ours: async () => (await load(scope, ours, NAMES, seconds)).perSecond,
        theirs: async () => (await load(scope, theirs, NAMES, seconds)).perSecond,
      },
      {
        name: `${LATENCY}, ${beside}`,
        unit: 'µs',
        beside,
        isLowBetter: true,
        ours: async () => (await load(scope, ours, NAMES, seconds)).latencyUs,
        theirs: async () => (await load(scope, theirs, NAMES, seconds)).latencyUs,
      },
    ]),
    {
      name: FLAT,
      unit: 'queries/s',
      beside: `${FEW} Services`,
      ours: async () => (await load(scope, many, MANY, seconds)).perSecond,
      theirs: async () => (await load(scope, few, FEW, seconds)).perSecond,
    },
    {
      name: MEMORY,
      unit: 'KB',
      beside: `${NAMES} Services`,
      isLowBetter: true,
      ours: () => (residentKb(many) - residentKb(few)) / (MANY - FEW),
      theirs: () => (residentKb(ours) - residentKb(few)) / (NAMES - FEW),
    },
  ];
}

export const DNS: Topic = { name: 'dns', cases: [RATE, LATENCY, FLAT, MEMORY], build };
