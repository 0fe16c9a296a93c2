/**
 * Nothing that the router translates may pass for this host's own tunnel traffic.
 *
 * A VTEP is known by its address alone, and a masqueraded datagram carries the host's. So a pod (or anybody else, by way of a
 * Service whose endpoint is a node) could put frames into the overlay of another host, from any pod's address, past its source
 * guard and its policies. What would leave with the host's address for a VTEP's tunnel port is dropped. With its own address
 * a pod's datagram may go there: no host takes it for a VTEP's.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { PORT_HOST } from '../../tables/ports.js';
import type { Dataplane } from '../dataplane.js';
import { CONTINUE, DROP_TUNNEL_FORGED } from '../verdict.js';

export function tunnelGuard(
  { frames, ports, segments, vteps }: Pick<Dataplane, 'frames' | 'ports' | 'segments' | 'vteps'>,
  f: number,
): number {
  if (ports.kind[frames.outPort[f]!] !== PORT_HOST || frames.proto[f] !== ipv4.UDP) return CONTINUE;
  const segment = frames.segment[f]!;
  return frames.etherType[f] === ethernet.TYPE_IPV4 &&
    (frames.ports[f]! & 0xffff) === ports.udpPort[segments.tunnelPort[segment]!] &&
    frames.s3[f] === segments.nodeIp[segment] &&
    vteps.find(frames.d0[f]!, frames.d1[f]!, frames.d2[f]!, frames.d3[f]!) !== 0
    ? DROP_TUNNEL_FORGED
    : CONTINUE;
}
