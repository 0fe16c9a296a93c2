/**
 * Refuse a TCP connection at once: a reset in the name of whom the segment was meant for. RFC 9293 §3.10.7.1.
 *
 * The row of the segment becomes the reset's, as with `icmp-error.ts`.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import { finish, pseudoIpv4, store, sum } from '../../wire/checksum.js';
import { EVENT_TCP_RESETS } from '../../tables/counters.js';
import type { Dataplane } from '../dataplane.js';
import { CSUM_GOOD, FRAME_PHASE, GSO_NONE } from '../frames.js';
import { DROP_ENDPOINT_GONE, DROP_NO_ENDPOINTS, DROP_NO_ROOM } from '../verdict.js';
import { originate } from './router.js';

const TTL = 64;
const L3_LEN = ipv4.MIN_HEADER_LEN + tcp.MIN_HEADER_LEN;
/** Written anew for each reset, so that none is made for it. */
const header = { totalLen: L3_LEN, ttl: TTL, proto: ipv4.TCP, src: 0, dst: 0, flags: ipv4.FLAG_DF };

/** Whether a dropped frame is a TCP segment that is owed a reset. A reset is never answered by another. */
export function isResetDue({ frames }: Pick<Dataplane, 'frames'>, f: number, verdict: number): boolean {
  return (
    (verdict === DROP_NO_ENDPOINTS || verdict === DROP_ENDPOINT_GONE) &&
    frames.proto[f] === ipv4.TCP &&
    ipv4.fragmentOffset(frames.v, frames.l3[f]!) === 0 &&
    (tcp.flags(frames.v, frames.l4[f]!) & tcp.RST) === 0
  );
}

/** Turn the segment into the reset that answers it. @returns 0, or why the reset was dropped */
export function tcpReset(dp: Dataplane, f: number): number {
  const { frames, counters } = dp;
  const { v, b } = frames;
  // From here on the row is the reset's: one packet, whatever the segment stood for.
  frames.packets[f] = 1;
  counters.events[EVENT_TCP_RESETS]!++;
  const l4 = frames.l4[f]!;
  const flags = tcp.flags(v, l4);
  const payload = frames.len[f]! - (l4 - frames.l2[f]!) - tcp.headerLen(v, l4);
  const taken = payload + ((flags & tcp.SYN) !== 0 ? 1 : 0) + ((flags & tcp.FIN) !== 0 ? 1 : 0);
  const hasAck = (flags & tcp.ACK) !== 0;
  const seq = hasAck ? tcp.ack(v, l4) : 0;
  const ack = hasAck ? 0 : (tcp.seq(v, l4) + taken) >>> 0;
  const l2 = frames.alloc(ethernet.HEADER_LEN + L3_LEN, FRAME_PHASE);
  if (l2 < 0) return DROP_NO_ROOM;
  const l3 = l2 + ethernet.HEADER_LEN;
  const at = l3 + ipv4.MIN_HEADER_LEN;
  const src = frames.d3[f]!;
  const dst = frames.s3[f]!;
  ethernet.setType(v, l2, ethernet.TYPE_IPV4);
  header.src = src;
  header.dst = dst;
  ipv4.write(v, b, l3, header);
  v.setInt32(at, (frames.ports[f]! << 16) | (frames.ports[f]! >>> 16));
  tcp.setSeq(v, at, seq);
  v.setUint32(at + 8, ack);
  v.setUint16(at + 12, (tcp.MIN_HEADER_LEN << 10) | tcp.RST | (hasAck ? 0 : tcp.ACK));
  v.setUint32(at + 14, 0);
  v.setUint16(at + 18, 0);
  store(
    b,
    at + tcp.CHECKSUM,
    finish(pseudoIpv4(b, l3, ipv4.TCP, tcp.MIN_HEADER_LEN) + sum(b, at, tcp.MIN_HEADER_LEN)),
  );

  frames.l2[f] = l2;
  frames.l3[f] = l3;
  frames.l4[f] = at;
  frames.len[f] = frames.headLen[f] = ethernet.HEADER_LEN + L3_LEN;
  frames.pieces[f] = 0;
  frames.headroom[f] = 0;
  frames.gso[f] = GSO_NONE;
  frames.csum[f] = CSUM_GOOD;
  frames.ports[f] = (frames.ports[f]! << 16) | (frames.ports[f]! >>> 16);
  frames.s3[f] = src;
  frames.d3[f] = dst;
  frames.flow[f] = 0;
  frames.event[f] = 0;
  return originate(dp, f);
}
