/**
 * Conntrack, second half: the packet has passed all stages, so its flow is real. A new one gets its row, a known one its
 * count and the route that was found.
 */
import {
  FROM_INI,
  FROM_TGT,
  ROUTE,
  ROUTE_EPOCH,
  ROW_WORDS,
  SEEN_MS,
  STATE,
  TIMEOUT_MS,
  packetsAt,
} from '../../tables/conntrack.js';
import type { Dataplane } from '../dataplane.js';
import { timeoutMs } from './states.js';

export function confirm(
  { frames, conntrack, routes, now }: Pick<Dataplane, 'frames' | 'conntrack' | 'routes' | 'now'>,
  f: number,
): void {
  let row = frames.flow[f]!;
  const state = frames.event[f]!;
  if (row === 0 && state !== 0) {
    row = conntrack.take(now);
    const at = row * ROW_WORDS;
    const proto = frames.proto[f]!;
    const zone = (frames.segment[f]! << 8) | proto;
    const ports = frames.ports[f]!;
    const s0 = frames.s0[f]!,
      s1 = frames.s1[f]!,
      s2 = frames.s2[f]!,
      s3 = frames.s3[f]!;
    const d0 = frames.d0[f]!,
      d1 = frames.d1[f]!,
      d2 = frames.d2[f]!,
      d3 = frames.d3[f]!;
    conntrack.setTuple(row, FROM_INI, s0, s1, s2, s3, d0, d1, d2, d3, ports, zone);
    conntrack.setTuple(row, FROM_TGT, d0, d1, d2, d3, s0, s1, s2, s3, (ports << 16) | (ports >>> 16), zone);
    conntrack.words[at + STATE] = state;
    conntrack.words[at + SEEN_MS] = now;
    conntrack.words[at + TIMEOUT_MS] = timeoutMs(state, proto);
    conntrack.link(row);
    frames.flow[f] = row;
    frames.direction[f] = FROM_INI;
  }
  if (row === 0) return;
  const direction = frames.direction[f]!;
  const at = row * ROW_WORDS;
  conntrack.words[at + ROUTE + direction] = frames.route[f]!;
  conntrack.words[at + ROUTE_EPOCH + direction] = frames.route[f] === 0 ? 0 : routes.epoch[0]!;
  const count = packetsAt(row, direction);
  conntrack.doubles[count]! += frames.packets[f]!;
  conntrack.doubles[count + 1]! += frames.len[f]!;
}
