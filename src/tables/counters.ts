/**
 * Counters: what came in and went out by each port, and how often each reason dropped a frame. Doubles: exact up to 2^53.
 *
 * One set a worker; who wants a host's figures adds them up.
 */
import type { Alloc } from './memory.js';

export interface Counters {
  /** By port id. Packets count as they are on the wire: a super-frame counts its segments. */
  readonly rxPackets: Float64Array;
  readonly rxBytes: Float64Array;
  readonly txPackets: Float64Array;
  readonly txBytes: Float64Array;
  /** Frames that came in by a port and were dropped, by port id. */
  readonly portDrops: Float64Array;
  /** By drop reason. */
  readonly drops: Float64Array;
  /** By {@link EVENTS}. */
  readonly events: Float64Array;
}

/** Other things worth counting, in the order of `events`. */
export const EVENTS = [
  'batches',
  'passes',
  'tapReads',
  'tapWrites',
  'tunnelReads',
  'tunnelWrites',
  'evicted',
  'icmpErrors',
  'tcpResets',
  'waits',
  'sleeps',
  'spins',
  'tapFrames',
  'tunnelTrains',
  'yields',
] as const;
export const EVENT_BATCHES = 0;
export const EVENT_PASSES = 1;
export const EVENT_TAP_READS = 2;
export const EVENT_TAP_WRITES = 3;
export const EVENT_TUNNEL_READS = 4;
export const EVENT_TUNNEL_WRITES = 5;
export const EVENT_EVICTED = 6;
/** ICMP errors that the router began to make: with them, all that came in is all that went on and all that was dropped. */
export const EVENT_ICMP_ERRORS = 7;
/** Resets that it began to make, which count likewise. */
export const EVENT_TCP_RESETS = 8;
/** Calls of epoll_wait; those of them that were allowed to sleep; times that asking again without sleeping found packets. */
export const EVENT_WAITS = 9;
export const EVENT_SLEEPS = 10;
export const EVENT_SPINS = 11;
/** Frames that TAPs gave, super-frames counted as one, and what the tunnel's receives gave, trains counted as one. */
export const EVENT_TAP_FRAMES = 12;
export const EVENT_TUNNEL_TRAINS = 13;
/** Times that the worker let others run after much work. */
export const EVENT_YIELDS = 14;

export function createCounters(alloc: Alloc, ports: number, reasons: number): Counters {
  const doubles = (n: number): Float64Array => new Float64Array(alloc(n * 8));
  return {
    rxPackets: doubles(ports),
    rxBytes: doubles(ports),
    txPackets: doubles(ports),
    txBytes: doubles(ports),
    portDrops: doubles(ports),
    drops: doubles(reasons),
    events: doubles(EVENTS.length),
  };
}
