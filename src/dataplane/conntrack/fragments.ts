/**
 * Fragments follow their first one: it alone has ports, which the others take from it. RFC 791 §3.2.
 *
 * Dropped by name: a fragment whose first one has not passed, and one that overlaps what has.
 */
import * as ipv4 from '../../wire/ipv4.js';
import * as ethernet from '../../wire/ethernet.js';
import type { Dataplane } from '../dataplane.js';
import { CONTINUE, DROP_FRAGMENT_FIRST_MISSING, DROP_FRAGMENT_OVERLAP } from '../verdict.js';

export function followFragments(
  { frames, fragments, now }: Pick<Dataplane, 'frames' | 'fragments' | 'now'>,
  f: number,
): number {
  const { v } = frames;
  const l3 = frames.l3[f]!;
  if (frames.etherType[f] !== ethernet.TYPE_IPV4 || !ipv4.isFragment(v, l3)) return CONTINUE;
  const offset = ipv4.fragmentOffset(v, l3);
  const segment = frames.segment[f]!;
  const idProto = (ipv4.id(v, l3) << 8) | frames.proto[f]!;
  const row =
    offset === 0
      ? fragments.begin(segment, frames.s3[f]!, frames.d3[f]!, idProto, frames.ports[f]!, now)
      : fragments.find(segment, frames.s3[f]!, frames.d3[f]!, idProto, now);
  if (row === 0) return DROP_FRAGMENT_FIRST_MISSING;
  const end = offset + ipv4.totalLen(v, l3) - ipv4.headerLen(v, l3);
  if (!fragments.pass(row, offset, end)) return DROP_FRAGMENT_OVERLAP;
  frames.ports[f] = fragments.ports[row]!;
  return CONTINUE;
}
