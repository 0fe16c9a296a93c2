/**
 * Source guard: a pod speaks only for itself. Its frames carry its own MAC address, its packets its own IP address, and by
 * ARP it claims neither another's MAC nor another's IP address.
 */
import * as arp from '../../wire/arp.js';
import * as ethernet from '../../wire/ethernet.js';
import { PORT_GUARDED } from '../../tables/ports.js';
import type { Dataplane } from '../dataplane.js';
import {
  CONTINUE,
  DROP_IPV6,
  DROP_MALFORMED_ARP,
  DROP_SOURCE_IP,
  DROP_SOURCE_MAC,
  DROP_SPOOFED_ARP,
} from '../verdict.js';

export function sourceGuard({ frames, ports }: Pick<Dataplane, 'frames' | 'ports'>, f: number): number {
  const port = frames.inPort[f]!;
  if ((ports.flags[port]! & PORT_GUARDED) === 0) return CONTINUE;
  const { v } = frames;
  const l2 = frames.l2[f]!;
  if (ethernet.srcLo(v, l2) !== ports.macLo[port] || ethernet.srcHi(v, l2) !== ports.macHi[port])
    return DROP_SOURCE_MAC;
  const etherType = frames.etherType[f]!;
  if (etherType === ethernet.TYPE_IPV4) return frames.s3[f] === ports.ip[port] ? CONTINUE : DROP_SOURCE_IP;
  if (etherType === ethernet.TYPE_ARP) {
    const l3 = frames.l3[f]!;
    if (!arp.check(v, l3, frames.headLen[f]! - ethernet.HEADER_LEN)) return DROP_MALFORMED_ARP;
    // 0.0.0.0 is a probe: "does anybody have this address?" RFC 5227 §2.1.1.
    const ip = arp.senderIp(v, l3);
    return (ip === ports.ip[port] || ip === 0) &&
      arp.senderMacLo(v, l3) === ports.macLo[port] &&
      arp.senderMacHi(v, l3) === ports.macHi[port]
      ? CONTINUE
      : DROP_SPOOFED_ARP;
  }
  // Whose IPv6 address it is can not be told before IPv6 has its place in the tables.
  return etherType === ethernet.TYPE_IPV6 ? DROP_IPV6 : CONTINUE;
}
