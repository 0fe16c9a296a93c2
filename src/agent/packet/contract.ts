/**
 * What the main thread and the packet worker agree on: shared memory, and the few messages beside it.
 *
 * The worker has no event loop: it looks at STOP and at the update ring each turn, takes messages when the eventfd woke it,
 * and speaks by `postMessage` of plain data. Only the main thread logs. See docs/threads.md.
 */
import type { Capacities } from '../../tables/tables.js';

/** Words of the control block. */
export const STOP = 0;
/** Counts the worker's turns: it stands still when the worker hangs. */
export const TURNS = 1;
export const CONTROL_WORDS = 16;

/** The worker never waits longer, so that its turns go on. */
export const LONGEST_WAIT_MS = 1000;
/**
 * The longest time that the worker looks for packets before it sleeps, unless said otherwise: see waiter.ts. It does not look:
 * with two processors, which the programs that talk need themselves, looking lost (docs/measurements.md).
 */
export const SPIN_US = 0;
/** More would only warm the room. */
export const MAX_SPIN_US = 1000;

/** Sockets that the tunnel sends from; a flow keeps to one, so its outer source port stays. */
export const TUNNEL_SOCKETS = 4;

export interface WorkerData {
  /** Memory of the tables, in the order in which `createTables` asks for it. */
  readonly tables: readonly SharedArrayBuffer[];
  readonly ring: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** The eventfd that wakes the worker. */
  readonly wake: number;
  readonly seed: number;
  readonly capacities: Capacities;
  /** Milliseconds since 1970 that count as 0 in the tables. */
  readonly startMs: number;
  /** The longest time to look for packets before sleeping. */
  readonly spinUs: number;
}

/** A tunnel's sockets: `handle` receives, the others send. Told before the port is published. */
export interface TunnelMessage {
  readonly type: 'tunnel';
  readonly handle: number;
  readonly sockets: readonly { readonly fd: number; readonly gso: boolean }[];
  /** UDP port of the peers. */
  readonly peerPort: number;
}

/** A frame as if the host's kernel had sent it by `pw0`: what the host receives and a pod is waiting for. */
export interface InjectMessage {
  readonly type: 'inject';
  readonly frame: Uint8Array;
}

export type ToWorker = TunnelMessage | InjectMessage;

export type FromWorker =
  /** It takes packets; `tid` is its thread as the kernel numbers it. */
  | { readonly type: 'ready'; readonly tid: number }
  /** The update ring was read to its end. */
  | { readonly type: 'seen' }
  /** Something a person should know, once. */
  | { readonly type: 'notice'; readonly text: string }
  /** The worker ends by an error. */
  | { readonly type: 'fatal'; readonly text: string };
