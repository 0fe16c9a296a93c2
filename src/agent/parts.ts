/**
 * The two large parts that an agent puts together, as it sees them: the packet path and the pods. The real ones are
 * in `packet/` and `pods/`; tests give their own.
 */
import type { ClusterView, Lab, Node } from '../api/types.js';
import type { RowObject } from '../tables/row-objects.js';
import type { Offload } from '../sys/tap.js';
import type { Logger } from './log.js';
import type { Readings } from './packet/readings.js';
import type { PodNetwork, PodRuntime, PodRuntimeOptions } from './pods/runtime.js';

/** The packet worker and its tables. */
export interface PacketPath {
  /** Compile the view for this node and publish what changed; resolves when the worker has applied it. */
  setView(view: ClusterView): Promise<void>;
  /** Text of a table, or of all. Throws a RangeError when there is none of that name. */
  dump(table?: string): string;
  /** Rows of a table as objects; or of all, by their names. Throws as {@link dump} does. */
  rows(table?: string): RowObject[] | Record<string, RowObject[]>;
  /** The worker's counters as numbers. */
  readings?(): Readings;
  /** A frame for the router as if the host's kernel had sent it by pw0. */
  inject?(frame: Uint8Array): void;
  readonly network: PodNetwork;
  status(): { offload: string; captures: string[]; workers: number; problems: string[]; batches: number };
  /** Ends the worker, pw0 and the tunnels; the pods' TAPs stay. */
  close(): Promise<void>;
}

export type StartPacketPath = (options: {
  node: Node;
  lab: Lab;
  netns?: string;
  iface: string;
  offload: Offload;
  /** The longest time to look for packets before sleeping, in microseconds; default 50. */
  spinUs?: number;
  log: Logger;
  /** Called when it can go on no longer. */
  fatal(reason: string): void;
}) => Promise<PacketPath>;

export interface AgentParts {
  readonly startPacketPath: StartPacketPath;
  createPodRuntime(options: PodRuntimeOptions): PodRuntime;
}
