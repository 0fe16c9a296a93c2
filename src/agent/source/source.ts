/**
 * Where an agent learns what the cluster is, and where it says what became of it: a server that it watches, or
 * files on this host.
 */
import type { Socket } from 'node:net';
import type { ClusterView, Event, Node, Pod, PodStatus, TokenSource } from '../../api/types.js';

export interface ClusterSource {
  /** In words, for status and log: `server /run/…/server.sock`. */
  readonly name: string;
  /** Whether the objects say which address a node has (files), and not its agent (server). */
  readonly saysAddresses: boolean;
  /**
   * Begin. `changed` gets every new view, the first one before this resolves; views that come fast are left out, the
   * newest never. Files that are wrong reject; a server that does not answer is waited for.
   */
  start(changed: (view: ClusterView) => void): Promise<void>;
  /** Say how a pod is. Only the newest status of a pod is kept until it has arrived. */
  reportPod(pod: Pod, status: PodStatus): void;
  /** Say that a pod that was to be deleted is gone from this host. */
  podRemoved(pod: Pod): void;
  /** Tell people of something that happened; what does not get through soon is lost. */
  reportEvent(event: Event): void;
  /** Say that the node lives, by renewing its Lease. */
  reportLease(node: string): void;
  /** Say how the node is; makes its object if there is none. */
  reportNode(node: Node): void;
  /** A token of a pod's service account, bound to the pod; absent where there is no server. */
  requestToken?(pod: Pod, source: TokenSource): Promise<string>;
  /** A raw connection to the TLS side of the server's API; absent where there is no server. */
  connectToApi?(): Promise<Socket>;
  /** What is wrong with the source now: the file that does not parse, the server that does not answer. */
  problems(): string[];
  /** Deliver what is waiting, for a moment; then end. */
  close(): Promise<void>;
}
