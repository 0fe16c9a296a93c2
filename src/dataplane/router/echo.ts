/**
 * The router answers pings to its own address, in place. RFC 792, RFC 1812 §4.3.3.6. Nothing else is served there.
 */
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';
import { load, store, update16 } from '../../wire/checksum.js';
import type { Dataplane } from '../dataplane.js';
import { CONTINUE, DROP_NOT_FOR_ROUTER } from '../verdict.js';

const TTL = 64;

export function answerEcho({ frames }: Pick<Dataplane, 'frames'>, f: number): number {
  const { v, b } = frames;
  const l3 = frames.l3[f]!;
  const l4 = frames.l4[f]!;
  if (frames.proto[f] !== ipv4.ICMP || ipv4.isFragment(v, l3) || icmp.type(v, l4) !== icmp.ECHO_REQUEST)
    return DROP_NOT_FOR_ROUTER;
  store(b, l4 + icmp.CHECKSUM, update16(load(b, l4 + icmp.CHECKSUM), icmp.ECHO_REQUEST, icmp.ECHO_REPLY));
  v.setUint8(l4, icmp.ECHO_REPLY);
  const asker = frames.s3[f]!;
  const asked = frames.d3[f]!;
  v.setInt32(l3 + 12, asked);
  v.setInt32(l3 + 16, asker);
  v.setUint8(l3 + 8, TTL);
  ipv4.writeChecksum(b, l3);
  frames.s3[f] = asked;
  frames.d3[f] = asker;
  frames.event[f] = 0;
  frames.flow[f] = 0;
  return CONTINUE;
}
