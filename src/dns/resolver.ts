/**
 * What the responder wants of whoever looks up names that are not ours: the forwarder, or what a test puts in its place.
 */
import type { Answerer } from './metrics.js';

export interface Resolver {
  /**
   * Look a name up. Never rejects.
   *
   * @returns undefined: nobody knows now
   */
  resolve(question: Question): Promise<Resolved | undefined>;
}

export interface Question {
  /** Name, type and class as they stand in a message. */
  readonly bytes: Uint8Array;
  /** Whether signatures are wanted. */
  readonly dnssecOk: boolean;
  /** Whether they are not to be checked. */
  readonly checkingDisabled: boolean;
}

export interface Resolved {
  /** A message, well formed as far as `readResponse` looks, in answer to just that question but for its letters' case. */
  readonly message: Uint8Array;
  readonly by: Answerer;
}
