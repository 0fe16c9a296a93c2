/**
 * Congestion that the underlay marked on the outer header reaches the pod by the inner one. RFC 6040 §4.2, figure 4:
 *
 * | inner \ outer | Not-ECT | ECT(0) | ECT(1)     | CE       |
 * |---            |---      |---     |---         |---       |
 * | Not-ECT       | as it is| as it is| as it is  | **drop** |
 * | ECT(0)        | as it is| as it is| **ECT(1)**| **CE**   |
 * | ECT(1)        | as it is| as it is| as it is  | **CE**   |
 * | CE            | as it is| as it is| as it is  | as it is |
 *
 * Not here: the way in. We send every datagram as Not-ECT (§4.1, compatibility mode), so the underlay drops where it
 * would mark; Linux copies the inner field, and its marks come here. IPv6 has no packets yet.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as ipv4 from '../../wire/ipv4.js';
import type { Dataplane } from '../dataplane.js';
import { CONTINUE, DROP_ECN_NOT_CAPABLE } from '../verdict.js';

/**
 * @param l2     byte offset of the inner frame, even
 * @param len    its bytes
 * @param outer  ECN field of the datagram that it came in
 */
export function combineEcn(
  { frames }: Pick<Dataplane, 'frames'>,
  l2: number,
  len: number,
  outer: number,
): number {
  if (outer === ipv4.NOT_ECT || outer === ipv4.ECT_0) return CONTINUE;
  const { v, b } = frames;
  const l3 = l2 + ethernet.HEADER_LEN;
  const isIpv4 =
    ethernet.check(len) &&
    ethernet.type(v, l2) === ethernet.TYPE_IPV4 &&
    ipv4.check(v, l3, len - ethernet.HEADER_LEN);
  if (!isIpv4) return CONTINUE;
  const inner = ipv4.ecn(v, l3);
  if (inner === ipv4.NOT_ECT) return outer === ipv4.CE ? DROP_ECN_NOT_CAPABLE : CONTINUE;
  if (inner !== ipv4.CE && inner !== outer) ipv4.setEcn(b, l3, outer);
  return CONTINUE;
}
