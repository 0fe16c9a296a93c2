/**
 * Forwarding: two hosts, two pods on the first and one on the second; once with our packet path, once with the kernel's bridge
 * and VXLAN as flannel wires them. On a wire-true underlay everything is measured, on the two others what depends on the wire.
 */
import type { Case, Measured, Row, Topic } from './case.js';
import { Overlay, type Host, type PodPlace, type Wire } from './overlay.js';
import type { Scope } from './scope.js';
import {
  PERCENTILES,
  reach,
  requests,
  requestsUnderLoad,
  serve,
  tcp,
  TRAFFIC_PROGRAMS,
  udp,
} from './traffic.js';

interface Bed {
  readonly scope: Scope;
  readonly host: Host;
  readonly a: PodPlace;
  readonly sameHost: PodPlace;
  readonly otherHost: PodPlace;
}

/** A case, for either side. */
interface Path extends Row {
  readonly more?: readonly Row[];
  readonly cpuTarget?: number;
  measure(bed: Bed, seconds: number): Promise<Measured>;
}

type Place = (bed: Bed) => { from: PodPlace; to: string };

interface Targets {
  readonly tcp?: number;
  readonly udp?: number;
  readonly latency?: number;
  readonly cpu?: number;
}

function tcpPath(path: string, place: Place, streams: number, targets: Targets = {}): Path {
  return {
    name: `${path}: TCP, ${streams === 1 ? '1 stream' : `${streams} streams`}`,
    unit: 'Gbit/s',
    target: streams === 1 ? targets.tcp : undefined,
    cpuTarget: streams === 1 ? targets.cpu : undefined,
    measure(bed, seconds) {
      const { from, to } = place(bed);
      return tcp(from, to, seconds, streams);
    },
  };
}

function udpPath(path: string, place: Place, bytes: number, targets: Targets = {}): Path {
  return {
    name: `${path}: UDP, ${bytes} bytes`,
    unit: 'kpkt/s',
    target: bytes === 64 ? targets.udp : undefined,
    measure(bed, seconds) {
      const { from, to } = place(bed);
      return udp(from, to, seconds, bytes);
    },
  };
}

/** Round trips, idle or beside a stream; the middle one is the case's own figure. */
function requestPath(path: string, place: Place, isLoaded: boolean, targets: Targets = {}): Path {
  const rows = PERCENTILES.map((percentile): Row => ({
    name: `${path}: requests${isLoaded ? ' beside 1 Gbit/s' : ''}, ${percentile}`,
    unit: 'µs',
    isLowBetter: true,
    target: percentile === 'p50' && !isLoaded ? targets.latency : undefined,
  }));
  return {
    ...rows[0]!,
    more: rows.slice(1),
    measure(bed, seconds) {
      const { from, to } = place(bed);
      return isLoaded ? requestsUnderLoad(bed.scope, from, to, seconds) : requests(from, to, seconds);
    },
  };
}

const SAME_HOST = 'same host';
const VXLAN = 'VXLAN';
const FROM_HOST = 'from the host to its pod';

const sameHost: Place = ({ a, sameHost }) => ({ from: a, to: sameHost.ip });
const otherHost: Place = ({ a, otherHost }) => ({ from: a, to: otherHost.ip });
const fromHost: Place = ({ host, sameHost }) => ({
  from: { netns: host.netns, ip: host.address },
  to: sameHost.ip,
});

/** All that is measured of a path between two pods. */
const whole = (path: string, place: Place, targets: Targets): Path[] => [
  tcpPath(path, place, 1, targets),
  tcpPath(path, place, 8, targets),
  ...[64, 512, 1400].map((bytes) => udpPath(path, place, bytes, targets)),
  requestPath(path, place, false, targets),
  requestPath(path, place, true, targets),
];

const ON_A_TRUE_WIRE: readonly Path[] = [
  ...whole(SAME_HOST, sameHost, { tcp: 0.95, udp: 1.3, latency: 1 }),
  ...whole(VXLAN, otherHost, { tcp: 1, udp: 1.3, latency: 1 / 1.2, cpu: 1 / 1.4 }),
  tcpPath(FROM_HOST, fromHost, 1),
  requestPath(FROM_HOST, fromHost, false),
];

const onWire = (wire: string, targets: Targets): Path[] => [
  tcpPath(`${VXLAN}, ${wire}`, otherHost, 1, targets),
  tcpPath(`${VXLAN}, ${wire}`, otherHost, 8, targets),
  udpPath(`${VXLAN}, ${wire}`, otherHost, 64, targets),
];
const WITHOUT_GRO = onWire('a wire without GRO', { tcp: 0.7 });
const SUPER_FRAMES = onWire('a wire that passes super-frames', { tcp: 0.8 });

async function build(scope: Scope, isOurs: boolean, wire: Wire): Promise<Bed> {
  const overlay = new Overlay(scope, { wire });
  const add = () => (isOurs ? overlay.addHost() : overlay.addKernelHost());
  const [host, other] = [await add(), await add()];
  const a = await overlay.addPod(host);
  const sameHost = await overlay.addPod(host);
  const otherHost = await overlay.addPod(other);
  for (const pod of [sameHost, otherHost]) {
    await serve(scope, pod);
    await reach(a, pod.ip);
  }
  return { scope, host, a, sameHost, otherHost };
}

async function cases(scope: Scope, paths: readonly Path[], wire: Wire, seconds: number): Promise<Case[]> {
  const ours = await build(scope, true, wire);
  const theirs = await build(scope, false, wire);
  return paths.map(({ measure, ...path }) => ({
    ...path,
    beside: 'kernel',
    ours: () => measure(ours, seconds),
    theirs: () => measure(theirs, seconds),
  }));
}

const namesOf = (paths: readonly Path[]): string[] => paths.map(({ name }) => name);

export const FORWARDING: Topic = {
  name: 'forwarding',
  cases: namesOf(ON_A_TRUE_WIRE),
  programs: TRAFFIC_PROGRAMS,
  build: (scope, { seconds }) => cases(scope, ON_A_TRUE_WIRE, 'wire-true', seconds),
};

export const WIRES: Topic = {
  name: 'wires',
  cases: namesOf([...WITHOUT_GRO, ...SUPER_FRAMES]),
  programs: TRAFFIC_PROGRAMS,
  build: async (scope, { seconds }) => [
    ...(await cases(scope, WITHOUT_GRO, 'no-gro', seconds)),
    ...(await cases(scope, SUPER_FRAMES, 'super-frames', seconds)),
  ],
};
