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

type Parts = Pick<Dataplane, 'frames' | 'conntrack' | 'routes' | 'now'>;

/** @param hasPassed  whether the packet left; a row drafted for one that did not is given back */
export function confirm(dp: Parts, f: number, hasPassed: boolean): void {
  const { frames, conntrack, routes } = dp;
  if (!hasPassed) {
    if (frames.draft[f] !== 0) conntrack.discard(frames.draft[f]!);
    return;
  }
  let row = frames.flow[f]!;
  if (row === 0) {
    row = newRow(dp, f);
    if (row === 0) return;
  }
  const direction = frames.direction[f]!;
  const at = row * ROW_WORDS;
  conntrack.words[at + ROUTE + direction] = frames.route[f]!;
  conntrack.words[at + ROUTE_EPOCH + direction] = frames.route[f] === 0 ? 0 : routes.epoch[0]!;
  const count = packetsAt(row, direction);
  conntrack.doubles[count]! += frames.packets[f]!;
  conntrack.doubles[count + 1]! += frames.len[f]!;
}

/** The row of a new flow: the draft that its translation made, or one without translation. 0: it begins none. */
function newRow({ frames, conntrack, now }: Parts, f: number): number {
  const state = frames.event[f]!;
  let row = frames.draft[f]!;
  if (state === 0) {
    // The packet became the router's answer to it.
    if (row !== 0) conntrack.discard(row);
    return 0;
  }
  const proto = frames.proto[f]!;
  if (row === 0) {
    row = conntrack.take(now);
    const zone = (frames.segment[f]! << 8) | proto;
    const ports = frames.ports[f]!;
    const s0 = frames.s0[f]!;
    const s1 = frames.s1[f]!;
    const s2 = frames.s2[f]!;
    const s3 = frames.s3[f]!;
    const d0 = frames.d0[f]!;
    const d1 = frames.d1[f]!;
    const d2 = frames.d2[f]!;
    const d3 = frames.d3[f]!;
    conntrack.setTuple(row, FROM_INI, s0, s1, s2, s3, d0, d1, d2, d3, ports, zone);
    conntrack.setTuple(row, FROM_TGT, d0, d1, d2, d3, s0, s1, s2, s3, (ports << 16) | (ports >>> 16), zone);
  }
  const at = row * ROW_WORDS;
  conntrack.words[at + STATE] = state;
  conntrack.words[at + SEEN_MS] = now;
  conntrack.words[at + TIMEOUT_MS] = timeoutMs(state, proto);
  conntrack.link(row);
  return row;
}
