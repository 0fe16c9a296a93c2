/**
 * What the stages work on. A stage names the parts it touches: `(dp: Pick<Dataplane, 'frames' | 'fdb' | 'now'>, f)`.
 */
import type { Tables } from '../tables/tables.js';
import type { Frames } from './frames.js';

export interface Dataplane extends Tables {
  readonly frames: Frames;
  /** Milliseconds since the worker's start, as int32; read once a batch. */
  now: number;
  /** ICMP errors that may still be sent now; see `router/icmp-error.ts`. */
  icmpTokens: number;
  icmpTokensMs: number;
  /** State of the pseudo-random numbers by which endpoints are chosen; one word, never 0. */
  readonly random: Int32Array;
  /** Turns of round robin, by frontend. */
  readonly turns: Int32Array;
}
