/**
 * Conntrack, first half: which flow is this packet of? Known: one look-up, its state moves on, and what it remembers
 * (the route) is in the frame's columns. Unknown: `event` says what {@link confirm} shall do once the packet has passed.
 *
 * ICMP errors belong to the flow of the packet they quote (RFC 792; RFC 5508 §4); one that quotes no known flow is dropped,
 * as is a reply that nobody asked for.
 *
 * Not tracked: what is neither IPv4 nor addressed to one receiver.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import { V4_MAPPED } from '../../wire/address.js';
import {
  ENDPOINT,
  ENDPOINT_EPOCH,
  FLAGS,
  FLAG_REPLIED,
  FROM_INI,
  ROUTE,
  ROUTE_EPOCH,
  ROW_WORDS,
  SEEN_MS,
  STATE,
  TIMEOUT_MS,
  CLOSED,
  REPLIED,
  TIME_WAIT,
  UNREPLIED,
} from '../../tables/conntrack.js';
import type { Dataplane } from '../dataplane.js';
import { ENDPOINT_READY } from '../../tables/services.js';
import { CONTINUE, DROP_ENDPOINT_GONE, DROP_ICMP_UNASKED, DROP_ICMP_UNRELATED } from '../verdict.js';
import { finFlag, firstTcpState, nextTcpState, timeoutMs } from './states.js';

type Parts = Pick<Dataplane, 'frames' | 'conntrack' | 'routes' | 'endpoints' | 'now'>;

/** In `event`: make a row in this state (1..), once the packet has passed. */
const NO_EVENT = 0;

export function track(dp: Parts, f: number): number {
  const { frames, conntrack, now } = dp;
  const { v } = frames;
  if (frames.etherType[f] !== ethernet.TYPE_IPV4 || ethernet.isGroup(v, frames.l2[f]!)) return CONTINUE;
  const proto = frames.proto[f]!;
  const l3 = frames.l3[f]!;
  const l4 = frames.l4[f]!;
  const isFirst = ipv4.fragmentOffset(v, l3) === 0;
  if (proto === ipv4.ICMP && isFirst && icmp.isError(icmp.type(v, l4))) return relateError(dp, f);

  const zone = (frames.segment[f]! << 8) | proto;
  const hash = conntrack.hash(
    frames.s0[f]!,
    frames.s1[f]!,
    frames.s2[f]!,
    frames.s3[f]!,
    frames.d0[f]!,
    frames.d1[f]!,
    frames.d2[f]!,
    frames.d3[f]!,
    frames.ports[f]!,
    zone,
  );
  frames.flowHash[f] = hash;
  const node = conntrack.find(
    hash,
    frames.s0[f]!,
    frames.s1[f]!,
    frames.s2[f]!,
    frames.s3[f]!,
    frames.d0[f]!,
    frames.d1[f]!,
    frames.d2[f]!,
    frames.d3[f]!,
    frames.ports[f]!,
    zone,
    now,
  );
  if (node === 0) return begin(dp, f, isFirst);

  const row = node >> 1;
  const direction = node & 1;
  const at = row * ROW_WORDS;
  const { words } = conntrack;
  if (words[at + ENDPOINT] !== 0) {
    const held = holdEndpoint(dp, row, proto);
    if (held === ENDED) return begin(dp, f, isFirst);
    if (held !== CONTINUE) return held;
  }
  let state = words[at + STATE]!;
  if (proto === ipv4.TCP && isFirst) {
    const flags = tcp.flags(v, l4);
    const isSyn = (flags & (tcp.SYN | tcp.ACK | tcp.RST)) === tcp.SYN;
    if (isSyn && (state === TIME_WAIT || state === CLOSED)) {
      // The same ports again: a new flow, whoever begins it.
      conntrack.remove(row);
      return begin(dp, f, isFirst);
    }
    if ((flags & tcp.FIN) !== 0) words[at + FLAGS]! |= finFlag(direction);
    state = nextTcpState(state, flags, direction, words[at + FLAGS]! & ~FLAG_REPLIED);
  } else if (direction !== FROM_INI && state === UNREPLIED) state = REPLIED;
  if (direction !== FROM_INI) words[at + FLAGS]! |= FLAG_REPLIED;
  if (state !== words[at + STATE]) {
    words[at + STATE] = state;
    words[at + TIMEOUT_MS] = timeoutMs(state, proto);
  }
  words[at + SEEN_MS] = now;
  frames.flow[f] = row;
  frames.direction[f] = direction;
  if (words[at + ROUTE_EPOCH + direction] === dp.routes.epoch[0])
    frames.route[f] = words[at + ROUTE + direction]!;
  return CONTINUE;
}

/** From {@link holdEndpoint}: the flow is over, and its packet may begin another. */
const ENDED = 1;

/**
 * Whether a translated flow may keep its endpoint. One that only drains ends its UDP flows, so that the next datagram goes elsewhere;
 * one that is gone ends them all, TCP by a reset.
 */
function holdEndpoint({ conntrack, endpoints }: Parts, row: number, proto: number): number {
  const at = row * ROW_WORDS;
  const endpoint = conntrack.words[at + ENDPOINT]!;
  const isGone =
    endpoints.state[endpoint] === 0 || endpoints.epoch[endpoint] !== conntrack.words[at + ENDPOINT_EPOCH];
  if (!isGone && (proto === ipv4.TCP || endpoints.state[endpoint] === ENDPOINT_READY)) return CONTINUE;
  const state = conntrack.words[at + STATE];
  conntrack.remove(row);
  return proto === ipv4.TCP && state !== CLOSED && state !== TIME_WAIT ? DROP_ENDPOINT_GONE : ENDED;
}

/** A packet of no known flow: what would it begin? */
function begin({ frames }: Parts, f: number, isFirst: boolean): number {
  const { v } = frames;
  const l4 = frames.l4[f]!;
  const proto = frames.proto[f]!;
  frames.event[f] = UNREPLIED;
  if (!isFirst) frames.event[f] = NO_EVENT;
  else if (proto === ipv4.TCP) frames.event[f] = firstTcpState(tcp.flags(v, l4));
  else if (proto === ipv4.ICMP) {
    const type = icmp.type(v, l4);
    // Echo, timestamp and address mask come as request and reply. RFC 792, RFC 950.
    if (type === icmp.ECHO_REPLY || type === 14 || type === 18) return DROP_ICMP_UNASKED;
  }
  return CONTINUE;
}

/** An ICMP error passes when it quotes a packet of a known flow, and goes to who sent that packet. */
function relateError({ frames, conntrack, now }: Parts, f: number): number {
  const { v } = frames;
  const quoted = frames.l4[f]! + icmp.HEADER_LEN;
  const room = frames.l2[f]! + frames.headLen[f]! - quoted;
  if (room < ipv4.MIN_HEADER_LEN || v.getUint8(quoted) >>> 4 !== 4) return DROP_ICMP_UNRELATED;
  const headerLen = ipv4.headerLen(v, quoted);
  // An error quotes at least 8 bytes behind the header: the ports.
  if (headerLen < ipv4.MIN_HEADER_LEN || room < headerLen + 8) return DROP_ICMP_UNRELATED;
  const proto = ipv4.proto(v, quoted);
  const l4 = quoted + headerLen;
  let ports = 0;
  if (proto === ipv4.TCP || proto === ipv4.UDP) ports = v.getInt32(l4);
  else if (proto === ipv4.ICMP) ports = (icmp.id(v, l4) << 16) | icmp.id(v, l4);
  const src = ipv4.src(v, quoted);
  const dst = ipv4.dst(v, quoted);
  if (src !== frames.d3[f]) return DROP_ICMP_UNRELATED;
  // The packet turned round: the error takes the way of its answer, and is translated as that would be.
  ports = (ports << 16) | (ports >>> 16);
  const zone = (frames.segment[f]! << 8) | proto;
  const hash = conntrack.hash(0, 0, V4_MAPPED, dst, 0, 0, V4_MAPPED, src, ports, zone);
  const node = conntrack.find(hash, 0, 0, V4_MAPPED, dst, 0, 0, V4_MAPPED, src, ports, zone, now);
  frames.flowHash[f] = hash;
  frames.related[f] = node;
  return node === 0 ? DROP_ICMP_UNRELATED : CONTINUE;
}
