/**
 * Pods and their containers, as far as we read them; what they mount and take their environment from is in pod-volume-types.ts.
 *
 * Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
import type { ApiObject, Condition } from './object-meta.js';
import type { EnvFromSource, EnvVar, Volume, VolumeMount } from './pod-volume-types.js';
import type { Affinity, Toleration, TopologySpreadConstraint } from './scheduling-types.js';

export interface ContainerPort {
  name?: string;
  containerPort: number;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  /** The port of the node's own address that leads here. */
  hostPort?: number;
  /** Of the node's addresses only this one. */
  hostIP?: string;
}

export interface ExecAction {
  command?: string[];
}

export interface TcpSocketAction {
  /** The pod's address when left out. */
  host?: string;
  /** A number, or the name of one of the container's ports. */
  port: number | string;
}

export interface HttpGetAction extends TcpSocketAction {
  path?: string;
  scheme?: 'HTTP' | 'HTTPS';
  httpHeaders?: { name: string; value?: string }[];
}

/** One of the ways to look at a container, or to tell it something. */
export interface LifecycleHandler {
  exec?: ExecAction;
  httpGet?: HttpGetAction;
  tcpSocket?: TcpSocketAction;
  sleep?: { seconds?: number };
}

/** How to find out about a container; for times and thresholds that are left out see `probeTiming`. */
export interface Probe {
  exec?: ExecAction;
  httpGet?: HttpGetAction;
  tcpSocket?: TcpSocketAction;
  grpc?: { port: number; service?: string };
  initialDelaySeconds?: number;
  timeoutSeconds?: number;
  periodSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
  terminationGracePeriodSeconds?: number;
}

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  env?: EnvVar[];
  envFrom?: EnvFromSource[];
  resources?: { limits?: Record<string, string | number>; requests?: Record<string, string | number> };
  volumeMounts?: VolumeMount[];
  terminationMessagePath?: string;
  terminationMessagePolicy?: string;
  ports?: ContainerPort[];
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  lifecycle?: { postStart?: LifecycleHandler; preStop?: LifecycleHandler };
  /** Of an init container only: `Always` makes it a sidecar. */
  restartPolicy?: string;
  /** It has an input, which `attach` writes to. */
  stdin?: boolean;
  /** The input ends with the first who was attached. */
  stdinOnce?: boolean;
  tty?: boolean;
}

/** One that `kubectl debug` adds. */
export interface EphemeralContainer extends Container {
  /** Whose processes it wants to see; in a pod of ours every container sees all. */
  targetContainerName?: string;
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: {
    exitCode: number;
    signal?: number;
    reason?: string;
    message?: string;
    startedAt?: string;
    finishedAt?: string;
    containerID?: string;
  };
}

export interface ContainerStatus {
  name: string;
  image: string;
  imageID: string;
  containerID?: string;
  ready: boolean;
  started?: boolean;
  restartCount: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

export interface PodSpec {
  nodeName?: string;
  hostname?: string;
  dnsPolicy?: 'ClusterFirst' | 'ClusterFirstWithHostNet' | 'Default' | 'None';
  dnsConfig?: {
    nameservers?: string[];
    searches?: string[];
    options?: { name?: string; value?: string }[];
  };
  hostAliases?: HostAlias[];
  containers: Container[];
  initContainers?: Container[];
  ephemeralContainers?: EphemeralContainer[];
  volumes?: Volume[];
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  /** Conditions that others set, without which the pod is not Ready. */
  readinessGates?: { conditionType: string }[];
  /** After so long the pod has failed. */
  activeDeadlineSeconds?: number;
  restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  terminationGracePeriodSeconds?: number;
  /** The pod has no network namespace of its own, it uses its node's. */
  hostNetwork?: boolean;
  /** Whether containers get variables of their namespace's Services; yes when left out. */
  enableServiceLinks?: boolean;
  nodeSelector?: Record<string, string>;
  affinity?: Affinity;
  tolerations?: Toleration[];
  topologySpreadConstraints?: TopologySpreadConstraint[];
  /** The headless Service under which the pod has a name. */
  subdomain?: string;
  schedulerName?: string;
}

export interface PodStatus {
  phase?: PodPhase;
  reason?: string;
  message?: string;
  hostIP?: string;
  podIP?: string;
  podIPs?: { ip: string }[];
  hostIPs?: { ip: string }[];
  startTime?: string;
  conditions?: Condition[];
  containerStatuses?: ContainerStatus[];
  initContainerStatuses?: ContainerStatus[];
  ephemeralContainerStatuses?: ContainerStatus[];
  qosClass?: QosClass;
}

export interface Pod extends ApiObject {
  spec: PodSpec;
  status?: PodStatus;
}

/** A line of a hosts file. */
export interface HostAlias {
  ip: string;
  hostnames?: string[];
}
