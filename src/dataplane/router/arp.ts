/**
 * The router answers ARP for its segment's gateway address and for its own address. RFC 826.
 *
 * A request for anybody else is the bridge's to flood. What came from the host's kernel or the tunnel is never ARP we answer:
 * their neighbors are permanent.
 */
import * as arp from '../../wire/arp.js';
import * as ethernet from '../../wire/ethernet.js';
import { PORT_POD } from '../../tables/ports.js';
import { SEGMENT_ROUTED } from '../../tables/segments.js';
import type { Dataplane } from '../dataplane.js';
import { TO_ROUTER } from '../bridge/bridge.js';
import { CONTINUE, DROP_ETHERTYPE, DROP_MALFORMED_ARP, FORWARD } from '../verdict.js';

export function answerArp(
  { frames, ports, segments }: Pick<Dataplane, 'frames' | 'ports' | 'segments'>,
  f: number,
): number {
  if (frames.etherType[f] !== ethernet.TYPE_ARP) return CONTINUE;
  if (ports.kind[frames.inPort[f]!] !== PORT_POD) return DROP_ETHERTYPE;
  const segment = frames.segment[f]!;
  if (segments.kind[segment] !== SEGMENT_ROUTED) return CONTINUE;
  const { v } = frames;
  const l2 = frames.l2[f]!;
  const l3 = frames.l3[f]!;
  if (!arp.check(v, l3, frames.headLen[f]! - ethernet.HEADER_LEN)) return DROP_MALFORMED_ARP;
  const target = arp.targetIp(v, l3);
  const isOurs = target === segments.gatewayIp[segment] || target === segments.routerIp[segment];
  if (arp.op(v, l3) !== arp.REQUEST || !isOurs)
    return frames.outPort[f] === TO_ROUTER ? DROP_ETHERTYPE : CONTINUE;
  const hi = segments.routerMacHi[segment]!;
  const lo = segments.routerMacLo[segment]!;
  arp.replyInPlace(v, l3, hi, lo);
  ethernet.setDst(v, l2, ethernet.srcHi(v, l2), ethernet.srcLo(v, l2));
  ethernet.setSrc(v, l2, hi, lo);
  frames.outPort[f] = frames.inPort[f]!;
  return FORWARD;
}
