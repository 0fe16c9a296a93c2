/**
 * Services: a ClusterIP beside the same path without it, and many Services beside few and beside iptables.
 *
 * The endpoint is on another host, so that the kernel's rules see its answers too. The Service that is asked is the last of all
 * of them: where rules are a list, that is its end.
 */
import type { EndpointSlice, Service } from '../../src/api/types.js';
import { formatIpv4 } from '../../src/wire/address.js';
import { Overlay, within, type Host, type TestPod } from '../lib/overlay.js';
import { printed, start } from '../lib/spawn.js';
import type { TestScope } from '../lib/scope.js';
import { serviceObject, sliceObject } from '../lib/services.js';
import { CONNECTIONS, type Connections } from './connections.js';
import { changeEndpoint, hasIptables, loadServices, type Pair } from './iptables.js';
import { median, PORT, serveIperf, tcp, type Case, type Topic } from './measure.js';

const COUNTS = [10, 1_000, 10_000, 100_000] as const;
const FEW = 10;
const MANY = 10_000;
/** Where connections are accepted. */
const ACCEPT = 5300;
/** Changed endpoints of which the median is taken. */
const CHANGES = 201;

/** The Service with this number: 10.96.0.0 and up, in a /12. */
const vipOf = (i: number): string => formatIpv4((10 << 24) | (96 << 16) | (i + 1));
const nameOf = (i: number): string => `s${i}`;

const words = (count: number): string => String(count).replace(/(\d)(?=(\d{3})+$)/g, '$1 ');
const PER_SECOND = COUNTS.map((count) => `connections/s, ${words(count)} Services`);
const COST = COUNTS.map((count) => `a new connection, ${words(count)} Services`);
const FLAT = `a new connection, ${words(COUNTS.at(-1)!)} Services beside ${FEW}`;
const THROUGH = 'TCP through a ClusterIP';
const CHANGE = `one changed endpoint, ${words(MANY)} Services`;
const CHANGE_FLAT = `${CHANGE} beside ${FEW}`;

interface Bed {
  readonly overlay: Overlay;
  readonly host: Host;
  readonly client: TestPod;
  readonly server: TestPod;
}

async function build(scope: TestScope, isOurs: boolean): Promise<Bed> {
  const overlay = new Overlay(scope);
  const add = () => (isOurs ? overlay.addHost() : overlay.addKernelHost());
  const [host, other] = [await add(), await add()];
  const client = await overlay.addPod(host);
  const server = await overlay.addPod(other);
  await serveIperf(scope, server);
  const argv = ['ip', 'netns', 'exec', server.netns, process.execPath, CONNECTIONS, 'serve', String(ACCEPT)];
  await printed(start(scope, argv), /ready/);
  within(client.netns, 'ping', '-c', '2', '-i', '0.2', server.ip);
  return { overlay, host, client, server };
}

const pairsOf = (count: number, endpoint: string): Pair[] =>
  Array.from({ length: count }, (_, i) => ({ vip: vipOf(i), endpoint }));

const slice = (i: number, ip: string): EndpointSlice =>
  sliceObject(
    nameOf(i),
    [{ ip, node: 'node2' }],
    [
      { name: 'iperf', port: PORT, protocol: 'TCP' },
      { name: 'accept', port: ACCEPT, protocol: 'TCP' },
    ],
  );
const service = (i: number): Service =>
  serviceObject(nameOf(i), {
    clusterIP: vipOf(i),
    ports: [
      { name: 'iperf', port: PORT, protocol: 'TCP' },
      { name: 'accept', port: ACCEPT, protocol: 'TCP' },
    ],
  });

function connections({ client }: Bed, to: string, seconds: number): Connections {
  const argv = [process.execPath, CONNECTIONS, 'connect', to, String(ACCEPT), String(seconds)];
  const { status, stdout, stderr } = within(client.netns, ...argv);
  if (status !== 0) throw new Error(`no connections to ${to}: ${stderr}`);
  return JSON.parse(stdout) as Connections;
}

export const SERVICES: Topic = {
  name: 'services',
  cases: [THROUGH, ...PER_SECOND, ...COST, FLAT, CHANGE, CHANGE_FLAT],
  async build(scope, { seconds, say }) {
    const ours = await build(scope, true);
    const theirs = await build(scope, false);
    const isThere = hasIptables();
    if (!isThere) say('iptables is not installed: nothing stands beside');
    const now = { ours: 0, theirs: 0 };
    let slices: EndpointSlice[] = [];
    let services: Service[] = [];

    /** Have so many Services here. */
    const setOurs = async (count: number): Promise<void> => {
      if (now.ours === count) return;
      services = Array.from({ length: count }, (_, i) => service(i));
      slices = Array.from({ length: count }, (_, i) => slice(i, ours.server.ip));
      await ours.overlay.setServices(services, slices);
      now.ours = count;
    };
    /** @returns false when the kernel does not bear it, now or when it was tried before */
    const unbearable = new Set<number>();
    const setTheirs = (count: number): boolean => {
      if (!isThere || unbearable.has(count)) return false;
      if (now.theirs === count) return true;
      within(theirs.host.netns, 'iptables', '-t', 'nat', '-F');
      within(theirs.host.netns, 'iptables', '-t', 'nat', '-X');
      now.theirs = 0;
      if (!loadServices(theirs.host.netns, pairsOf(count, theirs.server.ip), ACCEPT)) {
        unbearable.add(count);
        say(`iptables-restore does not load ${words(count)} Services within a minute`);
        return false;
      }
      now.theirs = count;
      return true;
    };
    const last = (count: number): string => vipOf(count - 1);

    const measured = (pick: (said: Connections) => number, count: number) => ({
      async ours() {
        await setOurs(count);
        return pick(connections(ours, last(count), seconds));
      },
      theirs: () => (setTheirs(count) ? pick(connections(theirs, last(count), seconds)) : undefined),
    });
    const costOf = async (count: number): Promise<number> => {
      await setOurs(count);
      return connections(ours, last(count), seconds).medianUs;
    };
    /** From an endpoint that changed to the worker's having its rows, in milliseconds. */
    const changeOf = async (count: number): Promise<number> => {
      await setOurs(count);
      const times: number[] = [];
      for (let i = 0; i < CHANGES; i++) {
        slices = slices.slice();
        slices[count >> 1] = slice(count >> 1, i % 2 === 0 ? '10.244.2.200' : ours.server.ip);
        const began = performance.now();
        await ours.overlay.setServices(services, slices, [ours.host]);
        times.push(performance.now() - began);
      }
      return median(times);
    };
    const theirChange = (): number | undefined => {
      if (!setTheirs(MANY)) return undefined;
      const times = Array.from({ length: 5 }, (_, i) => {
        const pair = { vip: vipOf(MANY >> 1), endpoint: i % 2 === 0 ? '10.244.2.200' : theirs.server.ip };
        const began = performance.now();
        changeEndpoint(theirs.host.netns, pair, MANY >> 1, ACCEPT);
        return performance.now() - began;
      });
      return median(times);
    };

    return [
      {
        name: THROUGH,
        unit: 'Gbit/s',
        beside: 'direct',
        target: 0.95,
        async ours() {
          await setOurs(FEW);
          return tcp(ours.client, last(FEW), seconds);
        },
        theirs: () => tcp(ours.client, ours.server.ip, seconds),
      },
      ...COUNTS.map((count, i): Case => ({
        name: PER_SECOND[i]!,
        unit: '/s',
        beside: 'iptables',
        ...measured(({ perSecond }) => perSecond, count),
      })),
      ...COUNTS.map((count, i): Case => ({
        name: COST[i]!,
        unit: 'µs',
        beside: 'iptables',
        isLowBetter: true,
        ...measured(({ medianUs }) => medianUs, count),
      })),
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
        ours: () => changeOf(MANY),
        theirs: theirChange,
      },
      {
        name: CHANGE_FLAT,
        unit: 'ms',
        beside: `${FEW} Services`,
        target: 0.5,
        isLowBetter: true,
        ours: () => changeOf(MANY),
        theirs: () => changeOf(FEW),
      },
    ];
  },
};
