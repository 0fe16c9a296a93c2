/**
 * The router: where does a packet go, may it, and by which port? RFC 1812 §5.
 *
 * A bridged frame passes by. A routed one is looked up by its destination (or follows the route its flow remembers), is
 * refused with a name where it cannot go on, loses a TTL, and gets the MAC addresses of its next hop.
 *
 * Destinations inside the pod and Service networks never go to the host's kernel: it would hand them back.
 *
 * Not here: fragmentation. A packet larger than the way out is answered with its MTU, also when DF is not set.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import { HEADER_LEN as UDP_HEADER_LEN } from '../../wire/udp.js';
import { PORT_HOST, PORT_POD } from '../../tables/ports.js';
import {
  ROUTE_HOST,
  ROUTE_LOCAL,
  ROUTE_REFUSE,
  ROUTE_SELF,
  ROUTE_UNREACHABLE,
  ROUTE_VTEP,
} from '../../tables/routes.js';
import { TO_ROUTER } from '../bridge/bridge.js';
import type { Dataplane } from '../dataplane.js';
import { GSO_NONE, GSO_TCPV4 } from '../frames.js';
import {
  CONTINUE,
  DROP_BACK_TO_HOST,
  DROP_ETHERTYPE,
  DROP_IPV6,
  DROP_MARTIAN,
  DROP_MULTICAST,
  DROP_NO_ROUTE,
  DROP_NO_SUCH_NODE,
  DROP_NO_SUCH_POD,
  DROP_NO_SUCH_SERVICE,
  DROP_TOO_BIG,
  DROP_TTL_EXCEEDED,
} from '../verdict.js';
import { answerEcho } from './echo.js';

type Parts = Pick<Dataplane, 'frames' | 'ports' | 'segments' | 'routes' | 'neighbors' | 'vteps'>;

export function route(dp: Parts, f: number): number {
  const { frames, ports, segments, routes } = dp;
  if (frames.outPort[f] !== TO_ROUTER) return CONTINUE;
  const etherType = frames.etherType[f]!;
  if (etherType !== ethernet.TYPE_IPV4) return etherType === ethernet.TYPE_IPV6 ? DROP_IPV6 : DROP_ETHERTYPE;
  const { v, b } = frames;
  const l3 = frames.l3[f]!;
  const segment = frames.segment[f]!;

  const dst = frames.d3[f]!;
  const isOurs = isSteered(dp, f);
  // 224.0.0.0/3 holds multicast, reserved addresses and the limited broadcast; 0.0.0.0/8 and loopback never are on a wire.
  if (dst >>> 29 === 7 || dst >>> 24 === 0) return DROP_MULTICAST;
  // But answers go back to the host's program that asked 127.0.0.1:NODEPORT.
  if (dst >>> 24 === 127 && !isOurs && frames.flow[f] === 0) return DROP_MULTICAST;
  if (frames.flow[f] === 0 && !isSenderPossible(dp, f)) return DROP_MARTIAN;

  let row = frames.route[f]!;
  if (row === 0) row = routes.lookup(segment, frames.d0[f]!, frames.d1[f]!, frames.d2[f]!, frames.d3[f]!);
  if (row === 0) return DROP_NO_ROUTE;
  frames.route[f] = row;
  const kind = routes.kind[row]!;
  if (kind === ROUTE_SELF) return answerEcho(dp, f) || originate(dp, f);

  // The gateway address is the host's own: delivered, not forwarded. RFC 1812 §5.2.3.
  const isDelivered = dst === segments.gatewayIp[segment] || isOurs;
  if (!isDelivered && ipv4.ttl(v, l3) <= 1) return DROP_TTL_EXCEEDED;
  if (kind === ROUTE_UNREACHABLE) return DROP_NO_SUCH_NODE;
  if (kind === ROUTE_REFUSE) return DROP_NO_SUCH_SERVICE;
  // Translated it may: to an endpoint outside, or back to the host's own program.
  const isTranslated = (frames.flow[f] || frames.draft[f] || frames.related[f]) !== 0;
  if (kind === ROUTE_HOST && ports.kind[frames.inPort[f]!] === PORT_HOST && !isTranslated && !isOurs)
    return DROP_BACK_TO_HOST;

  const verdict = resolve(dp, f, row);
  if (verdict !== CONTINUE) return verdict;
  if (wireLen(dp, f) > ports.mtu[frames.outPort[f]!]!) return DROP_TOO_BIG;
  if (!isDelivered) ipv4.decrementTtl(b, l3);
  return CONTINUE;
}

/** Send a packet of the router's own: no TTL is lost, no MTU checked. */
export function originate(dp: Parts, f: number): number {
  const { frames, routes } = dp;
  const row = routes.lookup(frames.segment[f]!, frames.d0[f]!, frames.d1[f]!, frames.d2[f]!, frames.d3[f]!);
  return row === 0 ? DROP_NO_ROUTE : resolve(dp, f, row);
}

/** From a route to a port and the MAC addresses of the next hop. */
function resolve(dp: Parts, f: number, row: number): number {
  const { frames, ports, segments, routes, neighbors, vteps } = dp;
  const { v } = frames;
  const l2 = frames.l2[f]!;
  const segment = frames.segment[f]!;
  switch (routes.kind[row]) {
    case ROUTE_LOCAL: {
      const neighbor = neighbors.find(segment, frames.d0[f]!, frames.d1[f]!, frames.d2[f]!, frames.d3[f]!);
      if (neighbor === 0) return DROP_NO_SUCH_POD;
      frames.outPort[f] = neighbors.port[neighbor]!;
      ethernet.setDst(v, l2, neighbors.macHi[neighbor]!, neighbors.macLo[neighbor]!);
      ethernet.setSrc(v, l2, segments.routerMacHi[segment]!, segments.routerMacLo[segment]!);
      return CONTINUE;
    }
    case ROUTE_VTEP: {
      const vtep = routes.target[row]!;
      const port = segments.tunnelPort[segment]!;
      if (vteps.port[vtep] === 0 || port === 0) return DROP_NO_SUCH_NODE;
      frames.outPort[f] = port;
      frames.vtep[f] = vtep;
      ethernet.setDst(v, l2, vteps.macHi[vtep]!, vteps.macLo[vtep]!);
      ethernet.setSrc(v, l2, ports.macHi[port]!, ports.macLo[port]!);
      return CONTINUE;
    }
    case ROUTE_HOST: {
      const port = routes.target[row]!;
      frames.outPort[f] = port;
      ethernet.setDst(v, l2, ports.macHi[port]!, ports.macLo[port]!);
      ethernet.setSrc(v, l2, segments.routerMacHi[segment]!, segments.routerMacLo[segment]!);
      return CONTINUE;
    }
    default:
      return DROP_NO_ROUTE;
  }
}

/**
 * RFC 1812 §5.3.7: no multicast, broadcast or loopback as sender; and none of our pods from outside of their ports. The host's
 * loopback may send where its address does not go out: it is translated, or the packet is handed up again.
 */
function isSenderPossible({ frames, ports, routes }: Parts, f: number): boolean {
  const src = frames.s3[f]!;
  if (src >>> 29 === 7 || src === 0) return false;
  const kind = ports.kind[frames.inPort[f]!];
  if (src >>> 24 === 127)
    return kind === PORT_HOST && (frames.needsSnat[f] !== 0 || frames.d3[f]! >>> 24 === 127);
  if (kind === PORT_POD) return true;
  const row = routes.lookup(frames.segment[f]!, frames.s0[f]!, frames.s1[f]!, frames.s2[f]!, src);
  return row === 0 || (routes.kind[row] !== ROUTE_LOCAL && routes.kind[row] !== ROUTE_SELF);
}

/**
 * Whether the host's kernel sent us a packet that is for the host itself: it steers whole ranges of ports here, and what no
 * Service and no flow wanted is for one of the host's programs. Never ICMP: that has been with the kernel already.
 */
function isSteered({ frames, ports, segments }: Parts, f: number): boolean {
  if (ports.kind[frames.inPort[f]!] !== PORT_HOST) return false;
  const proto = frames.proto[f]!;
  if (proto !== ipv4.TCP && proto !== ipv4.UDP) return false;
  const dst = frames.d3[f]!;
  return dst === segments.nodeIp[frames.segment[f]!] || dst >>> 24 === 127;
}

/** Bytes of the largest IP packet that a frame puts on the wire. */
function wireLen({ frames }: Pick<Dataplane, 'frames'>, f: number): number {
  const l2Len = frames.l3[f]! - frames.l2[f]!;
  const gso = frames.gso[f]!;
  if (gso === GSO_NONE) return frames.len[f]! - l2Len;
  const l4 = frames.l4[f]!;
  const headers = l4 - frames.l3[f]! + (gso === GSO_TCPV4 ? tcp.headerLen(frames.v, l4) : UDP_HEADER_LEN);
  return Math.min(headers + frames.gsoSize[f]!, frames.len[f]! - l2Len);
}
