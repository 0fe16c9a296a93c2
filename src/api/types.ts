/**
 * The Kubernetes objects, as far as we read them. Hand-written: only the fields that some part of podwire
 * reads or writes stand here; a stored object keeps every other field that its schema knows.
 *
 * Source: https://kubernetes.io/docs/reference/kubernetes-api/
 */

/** metadata of every object. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  generateName?: string;
  uid?: string;
  /** The store's revision at which this object was last written, in decimal. */
  resourceVersion?: string;
  generation?: number;
  /** RFC 3339, whole seconds, UTC. */
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** What all objects share. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface Namespace extends ApiObject {
  spec?: { finalizers?: string[] };
  status?: { phase?: 'Active' | 'Terminating' };
}

/** A node: a Kubernetes object; the machine or namespace that plays it is a host. */
export interface Node extends ApiObject {
  spec?: {
    /** The first of `podCIDRs`: the addresses of this node's pods. */
    podCIDR?: string;
    podCIDRs?: string[];
    unschedulable?: boolean;
  };
  status?: {
    addresses?: { type: 'InternalIP' | 'ExternalIP' | 'Hostname'; address: string }[];
    conditions?: Condition[];
    nodeInfo?: Record<string, string>;
  };
}

export interface EnvVar {
  name: string;
  value?: string;
}

export interface ContainerPort {
  name?: string;
  containerPort: number;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
}

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  env?: EnvVar[];
  ports?: ContainerPort[];
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
  };
}

export interface ContainerStatus {
  name: string;
  image: string;
  imageID: string;
  ready: boolean;
  started?: boolean;
  restartCount: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export interface PodSpec {
  nodeName?: string;
  hostname?: string;
  containers: Container[];
  restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  terminationGracePeriodSeconds?: number;
  hostNetwork?: boolean;
  nodeSelector?: Record<string, string>;
}

export interface PodStatus {
  phase?: PodPhase;
  reason?: string;
  message?: string;
  hostIP?: string;
  podIP?: string;
  podIPs?: { ip: string }[];
  startTime?: string;
  conditions?: Condition[];
  containerStatuses?: ContainerStatus[];
}

export interface Pod extends ApiObject {
  spec: PodSpec;
  status?: PodStatus;
}

/** Our own kind: what `podwire up -f` reads. Every field of `spec` has a default, see LAB_DEFAULTS. */
export interface Lab extends ApiObject {
  spec?: LabSpec;
}

export interface LabSpec {
  podCIDR?: string;
  serviceCIDR?: string;
  backend?: { type?: 'vxlan'; vni?: number; port?: number };
  underlay?: { cidr?: string; mtu?: number };
  access?: boolean;
  nodes?: { name: string; address?: string }[];
  manifests?: string[];
}

/** flannel's annotations on a node: what its peers need to know of its VTEP. flannel/Documentation/backends.md. */
export const FLANNEL_PUBLIC_IP = 'flannel.alpha.coreos.com/public-ip';
export const FLANNEL_BACKEND_TYPE = 'flannel.alpha.coreos.com/backend-type';
/** JSON: `{"VNI":1,"VtepMAC":"0e:58:…"}`. */
export const FLANNEL_BACKEND_DATA = 'flannel.alpha.coreos.com/backend-data';
/**
 * Marks a node that an agent of ours looks after; its value is the agent's version, or the lab's name before the agent
 * has come up. A node that has flannel's annotations but not this one is an external host, see `isExternalNode`.
 */
export const AGENT_ANNOTATION = 'podwire.dev/agent';

/**
 * All objects a host needs to know, at one moment. The order of a list carries no meaning.
 */
export interface ClusterView {
  lab: Lab;
  namespaces: readonly Namespace[];
  nodes: readonly Node[];
  pods: readonly Pod[];
}

/** `namespace/name`, the key of a namespaced object among those of its kind. */
export const keyOf = (object: ApiObject): string =>
  object.metadata.namespace ? `${object.metadata.namespace}/${object.metadata.name}` : object.metadata.name;
