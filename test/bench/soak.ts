/**
 * `./scripts/soak MINUTES`: mixed traffic between pods of two hosts while pods come and go; at the end everything must be as
 * it was at the beginning: processor time a packet, memory, open files, drops (soak-judge.ts). Exit code 1 says what is not.
 *
 * The traffic is held to a rate, so that a window can be compared with the next: a TCP stream and pings over the tunnel, small
 * datagrams and pings on the same host. A guest pod comes, is pinged, and goes, again and again: each time ports,
 * neighbors and routes of both hosts change under the traffic. With it a Service comes and goes, and another one has other endpoints,
 * through which connections are made. Sends only between namespaces that it makes and removes. Policies do not change here.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeNetns } from '../lib/netns.js';
import { CONNECTIONS } from '../../src/bench/connections.js';
import { serviceOf, sliceOf, type NamedPort } from '../../src/bench/objects.js';
import { Overlay, pings, within, type Host, type TestPod } from '../lib/overlay.js';
import type { TestScope } from '../lib/scope.js';
import { printed, start } from '../lib/spawn.js';
import { judgeSoak, type SoakWindow } from './soak-judge.js';

const WINDOWS = 10;
const TCP_PORT = 5201;
const UDP_PORT = 5202;
/** A Service with an endpoint on either host in turn, and one that comes and goes with the guest. */
const WEB = { name: 'web', vip: '10.96.0.1' };
const GUEST = { name: 'guest', vip: '10.96.0.2' };
const WEB_PORTS: readonly NamedPort[] = [{ name: 'web', port: 5300 }];
/** Connections through the Service, a guest. */
const CONNECT_SECONDS = 0.05;
/** Between two guests. */
const PAUSE_MS = 200;

const minutes = Number(process.argv[2]);
if (!(minutes > 0 && minutes <= 10_000)) {
  process.stderr.write('Usage: ./scripts/soak MINUTES, more than 0\n');
  process.exit(2);
}
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Sums over all hosts. */
function totals(hosts: readonly Host[]): { packets: number; cpuMs: number; drops: number } {
  const sum = { packets: 0, cpuMs: 0, drops: 0 };
  for (const host of hosts) {
    const { worker, ports, drops } = host.path!.readings!();
    sum.cpuMs += worker.userMs + worker.kernelMs;
    for (const port of ports) sum.packets += port.rxPackets;
    for (const count of Object.values(drops)) sum.drops += count;
  }
  return sum;
}

function traffic(scope: TestScope, seconds: number, a: TestPod, b: TestPod, c: TestPod): void {
  const inPod = (pod: TestPod, ...argv: string[]): void =>
    void start(scope, ['ip', 'netns', 'exec', pod.netns, ...argv], { stdio: 'ignore' });
  const iperf = (to: TestPod, port: number, ...more: string[]): void =>
    inPod(a, 'iperf3', '-c', to.ip, '-p', String(port), '-t', String(seconds), ...more);
  iperf(c, TCP_PORT, '-b', '200M');
  iperf(b, UDP_PORT, '-u', '-b', '5M', '-l', '64');
  for (const to of [b, c]) inPod(a, 'ping', '-n', '-q', '-i', '0.02', to.ip);
}

/** The Services while the endpoint of one is `server`, on node `at`, and while there is a guest or none. */
async function setServices(overlay: Overlay, server: TestPod, at: number, guest?: TestPod): Promise<void> {
  const services = [serviceOf(WEB.name, WEB.vip, WEB_PORTS)];
  const slices = [sliceOf(WEB.name, server.ip, `node${at + 1}`, WEB_PORTS)];
  if (guest) {
    services.push(serviceOf(GUEST.name, GUEST.vip, WEB_PORTS));
    slices.push(sliceOf(GUEST.name, guest.ip, `node${at + 1}`, WEB_PORTS));
  }
  await overlay.setServices(services, slices);
}

const connects = (from: TestPod): boolean => {
  const argv = [CONNECTIONS, 'connect', WEB.vip, String(WEB_PORTS[0]!.port), String(CONNECT_SECONDS)];
  return within(from.netns, process.execPath, ...argv).status === 0;
};

async function soak(scope: TestScope): Promise<string[]> {
  const overlay = new Overlay(scope);
  const hosts = [await overlay.addHost(), await overlay.addHost()];
  const a = await overlay.addPod(hosts[0]!);
  const b = await overlay.addPod(hosts[0]!);
  const c = await overlay.addPod(hosts[1]!);
  const guests = hosts.map(() => makeNetns(scope));
  for (const [pod, port] of [
    [c, TCP_PORT],
    [b, UDP_PORT],
  ] as const)
    await printed(
      start(scope, ['ip', 'netns', 'exec', pod.netns, 'iperf3', '-s', '-p', String(port), '--forceflush']),
      /listening on/,
    );
  const servers = [b, c];
  for (const { netns } of servers) {
    const argv = [process.execPath, CONNECTIONS, 'serve', String(WEB_PORTS[0]!.port)];
    await printed(start(scope, ['ip', 'netns', 'exec', netns, ...argv]), /ready/);
  }
  const seconds = minutes * 60;
  traffic(scope, Math.ceil(seconds) + 5, a, b, c);

  const windows: SoakWindow[] = [];
  say('window   packets   ns/packet   memory MiB   files   drops   pods');
  for (let number = 1; number <= WINDOWS; number++) {
    const before = totals(hosts);
    const ends = performance.now() + (seconds * 1000) / WINDOWS;
    let pods = 0;
    let unanswered = 0;
    do {
      const turn = pods++ % hosts.length;
      const guest = await overlay.addPod(hosts[turn]!, guests[turn]);
      await setServices(overlay, servers[turn]!, turn, guest);
      if (pings(a, guest.ip, 1) !== 1) unanswered++;
      if (!connects(a)) unanswered++;
      await setServices(overlay, servers[turn]!, turn);
      await overlay.removePod(guest);
      await sleep(PAUSE_MS);
    } while (performance.now() < ends);
    const after = totals(hosts);
    const packets = after.packets - before.packets;
    const window: SoakWindow = {
      packets,
      nsPerPacket: ((after.cpuMs - before.cpuMs) * 1e6) / Math.max(packets, 1),
      rssBytes: process.memoryUsage().rss,
      fds: readdirSync('/proc/self/fd').length,
      drops: after.drops - before.drops + unanswered,
      pods,
    };
    windows.push(window);
    say(
      [
        String(number).padStart(6),
        String(packets).padStart(10),
        window.nsPerPacket.toFixed(0).padStart(12),
        (window.rssBytes / 2 ** 20).toFixed(0).padStart(13),
        String(window.fds).padStart(8),
        String(window.drops).padStart(8),
        String(pods).padStart(7),
      ].join(''),
    );
  }
  return judgeSoak(windows);
}

/** What is made here is taken back in the reverse order, also after a failure or Ctrl-C. */
const endings: (() => unknown)[] = [];
const folder = mkdtempSync(join(tmpdir(), 'podwire-soak-'));
const failures: string[] = [];
const scope: TestScope = {
  teardown: (ending) => void endings.unshift(ending),
  testdir: () => folder,
  fail: (reason) => void failures.push(String(reason)),
};
const end = async (): Promise<void> => {
  for (const ending of endings.splice(0)) await ending();
  rmSync(folder, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void end().then(() => process.exit(1)));
let problems: string[];
try {
  problems = await soak(scope);
} finally {
  await end();
}
const left = readdirSync('/run/netns').filter((name) => name.startsWith(`pwt-${process.pid}-`));
if (left.length > 0) problems.push(`Namespaces are left: ${left.join(', ')}`);
problems.push(...failures);
for (const problem of problems) say(`not as it was: ${problem}`);
say(
  problems.length === 0
    ? 'all as it was at the beginning, and everything is gone'
    : `${problems.length} problems`,
);
process.exit(problems.length === 0 ? 0 : 1);
