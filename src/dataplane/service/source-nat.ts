/**
 * Source NAT of new flows: whose source changes, to what, and with which port. After the route, since that decides the
 * address.
 *
 * - Towards a pod (needed by the Service stage): the router's own address, by which the answer comes back to this router.
 * - From the host's kernel back to it (an endpoint with the host's own network): likewise, under every policy.
 * - To the outside, from a pod: the host's own address (masquerade), with a port of {@link FIRST_PORT}..{@link LAST_PORT}: answers to
 *   those are steered back to us (DESIGN §3), and no program of the host is given one.
 * - A translated flow whose reply tuple is taken (the client speaks to the endpoint directly, from the same port): its own address
 *   with another port.
 */
import * as ipv4 from '../../wire/ipv4.js';
import * as ethernet from '../../wire/ethernet.js';
import { V4_MAPPED } from '../../wire/address.js';
import { FROM_INI, FROM_TGT, ROW_WORDS, TUPLE_WORDS } from '../../tables/conntrack.js';
import { PORT_HOST } from '../../tables/ports.js';
import { ROUTE_HOST, ROUTE_LOCAL, ROUTE_VTEP } from '../../tables/routes.js';
import type { Dataplane } from '../dataplane.js';
import { CONTINUE, DROP_NO_FREE_PORT } from '../verdict.js';

/** Ports of masqueraded flows: outside of ip_local_port_range. */
export const FIRST_PORT = 61000;
export const LAST_PORT = 64999;
/** Ports tried before a flow is refused. */
const TRIES = 128;

type Parts = Pick<Dataplane, 'frames' | 'ports' | 'segments' | 'routes' | 'conntrack' | 'now'>;

export function sourceNat(dp: Parts, f: number): number {
  const { frames, segments, routes, conntrack } = dp;
  if (frames.flow[f] !== 0 || frames.event[f] === 0 || frames.etherType[f] !== ethernet.TYPE_IPV4)
    return CONTINUE;
  const segment = frames.segment[f]!;
  const isOutside = routes.kind[frames.route[f]!] === ROUTE_HOST && isForeign(dp, f);
  const isMasqueraded = isOutside && segments.nodeIp[segment] !== 0 && isPod(dp, f);
  if (frames.draft[f] === 0 && !isMasqueraded) return CONTINUE;

  const draft = frames.draft[f] || newDraft(dp, f);
  frames.draft[f] = draft;
  const { words } = conntrack;
  const reply = draft * ROW_WORDS + FROM_TGT * TUPLE_WORDS;
  const needsSnat = frames.needsSnat[f] !== 0 || comesBack(dp, f);
  const wantsNode = isMasqueraded || (needsSnat && isOutside && segments.nodeIp[segment] !== 0);
  let source = frames.s3[f]!;
  if (wantsNode) source = segments.nodeIp[segment]!;
  else if (needsSnat) source = segments.routerIp[segment]!;
  const port = words[reply + 8]! & 0xffff;
  const range = wantsNode && frames.proto[f] !== ipv4.ICMP ? LAST_PORT - FIRST_PORT + 1 : 0;
  // Its own port first, where any will do; the others in an order that the flow's hash begins.
  for (let i = 0; i < TRIES; i++) {
    const offset = (frames.flowHash[f]! >>> 1) + i;
    const tried = range > 0 ? FIRST_PORT + (offset % range) : i === 0 ? port : 1024 + (offset % 64512);
    setReplyTo(dp, f, draft, source, tried);
    if (!isTaken(dp, draft)) return CONTINUE;
  }
  return DROP_NO_FREE_PORT;
}

/** A row for a flow that only its source changes of. */
function newDraft({ frames, conntrack, now }: Parts, f: number): number {
  const draft = conntrack.take(now);
  const zone = (frames.segment[f]! << 8) | frames.proto[f]!;
  const ports = frames.ports[f]!;
  const s3 = frames.s3[f]!;
  const d3 = frames.d3[f]!;
  conntrack.setTuple(draft, FROM_INI, 0, 0, V4_MAPPED, s3, 0, 0, V4_MAPPED, d3, ports, zone);
  conntrack.setTuple(
    draft,
    FROM_TGT,
    0,
    0,
    V4_MAPPED,
    d3,
    0,
    0,
    V4_MAPPED,
    s3,
    (ports << 16) | (ports >>> 16),
    zone,
  );
  return draft;
}

/** Answers of the flow go to `source` and `port`. */
function setReplyTo(
  { frames, conntrack }: Parts,
  f: number,
  draft: number,
  source: number,
  port: number,
): void {
  const { words } = conntrack;
  const reply = draft * ROW_WORDS + FROM_TGT * TUPLE_WORDS;
  // An echo has one identifier, which stands for both ports.
  const from = frames.proto[f] === ipv4.ICMP ? port : words[reply + 8]! >>> 16;
  conntrack.setTuple(
    draft,
    FROM_TGT,
    words[reply]!,
    words[reply + 1]!,
    words[reply + 2]!,
    words[reply + 3]!,
    0,
    0,
    V4_MAPPED,
    source,
    (from << 16) | port,
    words[reply + 9]!,
  );
}

/** Whether another flow has the draft's reply tuple. */
function isTaken({ conntrack, now }: Parts, draft: number): boolean {
  const { words } = conntrack;
  const t = draft * ROW_WORDS + FROM_TGT * TUPLE_WORDS;
  return (
    conntrack.find(
      conntrack.hashOf(draft, FROM_TGT),
      words[t]!,
      words[t + 1]!,
      words[t + 2]!,
      words[t + 3]!,
      words[t + 4]!,
      words[t + 5]!,
      words[t + 6]!,
      words[t + 7]!,
      words[t + 8]!,
      words[t + 9]!,
      now,
    ) !== 0
  );
}

/**
 * Whether a translated packet came from the host's kernel and goes back to it: to an endpoint in the host's own network, or beyond
 * it. Its answer would find the client without passing here, and come from an address that the client never asked.
 */
const comesBack = ({ frames, ports, routes }: Parts, f: number): boolean =>
  ports.kind[frames.inPort[f]!] === PORT_HOST && routes.kind[frames.route[f]!] === ROUTE_HOST;

/** Whether a packet to the host's kernel goes on from there: neither to the gateway address nor to the host's own. */
function isForeign({ frames, segments }: Parts, f: number): boolean {
  const segment = frames.segment[f]!;
  const dst = frames.d3[f]!;
  return dst !== segments.gatewayIp[segment] && dst !== segments.nodeIp[segment];
}

/** Whether the sender is a pod, of this host or another. */
function isPod({ frames, segments, routes }: Parts, f: number): boolean {
  const segment = frames.segment[f]!;
  const src = frames.s3[f]!;
  if (src === segments.gatewayIp[segment]) return false;
  const kind = routes.kind[routes.lookup(segment, 0, 0, V4_MAPPED, src)];
  return kind === ROUTE_LOCAL || kind === ROUTE_VTEP;
}
