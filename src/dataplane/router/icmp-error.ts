/**
 * The router's ICMP errors: why a routed packet could not go on, told to its sender. RFC 792, RFC 1812 §4.3.2, RFC 1191 §4.
 *
 * The frame that was dropped becomes the error: its row now names a new packet in the arena, from the router's own address,
 * quoting the old one. Errors are never sent about errors, later fragments, group addresses or packets that were bridged
 * (RFC 1812 §4.3.2.7), and no more than {@link PER_MS} a millisecond with bursts of {@link BURST}.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';
import { V4_MAPPED } from '../../wire/address.js';
import { finish, store, sum } from '../../wire/checksum.js';
import { ROW_WORDS, TUPLE_WORDS } from '../../tables/conntrack.js';
import { EVENT_ICMP_ERRORS } from '../../tables/counters.js';
import { TO_ROUTER } from '../bridge/bridge.js';
import type { Dataplane } from '../dataplane.js';
import { CSUM_AS_IS, FRAME_PHASE, GSO_NONE } from '../frames.js';
import { REASONS, DROP_ICMP_RATE, DROP_NO_ROOM, type ReasonName } from '../verdict.js';
import { originate } from './router.js';

const PER_MS = 1;
const BURST = 100;
const TTL = 64;
/** RFC 1812 §4.3.2.3: as much of the packet as fits into 576 bytes. */
const MAX_LEN = 576;

const ERRORS: Partial<Record<ReasonName, readonly [type: number, code: number]>> = {
  'ttl-exceeded': [icmp.TIME_EXCEEDED, icmp.TTL_EXCEEDED],
  'no-route': [icmp.UNREACHABLE, icmp.NET_UNREACHABLE],
  'no-such-node': [icmp.UNREACHABLE, icmp.HOST_UNREACHABLE],
  'no-such-pod': [icmp.UNREACHABLE, icmp.HOST_UNREACHABLE],
  'back-to-host': [icmp.UNREACHABLE, icmp.HOST_UNREACHABLE],
  'no-such-service': [icmp.UNREACHABLE, icmp.PORT_UNREACHABLE],
  'no-endpoints': [icmp.UNREACHABLE, icmp.PORT_UNREACHABLE],
  'too-big': [icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED],
};

/** `type << 8 | code` by reason; 0 where no error is sent. */
const ERROR_OF = Int32Array.from(REASONS, ([name]) => {
  const error = ERRORS[name];
  return error ? (error[0] << 8) | error[1] : 0;
});

/**
 * Turn a frame that was dropped into the ICMP error about it.
 *
 * @param verdict  why it was dropped: one for which {@link isErrorDue}
 * @returns        0, or why the error was dropped in its turn
 */
export function icmpError(dp: Dataplane, f: number, verdict: number): number {
  const typeAndCode = ERROR_OF[-verdict]!;
  const { frames, segments, ports, counters } = dp;
  // From here on the row is the error's: one packet, whatever the frame stood for.
  frames.packets[f] = 1;
  counters.events[EVENT_ICMP_ERRORS]!++;
  if (!takeToken(dp)) return DROP_ICMP_RATE;

  const { v, b } = frames;
  const oldL2 = frames.l2[f]!;
  const oldL3 = frames.l3[f]!;
  const segment = frames.segment[f]!;
  const quoted = Math.min(
    oldL2 + frames.headLen[f]! - oldL3,
    MAX_LEN - ipv4.MIN_HEADER_LEN - icmp.HEADER_LEN,
  );
  const l3Len = ipv4.MIN_HEADER_LEN + icmp.HEADER_LEN + quoted;
  const l2 = frames.alloc(ethernet.HEADER_LEN + l3Len, FRAME_PHASE);
  if (l2 < 0) return DROP_NO_ROOM;
  const l3 = l2 + ethernet.HEADER_LEN;
  const l4 = l3 + ipv4.MIN_HEADER_LEN;
  const src = segments.routerIp[segment]!;
  const dst = frames.s3[f]!;

  ethernet.setType(v, l2, ethernet.TYPE_IPV4);
  header.totalLen = l3Len;
  header.src = src;
  header.dst = dst;
  ipv4.write(v, b, l3, header);
  v.setUint16(l4, typeAndCode);
  v.setUint16(l4 + icmp.CHECKSUM, 0);
  v.setUint32(l4 + 4, typeAndCode === TOO_BIG ? ports.mtu[frames.outPort[f]!]! : 0);
  b.u8.copyWithin(l4 + icmp.HEADER_LEN, oldL3, oldL3 + quoted);
  quoteAsSent(dp, f, l4 + icmp.HEADER_LEN);
  store(b, l4 + icmp.CHECKSUM, finish(sum(b, l4, icmp.HEADER_LEN + quoted)));

  frames.l2[f] = l2;
  frames.l3[f] = l3;
  frames.l4[f] = l4;
  frames.len[f] = frames.headLen[f] = ethernet.HEADER_LEN + l3Len;
  frames.pieces[f] = 0;
  frames.headroom[f] = 0;
  frames.gso[f] = GSO_NONE;
  frames.csum[f] = CSUM_AS_IS;
  frames.proto[f] = ipv4.ICMP;
  frames.ports[f] = 0;
  frames.s2[f] = frames.d2[f] = V4_MAPPED;
  frames.s3[f] = src;
  frames.d3[f] = dst;
  frames.flow[f] = 0;
  frames.event[f] = 0;
  return originate(dp, f);
}

/** The quoted packet has its destination translated already: its sender knows it by the one it sent to. */
function quoteAsSent({ frames, conntrack }: Dataplane, f: number, quoted: number): void {
  const row = frames.flow[f] || frames.draft[f]!;
  if (row === 0) return;
  const { v, b } = frames;
  const tuple = row * ROW_WORDS + frames.direction[f]! * TUPLE_WORDS;
  if (conntrack.words[tuple + 7] === ipv4.dst(v, quoted) && conntrack.words[tuple + 8] === frames.ports[f])
    return;
  v.setInt32(quoted + 16, conntrack.words[tuple + 7]!);
  ipv4.writeChecksum(b, quoted);
  const proto = frames.proto[f]!;
  if (proto === ipv4.TCP || proto === ipv4.UDP)
    v.setInt32(quoted + ipv4.headerLen(v, quoted), conntrack.words[tuple + 8]!);
}

/** Written anew for each error, so that none is made for it. TOS: internetwork control, RFC 1812 §4.3.2.5. */
const header = { totalLen: 0, ttl: TTL, proto: ipv4.ICMP, src: 0, dst: 0, tos: 0xc0 };

const TOO_BIG = (icmp.UNREACHABLE << 8) | icmp.FRAGMENTATION_NEEDED;

/** Whether the sender of a frame that was dropped is owed an ICMP error. RFC 1812 §4.3.2.7: when none may be sent. */
export function isErrorDue(
  { frames, routes, segments }: Pick<Dataplane, 'frames' | 'routes' | 'segments'>,
  f: number,
  verdict: number,
): boolean {
  // The router's own packets (an echo reply that cannot be sent back) are nobody's to be told about.
  if (ERROR_OF[-verdict] === 0 || frames.s3[f] === segments.routerIp[frames.segment[f]!]) return false;
  const { v } = frames;
  const l3 = frames.l3[f]!;
  // `route` is set only for what was routed; before that, only a frame on its way to the router has no port yet.
  if (frames.outPort[f] !== TO_ROUTER && routes.kind[frames.route[f]!] === 0) return false;
  if (ethernet.isGroup(v, frames.l2[f]!) || ipv4.fragmentOffset(v, l3) !== 0) return false;
  return frames.proto[f] !== ipv4.ICMP || !icmp.isError(icmp.type(v, frames.l4[f]!));
}

function takeToken(dp: Dataplane): boolean {
  const elapsed = (dp.now - dp.icmpTokensMs) | 0;
  if (elapsed > 0) {
    dp.icmpTokens = Math.min(BURST, dp.icmpTokens + Math.min(elapsed, BURST) * PER_MS);
    dp.icmpTokensMs = dp.now;
  }
  if (dp.icmpTokens < 1) return false;
  dp.icmpTokens--;
  return true;
}
