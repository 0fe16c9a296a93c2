/**
 * A datagram from the tunnel's socket: is it VXLAN of our network from one of our peers? RFC 7348 §4, §5.
 *
 * Reserved bits and fields are ignored; the UDP checksum was the kernel's to check. What lies inside is looked at by the
 * same stages as every other frame.
 */
import * as vxlan from '../../wire/vxlan.js';
import * as ethernet from '../../wire/ethernet.js';
import type { Dataplane } from '../dataplane.js';
import {
  CONTINUE,
  DROP_VXLAN_FOREIGN_VNI,
  DROP_VXLAN_NOT_A_VTEP,
  DROP_VXLAN_NO_VNI,
  DROP_VXLAN_SHORT,
} from '../verdict.js';

/**
 * @param at    byte offset of the VXLAN header
 * @param len   bytes of the datagram
 * @param vtep  row of the sender's underlay address, or 0
 */
export function decap(
  { frames, ports }: Pick<Dataplane, 'frames' | 'ports'>,
  port: number,
  at: number,
  len: number,
  vtep: number,
): number {
  if (vtep === 0) return DROP_VXLAN_NOT_A_VTEP;
  if (len < vxlan.HEADER_LEN + ethernet.HEADER_LEN) return DROP_VXLAN_SHORT;
  if (!vxlan.hasVni(frames.v, at)) return DROP_VXLAN_NO_VNI;
  return vxlan.vni(frames.v, at) === ports.vni[port] ? CONTINUE : DROP_VXLAN_FOREIGN_VNI;
}
