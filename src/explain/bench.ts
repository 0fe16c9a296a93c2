/**
 * A host on the bench: the real tables, compiled from objects as an agent compiles them, the real pipeline, and ports that lead
 * nowhere. One packet goes in, and what the pipeline decided about it is read off.
 */
import { FROM_TGT, ENDPOINT, ROW_WORDS, TUPLE_WORDS } from '../tables/conntrack.js';
import { EVENT_ICMP_ERRORS, EVENT_PASSES, EVENT_TCP_RESETS } from '../tables/counters.js';
import { PORT_POD } from '../tables/ports.js';
import { ROUTE_LOCAL } from '../tables/routes.js';
import { CAPACITIES, STATIC_NAMES, type StaticName } from '../tables/tables.js';
import { cidrContains, formatIpv4, macOfIpv4, V4_MAPPED, type Mac } from '../wire/address.js';
import { HEADER_LEN as VIRTIO_HEADER_LEN } from '../wire/virtio-net.js';
import * as vxlan from '../wire/vxlan.js';
import { HOST_PORT_KEY, podPortKey, TUNNEL_PORT_KEY } from '../compile/compile.js';
import { compile } from '../compile/compiler.js';
import type { OpenPort } from '../compile/compile.js';
import { MasterCopy } from '../compile/master-copy.js';
import { nodeAddresses } from '../compile/node-addresses.js';
import { REASONS, type ReasonName } from '../dataplane/verdict.js';
import { createHost } from '../host/host.js';
import type { Pod } from '../api/types.js';
import { labSpec } from '../api/lab.js';
import { keyOf } from '../api/types.js';
import { nodeIps } from '../compile/services.js';
import type { Cluster } from './cluster.js';
import { writeFrame, type Packet } from './packet.js';

/** By which port a packet comes in. */
export type Entry =
  | { readonly kind: 'pod'; readonly key: string; readonly ip: number }
  | { readonly kind: 'host' }
  | { readonly kind: 'tunnel'; readonly node: string };

/** What became of a packet. Rows are those of the bench's tables. */
export interface Outcome {
  /** Whether anything left: the packet, or the answer that refuses it. */
  readonly hasLeft: boolean;
  readonly isFlooded: boolean;
  /** Why it was dropped. */
  readonly reason: ReasonName | undefined;
  readonly answer: 'tcp-reset' | 'icmp-error' | undefined;
  readonly service: number;
  readonly endpoint: number;
  readonly route: number;
  readonly outPort: number;
  readonly vtep: number;
  /** As it left, or would have. */
  readonly src: number;
  readonly srcPort: number;
  readonly dst: number;
  readonly dstPort: number;
  /** The receiver's MAC address is answered for by nobody. */
  readonly isUnresolved: boolean;
}

export interface Bench {
  readonly dp: ReturnType<typeof createHost>['dp'];
  /** What could not be compiled. */
  readonly problems: readonly string[];
  /** The key of a row: what it is for. */
  keyOf(table: StaticName, row: number): string;
  send(entry: Entry, packet: Packet): Outcome;
}

/** The namespace of pods that are no objects: no object can have it. */
const NOWHERE = '?';
export const strangerKey = (ip: number): string => podPortKey(`${NOWHERE}/${formatIpv4(ip)}`);
export const isStrangerKey = (key: string): boolean => key.startsWith(podPortKey(NOWHERE));

/** Milliseconds between two packets: the router's ICMP errors, of which it sends so many a second, do not run out. */
const STEP_MS = 10;
const SEED = 1;

/**
 * @param strangers  addresses of pods of this host that are no objects
 */
export function createBench(cluster: Cluster, strangers: ReadonlySet<number>): Bench {
  const { view, name, self } = cluster;
  const open: OpenPort = { handle: 1, offload: 0, isCaptured: false };
  const made = [...strangers].map((ip) => strangerObject(name, ip));
  const pods = [...view.pods, ...made];
  const here = pods.filter((pod) => pod.spec.nodeName === name && !pod.spec.hostNetwork);
  const capacities = {
    ...CAPACITIES,
    ports: Math.max(CAPACITIES.ports, here.length + 8),
    neighbors: Math.max(CAPACITIES.neighbors, here.length + 8),
    routes: Math.max(CAPACITIES.routes, view.nodes.length + strangers.size + 8),
    fdb: Math.max(256, here.length * 2),
    conntrack: 16_384,
  };
  const host = createHost({
    alloc: (bytes) => new ArrayBuffer(bytes),
    seed: SEED,
    driver: { send: () => undefined },
    capacities,
    batch: { frames: 16, arena: 1 << 17, slots: 1, messages: 16, scratch: 1 << 12 },
  });
  const { dp, frames } = host;
  const { ids } = new MasterCopy(capacities);
  const { image, problems } = compile(
    {
      view: { ...view, pods },
      node: name,
      host: open,
      tunnel: open,
      pods: new Map(here.map((pod) => [keyOf(pod), open])),
    },
    ids,
  );
  const segment = ids.of('segments', [...image.segments.keys()][0]!);
  for (const ip of strangers)
    image.routes.set(strangerKey(ip), Int32Array.of(ROUTE_LOCAL, segment, 0, 0, V4_MAPPED, ip, 128, 0));
  for (const table of STATIC_NAMES)
    for (const [key, words] of image[table]) dp[table].setRow(ids.of(table, key), words, 0);

  let now = 1000;
  host.begin(now);
  // Who talks has been heard before: its ARP went ahead.
  for (let port = 1; port < dp.ports.capacity; port++)
    if (dp.ports.kind[port] === PORT_POD)
      dp.fdb.learn(segment, dp.ports.macHi[port]!, dp.ports.macLo[port]!, port, now);

  /** The MAC address that a pod's kernel finds for a destination: its neighbour's, or the gateway's. */
  function nextHopMac(entry: Entry, dst: number): Mac | undefined {
    const isOurs = dst === self.gateway || dst === self.router;
    const isOnLink = cidrContains(self.cidr, dst);
    if (entry.kind !== 'pod' || isOurs || !isOnLink || !cidrContains(self.cidr, entry.ip))
      return self.routerMac;
    return dp.neighbors.find(segment, 0, 0, V4_MAPPED, dst) === 0 ? undefined : macOfIpv4(dst);
  }

  function ingest(entry: Entry, packet: Packet, nextHop: Mac): void {
    if (entry.kind === 'tunnel') {
      const node = view.nodes.find(({ metadata }) => metadata.name === entry.node);
      const peer = nodeAddresses(node?.spec?.podCIDR ?? '')?.vtepMac ?? self.vtepMac;
      const at = host.slot(0);
      vxlan.write(frames.v, at, labSpec(view.lab).backend.vni);
      const len = writeFrame(frames.v, frames.b, at + vxlan.HEADER_LEN, packet, peer, self.vtepMac);
      const port = ids.of('ports', TUNNEL_PORT_KEY);
      host.ingestTunnel(port, at, vxlan.HEADER_LEN + len, 0, 0, 0, V4_MAPPED, nodeIps(node)[0] ?? 0);
      return;
    }
    const at = host.tapRoom();
    frames.b.u8.fill(0, at, at + VIRTIO_HEADER_LEN);
    const mac = entry.kind === 'pod' ? macOfIpv4(entry.ip) : self.gatewayMac;
    const len = writeFrame(frames.v, frames.b, at + VIRTIO_HEADER_LEN, packet, mac, nextHop);
    host.ingestTap(
      ids.of('ports', entry.kind === 'pod' ? entry.key : HOST_PORT_KEY),
      VIRTIO_HEADER_LEN + len,
    );
  }

  function send(entry: Entry, packet: Packet): Outcome {
    const nextHop = nextHopMac(entry, packet.dst);
    if (!nextHop) return { ...NOTHING, isUnresolved: true };
    const { drops, events } = dp.counters;
    const dropsBefore = drops.slice();
    const eventsBefore = events.slice();
    now += STEP_MS;
    host.begin(now);
    ingest(entry, packet, nextHop);
    host.run();
    const happened = (event: number): boolean => events[event] !== eventsBefore[event];
    const hasRow = happened(EVENT_PASSES);
    const answer = happened(EVENT_TCP_RESETS)
      ? 'tcp-reset'
      : happened(EVENT_ICMP_ERRORS)
        ? 'icmp-error'
        : undefined;
    const verdict = hasRow ? frames.verdict[0]! : 0;
    const dropped = REASONS.map(([reason], i) => ({ reason, i })).filter(
      ({ i }) => drops[i] !== dropsBefore[i],
    );
    // An answer may be dropped in its turn: the packet's own reason is the other one.
    const reason = (dropped.find(({ i }) => answer === undefined || i !== -verdict) ?? dropped[0])?.reason;
    const draft = hasRow ? frames.draft[0]! : 0;
    const { words } = dp.conntrack;
    const reply = draft * ROW_WORDS + FROM_TGT * TUPLE_WORDS;
    const isWhole = hasRow && answer === undefined;
    return {
      hasLeft: verdict > 0,
      isFlooded: verdict > 1,
      reason,
      answer: answer !== undefined && verdict > 0 ? answer : undefined,
      service: hasRow ? frames.service[0]! : 0,
      endpoint: draft === 0 ? 0 : words[draft * ROW_WORDS + ENDPOINT]!,
      route: hasRow ? frames.route[0]! : 0,
      outPort: verdict > 0 ? frames.outPort[0]! : 0,
      vtep: verdict > 0 ? frames.vtep[0]! : 0,
      src: isWhole ? frames.s3[0]! : packet.src,
      srcPort: isWhole ? frames.ports[0]! >>> 16 : packet.srcPort,
      dst: draft === 0 ? packet.dst : words[reply + 3]!,
      dstPort: draft === 0 ? packet.dstPort : words[reply + 8]! >>> 16,
      isUnresolved: false,
    };
  }

  return { dp, problems, keyOf: (table, row) => ids.keyOf(table, row) ?? '', send };
}

const NOTHING: Outcome = {
  hasLeft: false,
  isFlooded: false,
  reason: undefined,
  answer: undefined,
  service: 0,
  endpoint: 0,
  route: 0,
  outPort: 0,
  vtep: 0,
  src: 0,
  srcPort: 0,
  dst: 0,
  dstPort: 0,
  isUnresolved: false,
};

function strangerObject(nodeName: string, ip: number): Pod {
  const podIP = formatIpv4(ip);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: NOWHERE, name: podIP },
    spec: { nodeName, containers: [] },
    status: { podIP },
  };
}
