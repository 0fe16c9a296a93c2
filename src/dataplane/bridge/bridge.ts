/**
 * The bridge: learns who is where, and finds the port of a destination, the router, or everybody. IEEE 802.1Q §8.6 – 8.8.
 *
 * What a frame's columns say afterwards: `outPort` is a port, {@link TO_ROUTER} or {@link TO_ALL}. Frames from the host and
 * from the tunnel never see the bridge: their ports lead to the router.
 */
import * as ethernet from '../../wire/ethernet.js';
import { PORT_POD, PORT_TUNNEL } from '../../tables/ports.js';
import { SEGMENT_ROUTED } from '../../tables/segments.js';
import type { Dataplane } from '../dataplane.js';
import {
  CONTINUE,
  DROP_MARTIAN,
  DROP_NOT_FOR_US,
  DROP_SAME_PORT,
  DROP_VLAN_TAGGED,
  DROP_VXLAN_NOT_OUR_MAC,
} from '../verdict.js';

/** In `outPort`: the router of the frame's segment. */
export const TO_ROUTER = -1;
/** In `outPort`: every bridged port of the segment but the one it came in by. */
export const TO_ALL = -2;

export function bridge(
  { frames, ports, segments, fdb, now }: Pick<Dataplane, 'frames' | 'ports' | 'segments' | 'fdb' | 'now'>,
  f: number,
): number {
  const { v } = frames;
  const l2 = frames.l2[f]!;
  const port = frames.inPort[f]!;
  const segment = frames.segment[f]!;
  const isRouted = segments.kind[segment] === SEGMENT_ROUTED;
  // A veth-like pair carries tags as a cable does; a pod network has no VLANs.
  if (frames.etherType[f] === ethernet.TYPE_VLAN && isRouted) return DROP_VLAN_TAGGED;

  const kind = ports.kind[port]!;
  if (kind !== PORT_POD) {
    frames.outPort[f] = TO_ROUTER;
    const hi = kind === PORT_TUNNEL ? ports.macHi[port]! : segments.routerMacHi[segment]!;
    const lo = kind === PORT_TUNNEL ? ports.macLo[port]! : segments.routerMacLo[segment]!;
    if (ethernet.dstLo(v, l2) === lo && ethernet.dstHi(v, l2) === hi) return CONTINUE;
    if (kind === PORT_TUNNEL) return DROP_VXLAN_NOT_OUR_MAC;
    // The host's kernel asks for nobody; what else it sends (multicast of mDNS and the like) is not for us.
    return DROP_NOT_FOR_US;
  }

  // A group address as source is forged. IEEE 802.3 §3.2.3.
  if ((ethernet.srcHi(v, l2) & 0x0100) !== 0) return DROP_MARTIAN;
  fdb.learn(segment, ethernet.srcHi(v, l2), ethernet.srcLo(v, l2), port, now);

  if (ethernet.isGroup(v, l2)) {
    frames.outPort[f] = TO_ALL;
    return CONTINUE;
  }
  const hi = ethernet.dstHi(v, l2);
  const lo = ethernet.dstLo(v, l2);
  if (isRouted && lo === segments.routerMacLo[segment] && hi === segments.routerMacHi[segment]) {
    frames.outPort[f] = TO_ROUTER;
    return CONTINUE;
  }
  const out = fdb.find(segment, hi, lo, now);
  if (out === port) return DROP_SAME_PORT;
  frames.outPort[f] = out === 0 ? TO_ALL : out;
  return CONTINUE;
}
