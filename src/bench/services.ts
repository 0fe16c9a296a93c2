/**
 * Services: a ClusterIP beside the same path without it and beside iptables, a NodePort from outside, and many Services beside few.
 *
 * The endpoint is on another host, so that the kernel's rules see its answers too. The Service that is asked is the last of all
 * of them: where rules are a list, that is its end.
 */
import type { EndpointSlice, Service } from '../api/types.js';
import { formatIpv4 } from '../wire/address.js';
import { InvalidRun, median, type Case, type Measured, type Row, type Topic } from './case.js';
import { CONNECTIONS, type Connections } from './connections.js';
import { changeEndpoint, LOAD_SECONDS, loadServices, type Pair } from './iptables.js';
import { serviceOf, sliceOf, type NamedPort } from './objects.js';
import { Overlay, type Host, type PodPlace } from './overlay.js';
import { inside, output, printed, start } from './programs.js';
import type { Scope } from './scope.js';
import {
  IPERF_PORT,
  PERCENTILES,
  reach,
  REQUEST_PORT,
  requests,
  serve,
  tcp,
  TRAFFIC_PROGRAMS,
} from './traffic.js';

const COUNTS = [10, 1_000, 10_000, 100_000] as const;
const FEW = 10;
const MANY = 10_000;
/** Where connections are accepted. */
const ACCEPT = 5300;
/** Changed endpoints of which the median is taken, of ours and by iptables-restore; and as many before as compilers of code need. */
const CHANGES = 1001;
const WARM_CHANGES = 400;
const THEIR_CHANGES = 5;
/** Endpoints that are nobody's, in turn. */
const elsewhere = (turn: number): string => `10.244.2.${100 + (turn % 100)}`;

const PORTS: readonly NamedPort[] = [
  { name: 'iperf', port: IPERF_PORT },
  { name: 'requests', port: REQUEST_PORT },
  { name: 'accept', port: ACCEPT },
];
/** The same ports of a Service that has NodePorts, by 30001 and up. */
const NODE_PORTS: readonly NamedPort[] = PORTS.map((port, i) => ({ ...port, nodePort: 30_001 + i }));
const nodePortOf = (port: number): number => NODE_PORTS.find((one) => one.port === port)!.nodePort!;

/** The Service with this number: 10.96.0.0 and up, in a /12. */
const vipOf = (i: number): string => formatIpv4((10 << 24) | (96 << 16) | (i + 1));
const nameOf = (i: number): string => `s${i}`;
const last = (count: number): string => vipOf(count - 1);
/** Of many Services each has one port; of few the last has all of them, and NodePorts. */
const portsOf = (i: number, count: number): readonly NamedPort[] =>
  count === FEW && i === count - 1 ? NODE_PORTS : PORTS.slice(-1);

const words = (count: number): string => String(count).replace(/(\d)(?=(\d{3})+$)/g, '$1 ');
const THROUGH = 'TCP through a ClusterIP';
const CLUSTER_IP = 'through a ClusterIP';
const NODE_PORT = 'from outside to a NodePort';
const PER_SECOND = COUNTS.map((count) => `connections a second, ${words(count)} Services`);
const FLAT = `a new connection, ${words(COUNTS.at(-1)!)} Services beside ${FEW}`;
const CHANGE = `one changed endpoint, ${words(MANY)} Services`;
const CHANGE_FLAT = `${CHANGE} beside ${FEW}`;

interface Bed {
  readonly overlay: Overlay;
  readonly host: Host;
  readonly client: PodPlace;
  readonly server: PodPlace;
  readonly outside: PodPlace;
}

async function build(scope: Scope, isOurs: boolean): Promise<Bed> {
  const overlay = new Overlay(scope);
  const add = () => (isOurs ? overlay.addHost() : overlay.addKernelHost());
  const [host, other] = [await add(), await add()];
  const client = await overlay.addPod(host);
  const server = await overlay.addPod(other);
  const outside = overlay.addClient();
  await serve(scope, server);
  const argv = [process.execPath, CONNECTIONS, 'serve', String(ACCEPT)];
  await printed(start(scope, inside(server.netns, ...argv)), /ready/);
  await reach(client, server.ip);
  await reach(outside, host.address);
  return { overlay, host, client, server, outside };
}

/** Services of one host of the kernel's. */
class TheirServices {
  readonly #bed: Bed;
  readonly #say: (text: string) => void;
  readonly #unbearable = new Set<number>();
  #pairs: readonly Pair[] = [];

  constructor(bed: Bed, say: (text: string) => void) {
    this.#bed = bed;
    this.#say = say;
  }

  /** Have so many. @returns false when the kernel does not bear it, now or when it was tried before */
  async set(count: number): Promise<boolean> {
    if (this.#unbearable.has(count)) return false;
    if (this.#pairs.length === count) return true;
    const endpoint = this.#bed.server.ip;
    const pairs = Array.from({ length: count }, (_, i) => ({
      vip: vipOf(i),
      endpoint,
      ports: portsOf(i, count),
    }));
    this.#pairs = [];
    if (await loadServices(this.#bed.host.netns, pairs)) {
      this.#pairs = pairs;
      return true;
    }
    this.#unbearable.add(count);
    this.#say(`iptables-restore does not load ${words(count)} Services within ${LOAD_SECONDS} s`);
    return false;
  }

  /** Milliseconds for one changed endpoint. */
  async change(count: number): Promise<number | undefined> {
    if (!(await this.set(count))) return undefined;
    const times: number[] = [];
    for (let i = 0; i < THEIR_CHANGES; i++) {
      const began = performance.now();
      await changeEndpoint(this.#bed.host.netns, this.#pairs, count >> 1, elsewhere(i));
      times.push(performance.now() - began);
    }
    return median(times);
  }
}

/** Services of our hosts. */
class OurServices {
  readonly #bed: Bed;
  #services: Service[] = [];
  #slices: EndpointSlice[] = [];

  constructor(bed: Bed) {
    this.#bed = bed;
  }

  #slice(i: number, address: string): EndpointSlice {
    return sliceOf(nameOf(i), address, 'node2', portsOf(i, this.#services.length));
  }

  async set(count: number): Promise<void> {
    if (this.#services.length === count) return;
    this.#services = Array.from({ length: count }, (_, i) =>
      serviceOf(nameOf(i), vipOf(i), portsOf(i, count)),
    );
    this.#slices = this.#services.map((_, i) => this.#slice(i, this.#bed.server.ip));
    await this.#bed.overlay.setServices(this.#services, this.#slices);
  }

  /** Milliseconds from an endpoint that changed to the worker's having its rows. */
  async change(count: number): Promise<number> {
    await this.set(count);
    const times: number[] = [];
    for (let i = 0; i < WARM_CHANGES + CHANGES; i++) {
      this.#slices = this.#slices.slice();
      this.#slices[count >> 1] = this.#slice(count >> 1, elsewhere(i));
      const began = performance.now();
      await this.#bed.overlay.setServices(this.#services, this.#slices, [this.#bed.host]);
      times.push(performance.now() - began);
    }
    return median(times.slice(WARM_CHANGES));
  }
}

/**
 * Connections made, used and closed one after the other: how many a second, and the median time of one in microseconds.
 *
 * @throws InvalidRun when one hung: a rate would say how long a second is
 */
async function connections(from: PodPlace, to: string, seconds: number, port = ACCEPT): Promise<Measured> {
  const argv = [process.execPath, CONNECTIONS, 'connect', to, String(port), String(seconds)];
  const said = JSON.parse(await output(inside(from.netns, ...argv))) as Connections;
  const { perSecond, medianUs, hung } = said;
  if (hung > 0)
    throw new InvalidRun(`connections to ${to} hung: a packet was lost, and ${hung} SYNs sent again`);
  return { figures: [perSecond, medianUs] };
}

const percentiles = (path: string): Row[] =>
  PERCENTILES.map((percentile) => ({
    name: `${path}: requests, ${percentile}`,
    unit: 'µs',
    isLowBetter: true,
  }));
const median1 = (name: string): Row => ({ name: `${name}: one takes`, unit: 'µs', isLowBetter: true });

/** The same of both sides, with so many Services. */
const eitherSide = (
  sides: { ours: { bed: Bed; services: OurServices }; theirs: { bed: Bed; services: TheirServices } },
  count: number,
  measure: (bed: Bed) => Promise<Measured>,
): Pick<Case, 'ours' | 'theirs'> => ({
  async ours() {
    await sides.ours.services.set(count);
    return measure(sides.ours.bed);
  },
  theirs: async () => ((await sides.theirs.services.set(count)) ? measure(sides.theirs.bed) : undefined),
});

export const SERVICES: Topic = {
  name: 'services',
  cases: [
    THROUGH,
    `${CLUSTER_IP}: TCP`,
    ...percentiles(CLUSTER_IP)
      .slice(0, 1)
      .map(({ name }) => name),
    `${NODE_PORT}: TCP`,
    ...percentiles(NODE_PORT)
      .slice(0, 1)
      .map(({ name }) => name),
    `${NODE_PORT}: connections a second`,
    ...PER_SECOND,
    FLAT,
    CHANGE,
    CHANGE_FLAT,
  ],
  programs: { ...TRAFFIC_PROGRAMS, 'iptables-restore': 'iptables' },
  async build(scope, { seconds, say }) {
    const ours = await build(scope, true);
    const theirs = await build(scope, false);
    const ourServices = new OurServices(ours);
    const theirServices = new TheirServices(theirs, say);
    const sides = {
      ours: { bed: ours, services: ourServices },
      theirs: { bed: theirs, services: theirServices },
    };
    const iptables = (
      row: Row,
      count: number,
      measure: (bed: Bed) => Promise<Measured>,
      more?: readonly Row[],
    ): Case => ({
      ...row,
      more,
      beside: 'iptables',
      ...eitherSide(sides, count, measure),
    });
    const costOf = async (count: number): Promise<number> => {
      await ourServices.set(count);
      return (await connections(ours.client, last(count), seconds)).figures[1]!;
    };
    const [clusterIp, nodePort] = [percentiles(CLUSTER_IP), percentiles(NODE_PORT)];
    const node = ({ host }: Bed): string => host.address;
    return [
      {
        name: THROUGH,
        unit: 'Gbit/s',
        beside: 'direct',
        target: 0.97,
        async ours() {
          await ourServices.set(FEW);
          return tcp(ours.client, last(FEW), seconds);
        },
        theirs: () => tcp(ours.client, ours.server.ip, seconds),
      },
      iptables({ name: `${CLUSTER_IP}: TCP`, unit: 'Gbit/s' }, FEW, ({ client }) =>
        tcp(client, last(FEW), seconds),
      ),
      iptables(clusterIp[0]!, FEW, ({ client }) => requests(client, last(FEW), seconds), clusterIp.slice(1)),
      iptables({ name: `${NODE_PORT}: TCP`, unit: 'Gbit/s' }, FEW, (bed) =>
        tcp(bed.outside, node(bed), seconds, 1, nodePortOf(IPERF_PORT)),
      ),
      iptables(
        nodePort[0]!,
        FEW,
        (bed) => requests(bed.outside, node(bed), seconds, nodePortOf(REQUEST_PORT)),
        nodePort.slice(1),
      ),
      iptables(
        { name: `${NODE_PORT}: connections a second`, unit: '/s' },
        FEW,
        (bed) => connections(bed.outside, node(bed), seconds, nodePortOf(ACCEPT)),
        [median1(NODE_PORT)],
      ),
      ...COUNTS.map((count, i) =>
        iptables(
          { name: PER_SECOND[i]!, unit: '/s' },
          count,
          ({ client }) => connections(client, last(count), seconds),
          [median1(`${words(count)} Services`)],
        ),
      ),
      {
        name: FLAT,
        unit: 'µs',
        beside: `${FEW} Services`,
        target: 0.9,
        isLowBetter: true,
        ours: () => costOf(COUNTS.at(-1)!),
        theirs: () => costOf(FEW),
      },
      {
        name: CHANGE,
        unit: 'ms',
        beside: 'iptables',
        isLowBetter: true,
        ours: () => ourServices.change(MANY),
        theirs: () => theirServices.change(MANY),
      },
      {
        name: CHANGE_FLAT,
        unit: 'ms',
        beside: `${FEW} Services`,
        target: 0.5,
        isLowBetter: true,
        ours: () => ourServices.change(MANY),
        theirs: () => ourServices.change(FEW),
      },
    ];
  },
};
