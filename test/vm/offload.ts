/**
 * Part `offload`: pods on two virtual machines with a kernel that is not this machine's, with all offloads and without. Agents follow
 * files; no server.
 *
 * Two rounds of difference that no test on one machine can show:
 *
 *  - Linux 6.1 has no UDP segmentation on TAPs (it came with 6.2), so `all` falls back to TSO there;
 *  - eth1 is a NIC without transmit checksum offload: UDP_SEGMENT fails with EIO, and tunnels send datagrams one by one.
 *    eth2 has the offload: there UDP_SEGMENT works, which makes it the round without that fallback.
 *
 * Between rounds the agents are ended and begun again with other offloads; the pods and their persistent TAPs live on.
 */
import type { AgentStatus } from '../../src/agent/status.js';
import { expect } from './checks.js';
import type { Machine } from './machine.js';
import { bootTwo, until, type Part } from './part.js';

interface Round {
  name: string;
  offload: 'all' | 'tso' | 'none';
  nic: 'eth1' | 'eth2';
  /** What the status shall say is on before the first packet. */
  on: string;
  /** Whether tunnels shall end up sending datagrams one by one. */
  isOneByOne: boolean;
}

const ROUNDS: readonly Round[] = [
  { name: 'all', offload: 'all', nic: 'eth1', on: 'csum tso udp-gso udp-gro', isOneByOne: true },
  { name: 'tso', offload: 'tso', nic: 'eth1', on: 'csum tso', isOneByOne: false },
  { name: 'none', offload: 'none', nic: 'eth1', on: 'none', isOneByOne: false },
  {
    name: 'all, NIC with checksums',
    offload: 'all',
    nic: 'eth2',
    on: 'csum tso udp-gso udp-gro',
    isOneByOne: false,
  },
];

const OBJECTS = '/opt/podwire/test/vm/objects.yaml';
const AGENT_LOG = '/var/log/podwire.log';
const BYTES = 100_000_000;
const PODS_PER_MACHINE = 3;
/** Longest payload of an echo request that fits a pod's MTU of 1450. */
const FULL_ECHO = 1450 - 20 - 8;
const ONE_BY_ONE = /cannot segment UDP/;

/** The status of the agent, or undefined while it does not answer. */
async function statusOf(vm: Machine): Promise<AgentStatus | undefined> {
  const { code, stdout } = await vm.run(
    `curl -sf --max-time 10 --unix-socket /run/podwire/host/${vm.name}.sock http://agent/status`,
  );
  return code === 0 ? (JSON.parse(stdout) as AgentStatus) : undefined;
}

/** Run a command in a pod, as a user would. */
const inPod = (vm: Machine, pod: string, command: string, seconds?: number): Promise<string> =>
  vm.output(`podwire exec ${pod} -- ${command}`, seconds);

async function startAgent(vm: Machine, { offload, nic }: Round): Promise<AgentStatus> {
  const address = `192.168.56.1${vm.name.at(-1)}`;
  await vm.output(`ip addr flush dev eth1; ip addr flush dev eth2; ip addr add ${address}/24 dev ${nic}`);
  await vm.output(
    `setsid podwire agent --node ${vm.name} --objects ${OBJECTS} --lab host --iface ${nic} --offload ${offload} ` +
      `>>${AGENT_LOG} 2>&1 </dev/null & echo $! >/run/agent.pid`,
  );
  let last: AgentStatus | undefined;
  return until(
    400,
    async () => {
      const { code } = await vm.run('kill -0 $(cat /run/agent.pid)');
      expect(code === 0, `the agent of ${vm.name} has ended`);
      last = await statusOf(vm);
      const isUp = last?.phase === 'running' && last.pods.length === PODS_PER_MACHINE;
      return isUp && last!.pods.every((pod) => pod.isReady) ? last : undefined;
    },
    () => `Not running with all pods Ready after 400 seconds: ${JSON.stringify(last, null, 2)}`,
  );
}

async function stopAgent(vm: Machine): Promise<void> {
  await vm.output(
    'pid=$(cat /run/agent.pid); kill $pid; for i in $(seq 100); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.1; done; exit 1',
  );
}

/** Where each pod is. */
const addresses = new Map<string, string>();

/**
 * Five echo requests, each answered. One ping each: ping gives up on its last request after twice the time that an answer
 * took so far, which is nothing on an emulated machine that has something else to do.
 */
async function ping(vm: Machine, pod: string, size: number, hops: number): Promise<string> {
  const one = `ping -n -c 1 -W 20 -M do -s ${size} ${addresses.get(pod)}`;
  const text = await inPod(vm, `client-${vm.name}`, `bash -ec 'for i in 1 2 3 4 5; do ${one}; done'`, 110);
  const times = [...text.matchAll(/ttl=(\d+) time=([\d.]+) ms/g)];
  expect(times.length === 5, text);
  for (const [, ttl] of times) expect(Number(ttl) === 64 - hops, text);
  return `${Math.min(...times.map(([, , ms]) => Number(ms)))} ms at best`;
}

async function curl(vm: Machine, pod: string): Promise<void> {
  const page = await inPod(vm, `client-${vm.name}`, `curl -sS --max-time 30 http://${addresses.get(pod)}/`);
  expect(page.includes('Welcome to nginx!') && page.includes(pod), page);
}

/** 100 MB from another pod, compared with the file that they are of. */
async function download(vm: Machine, pod: string): Promise<string> {
  const from = performance.now();
  const fetch = `set -eo pipefail; socat -u TCP:${addresses.get(pod)}:9000 - | cmp - /srv/noise`;
  await inPod(vm, `client-${vm.name}`, `bash -c '${fetch}'`, 240);
  return `${Math.round((BYTES * 8) / 1000 / (performance.now() - from))} Mbit/s`;
}

export const offload: Part = async ({ checks, ...place }) => {
  const { check } = checks;
  const machines = await bootTwo(checks, { ...place, kernel: '6.1.' });
  if (!machines) return;
  const [vm1, vm2] = machines;
  const both = <T>(work: (vm: Machine) => Promise<T>): Promise<T[]> => Promise.all([vm1, vm2].map(work));

  const holders = new Map<string, string>();
  for (const round of ROUNDS) {
    const { name, on } = round;
    const isStarted = await check(`${name}: agents run, pods are Ready, offload is "${on}"`, async () => {
      for (const status of await both((vm) => startAgent(vm, round))) {
        expect(status.packetPath?.offload === on, `offload is "${status.packetPath?.offload}"`);
        expect(status.problems.length === 0, status.problems.join('\n'));
        for (const pod of status.pods) {
          addresses.set(pod.name, pod.podIP!);
          const before = holders.get(pod.name);
          expect(before === undefined || before === pod.uid, `${pod.name} is another pod than before`);
          holders.set(pod.name, pod.uid);
        }
      }
    });
    if (!isStarted) return;
    // One way in one round, the other way in the next.
    const [near, far] = ROUNDS.indexOf(round) % 2 === 0 ? [vm1, vm2] : [vm2, vm1];
    const ways: [where: string, from: Machine, to: string, hops: number][] = [
      ['between machines', near, far.name, 2],
      ['on one machine', far, far.name, 0],
    ];
    for (const [where, from, to, hops] of ways) {
      await check(`${name}: ping ${where}`, () => ping(from, `web-${to}`, 56, hops));
      await check(`${name}: ping ${where}, packets as long as the MTU`, () =>
        ping(from, `web-${to}`, FULL_ECHO, hops),
      );
      await check(`${name}: curl ${where}`, () => curl(from, `web-${to}`));
      await check(`${name}: 100 MB over TCP ${where}`, () => download(from, `source-${to}`));
    }
    await check(
      round.isOneByOne
        ? `${name}: the NIC refused UDP segmentation, datagrams go one by one`
        : `${name}: nothing had to fall back`,
      async () => {
        for (const status of await both(statusOf)) {
          const problems = status?.problems ?? [];
          expect(problems.some((text) => ONE_BY_ONE.test(text)) === round.isOneByOne, problems.join('\n'));
          expect(problems.length === (round.isOneByOne ? 1 : 0), problems.join('\n'));
        }
        const counts = await both((vm) => vm.output(`grep -c '${ONE_BY_ONE.source}' ${AGENT_LOG}`));
        for (const count of counts) expect(Number(count) === 1, `the log says so ${count.trim()} times`);
      },
    );
    await check(`${name}: agents end, pods live on`, async () => {
      await both(stopAgent);
      for (const text of await both((vm) => vm.output('ip netns list')))
        expect(text.trim().split('\n').length === PODS_PER_MACHINE, text);
    });
  }
  await check('agent --cleanup leaves nothing', async () => {
    await both((vm) => vm.output(`podwire agent --node ${vm.name} --lab host --cleanup >>${AGENT_LOG} 2>&1`));
    const left = [
      'ip netns list',
      'ls /sys/class/net | grep -x pw0',
      'ip rule | grep -Ev "^(0:.*local|32766:.*main|32767:.*default)$"',
      'ip route | grep -v 192.168.56',
      'grep -ls PODWIRE_ /proc/[0-9]*/environ',
      'grep /run/podwire /proc/mounts',
      'find /run/podwire 2>/dev/null',
      'true',
    ].join('; ');
    for (const text of await both((vm) => vm.output(left))) expect(text === '', text);
  });
};
