/**
 * The verdict of a soak: are the last windows like the first, but for noise? What leaks grows with time, so the first and the
 * last third are compared by their medians; the very first window is warm-up and counts for neither.
 */

import { median } from '../../src/bench/case.js';

/** What was measured in a stretch of time. */
export interface SoakWindow {
  readonly packets: number;
  /** Processor time of the packet workers for a packet. */
  readonly nsPerPacket: number;
  readonly rssBytes: number;
  readonly fds: number;
  /** Packets dropped, by reason, and pings that did not come back. */
  readonly drops: number;
  /** Pods that came and went. */
  readonly pods: number;
}

/** More than this times as much processor time for a packet is no noise. */
const NS_FACTOR = 1.5;
/** V8 takes memory as it likes; a leak of a pod or of a packet grows past this within minutes. */
const RSS_FACTOR = 1.1;
const RSS_BYTES = 32 << 20;
/** A pod that is just coming or going has a few more open. */
const FDS = 4;
/** Dropped packets of all: a thousandth is the ordinary loss of a pod that goes. */
const DROP_RATIO = 1e-3;

/** @returns what is not as it was at the beginning, in sentences; empty when all is well */
export function judgeSoak(windows: readonly SoakWindow[]): string[] {
  const counted = windows.slice(1);
  const third = Math.floor(counted.length / 3);
  if (third < 1) return [`Too short to judge: ${windows.length} windows, at least 4 are needed`];
  const begin = counted.slice(0, third);
  const end = counted.slice(-third);
  const problems: string[] = [];
  const of = (part: readonly SoakWindow[], pick: (window: SoakWindow) => number): number =>
    median(part.map(pick));

  if (counted.some(({ packets }) => packets === 0)) problems.push('No packets in some windows');
  const [nsBegin, nsEnd] = [of(begin, (w) => w.nsPerPacket), of(end, (w) => w.nsPerPacket)];
  if (nsEnd > nsBegin * NS_FACTOR)
    problems.push(
      `A packet took ${nsBegin.toFixed(0)} ns at the beginning and ${nsEnd.toFixed(0)} ns at the end`,
    );
  const [rssBegin, rssEnd] = [of(begin, (w) => w.rssBytes), of(end, (w) => w.rssBytes)];
  if (rssEnd > rssBegin * RSS_FACTOR + RSS_BYTES)
    problems.push(`Memory grew from ${mebibytes(rssBegin)} to ${mebibytes(rssEnd)}`);
  const [fdsBegin, fdsEnd] = [of(begin, (w) => w.fds), of(end, (w) => w.fds)];
  if (fdsEnd > fdsBegin + FDS) problems.push(`Open files grew from ${fdsBegin} to ${fdsEnd}`);
  const ratio = (part: readonly SoakWindow[]): number => of(part, (w) => w.drops / Math.max(w.packets, 1));
  const [lostBegin, lostEnd] = [ratio(begin), ratio(end)];
  if (lostEnd > lostBegin * 2 + DROP_RATIO)
    problems.push(
      `Dropped at the beginning ${share(lostBegin)} of all packets, at the end ${share(lostEnd)}`,
    );
  return problems;
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const share = (ratio: number): string => `${(ratio * 100).toFixed(2)} %`;
