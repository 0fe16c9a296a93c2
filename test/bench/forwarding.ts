/**
 * Forwarding: two hosts on a wire-true underlay (DESIGN §6), two pods on the first and one on the second; once with our packet
 * path, once with the kernel's bridge and VXLAN as flannel wires them.
 */
import { Overlay, within, type TestPod } from '../lib/overlay.js';
import type { TestScope } from '../lib/scope.js';
import { rtt, serveIperf, tcp, udp, type Case, type Topic } from './measure.js';

interface Pods {
  readonly a: TestPod;
  readonly sameHost: TestPod;
  readonly otherHost: TestPod;
}

interface Path {
  readonly name: string;
  readonly unit: string;
  readonly target?: number;
  readonly isLowBetter?: boolean;
  measure(pods: Pods, seconds: number): number;
}

const PATHS: readonly Path[] = [
  {
    name: 'same host TCP',
    unit: 'Gbit/s',
    target: 0.75,
    measure: ({ a, sameHost }, seconds) => tcp(a, sameHost.ip, seconds),
  },
  {
    name: 'VXLAN TCP',
    unit: 'Gbit/s',
    target: 0.7,
    measure: ({ a, otherHost }, seconds) => tcp(a, otherHost.ip, seconds),
  },
  {
    name: 'VXLAN TCP, 8 streams',
    unit: 'Gbit/s',
    measure: ({ a, otherHost }, seconds) => tcp(a, otherHost.ip, seconds, 8),
  },
  {
    name: 'same host UDP 64 B',
    unit: 'kpkt/s',
    target: 0.6,
    measure: ({ a, sameHost }, seconds) => udp(a, sameHost.ip, seconds, 64),
  },
  {
    name: 'VXLAN UDP 64 B',
    unit: 'kpkt/s',
    target: 1.0,
    measure: ({ a, otherHost }, seconds) => udp(a, otherHost.ip, seconds, 64),
  },
  {
    name: 'same host ping',
    unit: 'µs',
    isLowBetter: true,
    measure: ({ a, sameHost }) => rtt(a, sameHost.ip),
  },
  {
    name: 'VXLAN ping',
    unit: 'µs',
    isLowBetter: true,
    measure: ({ a, otherHost }) => rtt(a, otherHost.ip),
  },
];

async function build(scope: TestScope, isOurs: boolean): Promise<Pods> {
  const overlay = new Overlay(scope);
  const add = () => (isOurs ? overlay.addHost() : overlay.addKernelHost());
  const hosts = [await add(), await add()];
  const a = await overlay.addPod(hosts[0]!);
  const sameHost = await overlay.addPod(hosts[0]!);
  const otherHost = await overlay.addPod(hosts[1]!);
  for (const pod of [sameHost, otherHost]) {
    await serveIperf(scope, pod);
    within(a.netns, 'ping', '-c', '2', '-i', '0.2', pod.ip);
  }
  return { a, sameHost, otherHost };
}

export const FORWARDING: Topic = {
  name: 'forwarding',
  cases: PATHS.map(({ name }) => name),
  async build(scope, { seconds }) {
    const ours = await build(scope, true);
    const theirs = await build(scope, false);
    return PATHS.map(({ measure, ...path }): Case => ({
      ...path,
      beside: 'kernel',
      ours: () => measure(ours, seconds),
      theirs: () => measure(theirs, seconds),
    }));
  },
};
