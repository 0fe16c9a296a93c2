/**
 * Objects → tables, a host's own part: ports, segments, neighbors, VTEPs and routes. One function a table, each adds its rows.
 * What follows from Services is in `services.ts`; `compiler.ts` puts both together.
 *
 * Objects that cannot be compiled (a node without a usable pod CIDR, a VTEP of another network) are left out and named in
 * `problems`; nothing here throws on an object.
 */
import {
  FLANNEL_BACKEND_DATA,
  FLANNEL_PUBLIC_IP,
  type ClusterView,
  type Node,
  type Pod,
} from '../api/types.js';
import { labSpec } from '../api/lab.js';
import { PORT_GUARDED, PORT_CAPTURED, PORT_HOST, PORT_POD, PORT_TUNNEL } from '../tables/ports.js';
import {
  ROUTE_HOST,
  ROUTE_LOCAL,
  ROUTE_REFUSE,
  ROUTE_SELF,
  ROUTE_UNREACHABLE,
  ROUTE_VTEP,
} from '../tables/routes.js';
import { SEGMENT_ROUTED } from '../tables/segments.js';
import {
  formatCidr,
  formatIpv4,
  macOfIpv4,
  parseCidr,
  parseIpv4,
  parseMac,
  V4_MAPPED,
  type Cidr,
  type Mac,
} from '../wire/address.js';
import { OVERHEAD } from '../wire/vxlan.js';
import type { Ids, Part } from './image.js';
import type { NodeAddresses } from './node-addresses.js';
import { nodeIps } from './services.js';

/** A port as its driver opened it. */
export interface OpenPort {
  /** What the driver knows it by. */
  readonly handle: number;
  /** OFFLOAD_* bits of what its receiver takes. */
  readonly offload: number;
  /** Somebody captures on it. */
  readonly isCaptured: boolean;
}

export interface CompileInput {
  readonly view: ClusterView;
  /** The name of our node. */
  readonly node: string;
  readonly host?: OpenPort;
  readonly tunnel?: OpenPort;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, OpenPort>;
}

/** Keys of rows that every host has once. */
export const SEGMENT = 'cni0';
export const HOST_PORT_KEY = 'pw0';
export const TUNNEL_PORT_KEY = 'vxlan';
export const podPortKey = (pod: string): string => `pod ${pod}`;

/** Bytes of an IP packet that pods may send: the underlay's MTU less the tunnel's headers. */
export const podMtu = (underlayMtu: number): number => underlayMtu - OVERHEAD;

interface Context {
  readonly input: CompileInput;
  readonly self: NodeAddresses;
  readonly ids: Ids;
  readonly part: Part;
  /** Pods of our node. */
  readonly own: readonly Pod[];
  readonly problems: string[];
  readonly mtu: number;
  /** Who has what only one may have: `what it is` → whose. */
  readonly owners: Map<string, string>;
}

/** Claim for `owner` what only one may have. @returns whose it is already, or undefined */
function claim({ owners }: Context, what: string, owner: string): string | undefined {
  const before = owners.get(what);
  if (before === undefined) owners.set(what, owner);
  return before;
}

/** What a host's own part is made from. */
export interface HostInput {
  readonly input: CompileInput;
  readonly self: NodeAddresses;
  /** Pods of our node. */
  readonly own: readonly Pod[];
}

/** @returns what could not be compiled, in words */
export function compileHost(from: HostInput, ids: Ids, part: Part): string[] {
  const problems: string[] = [];
  const mtu = podMtu(labSpec(from.input.view.lab).underlay.mtu);
  const context: Context = { ...from, ids, part, problems, mtu, owners: new Map() };
  compileSegments(context);
  compilePorts(context);
  compileNeighbors(context);
  compileVtepsAndRoutes(context);
  return problems;
}

function compileSegments({ input, self, ids, part }: Context): void {
  const us = input.view.nodes.find((node) => node.metadata.name === input.node);
  const tunnelPort = input.tunnel ? ids.of('ports', TUNNEL_PORT_KEY) : 0;
  part.set(
    'segments',
    SEGMENT,
    Int32Array.of(
      SEGMENT_ROUTED,
      self.routerMac.hi,
      self.routerMac.lo,
      self.router,
      self.gateway,
      tunnelPort,
      input.host ? (nodeIps(us)[0] ?? 0) : 0,
    ),
  );
}

function compilePorts({ input, self, own, ids, part, mtu }: Context): void {
  const segment = ids.of('segments', SEGMENT);
  const { vni, port: udpPort } = labSpec(input.view.lab).backend;
  const put = (key: string, kind: number, port: OpenPort, mac: Mac, ip: number, guarded: boolean): void => {
    const flags = (guarded ? PORT_GUARDED : 0) | (port.isCaptured ? PORT_CAPTURED : 0);
    ids.of('ports', key);
    part.set(
      'ports',
      key,
      Int32Array.of(
        kind,
        segment,
        port.handle,
        mac.hi,
        mac.lo,
        ip,
        mtu,
        port.offload,
        flags,
        kind === PORT_TUNNEL ? vni : 0,
        kind === PORT_TUNNEL ? udpPort : 0,
      ),
    );
  };
  if (input.host) put(HOST_PORT_KEY, PORT_HOST, input.host, self.gatewayMac, self.gateway, false);
  if (input.tunnel) put(TUNNEL_PORT_KEY, PORT_TUNNEL, input.tunnel, self.vtepMac, 0, false);
  for (const [pod, ip] of localPods(own)) {
    const port = input.pods.get(pod);
    if (port) put(podPortKey(pod), PORT_POD, port, macOfIpv4(ip), ip, true);
  }
}

function compileNeighbors(context: Context): void {
  const { input, own, ids, part, problems } = context;
  const segment = ids.of('segments', SEGMENT);
  for (const [pod, ip] of localPods(own)) {
    if (!input.pods.has(pod)) continue;
    const owner = claim(context, `pod ${ip}`, pod);
    if (owner !== undefined) {
      problems.push(`Cannot reach pod "${pod}": its address ${formatIpv4(ip)} is that of pod "${owner}"`);
      continue;
    }
    const mac = macOfIpv4(ip);
    part.set(
      'neighbors',
      pod,
      Int32Array.of(segment, 0, 0, V4_MAPPED, ip, ids.of('ports', podPortKey(pod)), mac.hi, mac.lo),
    );
  }
}

function compileVtepsAndRoutes(context: Context): void {
  const { input, self, ids, part, problems } = context;
  const spec = labSpec(input.view.lab);
  const segment = ids.of('segments', SEGMENT);
  const route = (key: string, kind: number, cidr: Cidr, target = 0): void => {
    part.set('routes', key, Int32Array.of(kind, segment, 0, 0, V4_MAPPED, cidr.base, 96 + cidr.bits, target));
  };
  const whole = (text: string): Cidr => parseCidr(text) ?? { base: 0, bits: 32 };

  if (input.host) {
    const host = ids.of('ports', HOST_PORT_KEY);
    route('default', ROUTE_HOST, { base: 0, bits: 0 }, host);
    route('gateway', ROUTE_HOST, { base: self.gateway, bits: 32 }, host);
  }
  route('podCIDR', ROUTE_UNREACHABLE, whole(spec.podCIDR));
  route('serviceCIDR', ROUTE_REFUSE, whole(spec.serviceCIDR));
  route(`node ${input.node}`, ROUTE_LOCAL, self.cidr);
  route('router', ROUTE_SELF, { base: self.router, bits: 32 });

  if (!input.tunnel) return;
  const tunnel = ids.of('ports', TUNNEL_PORT_KEY);
  const us = input.view.nodes.find((node) => node.metadata.name === input.node);
  claim(context, `vtep ${us && addressOf(us)}`, input.node);
  claim(context, `podCIDR ${formatCidr(self.cidr)}`, input.node);
  const peers = input.view.nodes.filter((node) => node !== us && node.spec?.podCIDR !== undefined);
  for (const node of peers.sort(byClaim)) {
    const { name } = node.metadata;
    const peer = peerOf(node, spec.backend.vni);
    const problem = typeof peer === 'string' ? peer : claimPeer(context, name, peer);
    if (typeof peer === 'string' || problem !== undefined) {
      problems.push(`Cannot reach the pods of node "${name}": ${problem}`);
      continue;
    }
    part.set('vteps', name, Int32Array.of(tunnel, 0, 0, V4_MAPPED, peer.address, peer.mac.hi, peer.mac.lo));
    route(`node ${name}`, ROUTE_VTEP, peer.cidr, ids.of('vteps', name));
  }
}

/** Of two that claim one thing it is always the same that gets it: who is not down, then by name. */
function byClaim(a: Node, b: Node): number {
  const isDown = (node: Node): number =>
    Number(
      node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status !== 'True') ?? false,
    );
  return isDown(a) - isDown(b) || (a.metadata.name < b.metadata.name ? -1 : 1);
}

interface Peer {
  readonly address: number;
  readonly mac: Mac;
  readonly cidr: Cidr;
}

/** Why a peer cannot have the address or the pods that it says it has: somebody else has them. */
function claimPeer(context: Context, name: string, { address, cidr }: Peer): string | undefined {
  const vtep = claim(context, `vtep ${address}`, name);
  if (vtep !== undefined) return `its address ${formatIpv4(address)} is that of node "${vtep}"`;
  const pods = claim(context, `podCIDR ${formatCidr(cidr)}`, name);
  return pods === undefined ? undefined : `its podCIDR ${formatCidr(cidr)} is that of node "${pods}"`;
}

/** A node's underlay address. */
function addressOf(node: Node): number | undefined {
  const internal = node.status?.addresses?.find((one) => one.type === 'InternalIP')?.address;
  return parseIpv4(node.metadata.annotations?.[FLANNEL_PUBLIC_IP] ?? internal ?? '');
}

/** What flannel's annotations say of a node's VTEP, or why they do not. */
function peerOf(node: Node, vni: number): Peer | string {
  const annotations = node.metadata.annotations ?? {};
  const address = addressOf(node);
  if (address === undefined) return `it has no annotation ${FLANNEL_PUBLIC_IP} and no IPv4 address`;
  const text = annotations[FLANNEL_BACKEND_DATA];
  let data: { VNI?: unknown; VtepMAC?: unknown } = {};
  try {
    data = JSON.parse(text ?? '{}') as typeof data;
  } catch {
    return `its annotation ${FLANNEL_BACKEND_DATA} is not JSON`;
  }
  if (data.VNI !== undefined && data.VNI !== vni) return `its VNI is ${String(data.VNI)}, ours ${vni}`;
  const cidr = parseCidr(node.spec?.podCIDR ?? '');
  if (!cidr) return `its podCIDR "${node.spec?.podCIDR}" is no IPv4 prefix`;
  const mac = typeof data.VtepMAC === 'string' ? parseMac(data.VtepMAC) : undefined;
  return mac ? { address, mac, cidr } : `its annotation ${FLANNEL_BACKEND_DATA} has no VtepMAC`;
}

/** Pods of our node that have an IPv4 address of ours: `namespace/name` and the address, by name. */
function localPods(own: readonly Pod[]): [string, number][] {
  return own
    .filter((pod) => !pod.spec.hostNetwork)
    .map(
      (pod) =>
        [`${pod.metadata.namespace}/${pod.metadata.name}`, parseIpv4(pod.status?.podIP ?? '')] as const,
    )
    .flatMap(([pod, ip]): [string, number][] => (ip === undefined ? [] : [[pod, ip]]))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
