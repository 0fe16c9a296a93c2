/**
 * The path of one frame. Read this first.
 *
 *     port in → bridge → router input → conntrack → service (DNAT) → route → source NAT → bridge | overlay → port out
 *
 * Each stage is a free function on the frame's columns: 0 gives the frame to the next stage, anything else ends its way
 * (`verdict.ts`). Nothing here allocates, throws, waits, or reads a clock.
 */
import type { Dataplane } from './dataplane.js';
import { TO_ALL, bridge } from './bridge/bridge.js';
import { sourceGuard } from './bridge/source-guard.js';
import { confirm } from './conntrack/confirm.js';
import { followFragments } from './conntrack/fragments.js';
import { track } from './conntrack/track.js';
import { translateDestination, translateSource } from './conntrack/translate.js';
import { tunnelGuard } from './overlay/tunnel-guard.js';
import { parse } from './parse.js';
import { answerArp } from './router/arp.js';
import { icmpError, isErrorDue } from './router/icmp-error.js';
import { route } from './router/router.js';
import { isResetDue, tcpReset } from './router/tcp-reset.js';
import { service } from './service/service.js';
import { sourceNat } from './service/source-nat.js';
import { DROP_NO_PORT, FLOOD, FORWARD } from './verdict.js';

/**
 * Take a frame from its port to its verdict, which is written to its column too.
 *
 * @param f  row whose `inPort`, `segment`, `l2`, `len`, `headLen`, pieces and offload columns are set
 */
export function pipeline(dp: Dataplane, f: number): number {
  const parsed = parse(dp, f); //  RFC 1122 §3.2.1   lengths, checksum, headers
  arrived(dp, f);
  let verdict =
    parsed ||
    sourceGuard(dp, f) || //                       a pod speaks only for itself
    bridge(dp, f) || //          802.1Q §8.6       learn; which port, the router, or all
    answerArp(dp, f) || //       RFC 826           who has the gateway address?
    followFragments(dp, f) || // RFC 791 §3.2      ports of later fragments
    track(dp, f) || //                             which flow? known ones remember their route
    service(dp, f) || //                           a new flow to a Service is given an endpoint
    translateDestination(dp, f) || // RFC 3022 §4.1
    route(dp, f) || //           RFC 1812 §5       TTL, longest prefix, next hop, MTU
    sourceNat(dp, f) || //                         hairpin, node ports, masquerade
    translateSource(dp, f) || // RFC 3022 §4.1
    tunnelGuard(dp, f) || //                       nothing translated passes for our own tunnel's
    leave(dp, f);
  if (verdict < 0) {
    count(dp, f, verdict);
    if (isResetDue(dp, f, verdict))
      verdict = answered(dp, f, tcpReset(dp, f)); // RFC 9293 §3.10.7.1
    else if (isErrorDue(dp, f, verdict)) verdict = answered(dp, f, icmpError(dp, f, verdict)); // RFC 1812 §4.3.2
  }
  confirm(dp, f, verdict > 0); //                a flow is real when its packet has passed
  dp.frames.verdict[f] = verdict;
  return verdict;
}

/** By a port that is there, or by all of the segment. */
function leave({ frames, ports }: Pick<Dataplane, 'frames' | 'ports'>, f: number): number {
  const out = frames.outPort[f]!;
  if (out === TO_ALL) return FLOOD;
  return ports.kind[out] === 0 ? DROP_NO_PORT : FORWARD;
}

/** The router's answer to a dropped frame took its row: it leaves, or is dropped in its turn. */
function answered(dp: Dataplane, f: number, answer: number): number {
  const verdict = answer || leave(dp, f);
  if (verdict < 0) count(dp, f, verdict);
  return verdict;
}

/** A super-frame counts as the packets that it stands for. */
function arrived({ frames, counters }: Pick<Dataplane, 'frames' | 'counters'>, f: number): void {
  counters.rxPackets[frames.inPort[f]!]! += frames.packets[f]! || 1;
}

function count(
  { frames, counters }: Pick<Dataplane, 'frames' | 'counters'>,
  f: number,
  verdict: number,
): void {
  counters.drops[-verdict]! += frames.packets[f]! || 1;
  counters.portDrops[frames.inPort[f]!]! += frames.packets[f]! || 1;
}
