/**
 * What the pods of one host share, and the state that a new one begins with.
 */
import type { Logger } from 'pino';
import { timestamp } from '../../api/age.js';
import type { PodObjects } from '../../api/container-environment.js';
import type { Allocatable } from '../../api/pod-fields.js';
import type { Pod, PodSpec, PodStatus, Service } from '../../api/types.js';
import type { Backoff } from './backoff.js';
import type { EventRecorder } from './events.js';
import type { Gate } from './gate.js';
import type { ResolverFiles } from './pod-dns.js';
import type { PodNetwork } from './pod-network.js';
import { newRecord, uidOf, type PodState } from './state.js';
import type { RequestToken } from './volumes.js';

/** What the pods' host is, and whom it asks and tells. */
export interface HostFacts {
  lab: string;
  node: string;
  network: PodNetwork;
  /** The host's underlay address: `status.hostIP`. */
  hostAddress: string;
  /** The host's network namespace, for pods with hostNetwork; undefined: the machine's own. */
  netns?: string;
  /** Those of the cluster, as they are now: a container that starts is told of them. */
  services?(): readonly Service[];
  /** What volumes and environments are made from, as it is now. */
  objects?(): PodObjects;
  /** What the node has to give. */
  allocatable?: Allocatable;
  requestToken?: RequestToken;
  /** What a pod's resolver reads, when it starts; its hostname is the pod's own. */
  resolverFiles(pod: Pod, hostname: string): ResolverFiles;
  /** A pod's status is new. Never called twice in a row with the same. */
  report(pod: Pod, status: PodStatus): void;
  log: Logger;
}

/** What all pods of a host share. */
export interface HostContext extends HostFacts {
  /** The folder of all pods' folders, absolute. */
  podsDir: string;
  backoff: Backoff;
  /** Before each holder that is made. */
  gate: Gate;
  /** Tell people of what happened to a pod. */
  events: EventRecorder;
}

/** The name of a pod's own network namespace; undefined: it has none. */
const netnsOf = (context: Pick<HostContext, 'lab' | 'node'>, { metadata, spec }: Pod): string | undefined =>
  spec.hostNetwork
    ? undefined
    : `${context.lab}.${context.node}.${metadata.namespace ?? 'default'}.${metadata.name}`;

/** As the kubelet has it: on the host's network a pod is called as its host. */
function hostnameOf({ node }: HostContext, { metadata, spec }: Pod): string {
  const name = spec.hostNetwork ? node : (spec.hostname ?? metadata.name);
  return name.slice(0, 63).replace(/[-.]+$/, '');
}

/** The state of a pod of which nothing exists yet. */
export function newState(context: HostContext, pod: Pod): PodState {
  const { name, namespace = 'default' } = pod.metadata;
  return {
    lab: context.lab,
    node: context.node,
    namespace,
    name,
    uid: uidOf(pod),
    netns: netnsOf(context, pod),
    hostname: hostnameOf(context, pod),
    startTime: timestamp(Date.now()),
    containers: pod.spec.containers.map(newRecord),
    initContainers: (pod.spec.initContainers ?? []).map(newRecord),
    pod,
  };
}

/** Unless the pod says otherwise. */
const DEFAULT_GRACE_SECONDS = 30;

/** How long a pod's programs have between SIGTERM and SIGKILL. @param seconds  what was asked for when it was deleted */
export const graceMsOf = ({ terminationGracePeriodSeconds }: PodSpec, seconds?: number): number =>
  (seconds ?? terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
