/**
 * What a container is told of its pod, and what it tells.
 */
import type { Logger } from 'pino';
import type { Container, PodSpec, Volume } from '../../api/types.js';
import type { Backoff } from './backoff.js';
import type { Happening } from './events.js';
import type { ProbeTarget } from './probe.js';

/** What a container needs to know of its pod. */
export interface ContainerContext {
  /** The pod's folder. */
  dir: string;
  /** `NAME_NAMESPACE(UID)`, as the kubelet names pods in messages. */
  fullName: string;
  podName: string;
  uid: string;
  hostname: string;
  /** Where its sockets are; undefined: the machine's own namespace. */
  netns: string | undefined;
  /** The host's; undefined: the machine's own. */
  hostNetns: string | undefined;
  restartPolicy: PodSpec['restartPolicy'];
  /** How long it may take to end when a probe has failed. */
  graceMs: number;
  backoff: Backoff;
  /** The holder's pid while it is alive. */
  holderPid(): number | undefined;
  podIP(): string | undefined;
  volumes: readonly Volume[];
  /**
   * Its variables as they are now.
   *
   * @throws {MissingError} when one comes from something that is not there
   */
  environment(): Record<string, string>;
  /** See {@link ProbeTarget}; of the container of that name. */
  enter(container: string, argv: readonly string[], limitSeconds: number): string[];
  /** The record has changed: write it down and report it. */
  changed(): void;
  /** Tell people of something that happened to it. */
  tell(type: Happening['type'], reason: string, message: string): void;
  log: Logger;
}

/** Where probes and hooks of one of its containers look. */
export const probeTarget = (
  { podIP, netns, hostNetns, enter }: ContainerContext,
  { name, ports = [] }: Container,
): ProbeTarget => ({
  podIP: podIP(),
  netns,
  hostNetns,
  ports,
  enter: (argv, seconds) => enter(name, argv, seconds),
});
