/**
 * The Kubernetes objects, as far as we read them. Hand-written: only the fields that some part of podwire
 * reads or writes stand here; a stored object keeps every other field that its schema knows.
 *
 * Source: https://kubernetes.io/docs/reference/kubernetes-api/
 */

import type { ApiObject, Condition, ObjectReference } from './object-meta.js';
import type { ConfigMap, Secret, ServiceAccount } from './plain-types.js';
import type { HostAlias, Pod } from './pod-types.js';
import type { Taint } from './scheduling-types.js';

export type * from './certificate-types.js';
export type * from './gateway-types.js';
export type * from './ingress-types.js';
export type * from './object-meta.js';
export type * from './plain-types.js';
export type * from './pod-types.js';
export type * from './pod-volume-types.js';
export type * from './rbac-types.js';
export type * from './scheduling-types.js';
export type * from './workload-types.js';

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
    taints?: Taint[];
  };
  status?: {
    addresses?: { type: 'InternalIP' | 'ExternalIP' | 'Hostname'; address: string }[];
    conditions?: Condition[];
    capacity?: Record<string, string | number>;
    allocatable?: Record<string, string | number>;
    nodeInfo?: Record<string, string>;
  };
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
  /** Where LoadBalancer addresses come from; without it .200 to .250 of the underlay. */
  loadBalancers?: { cidr?: string };
  proxy?: { scheduler?: Scheduler };
  dns?: DnsSpec;
}

/** The cluster's DNS. */
export interface DnsSpec {
  zone?: string;
  /** Seconds that clients may keep an answer. */
  ttl?: number;
  pods?: PodNames;
  /** Who is asked for other names, as ADDRESS or ADDRESS:PORT; the machine's own resolvers when left out. */
  upstreams?: string[];
  /** Names that have fixed addresses, whatever anybody else says. */
  hosts?: HostAlias[];
}

/** How `10-244-1-3.NAMESPACE.pod` is answered: never, for any address, or for addresses of pods of that namespace. */
export type PodNames = 'disabled' | 'insecure' | 'verified';

/** How new flows are spread over a Service's endpoints, called as kube-proxy calls its modes. */
export type Scheduler = 'random' | 'rr' | 'sh' | 'userspace';

export type IpFamily = 'IPv4' | 'IPv6';
export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type TrafficPolicy = 'Cluster' | 'Local';

export interface ServicePort {
  name?: string;
  /** TCP when left out. */
  protocol?: Protocol;
  appProtocol?: string;
  port: number;
  /** A number, or the name of a port of the pod's containers; `port` when left out. */
  targetPort?: number | string;
  nodePort?: number;
}

export interface ServiceSpec {
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  selector?: Record<string, string>;
  ports?: ServicePort[];
  /** The first of `clusterIPs`; `None` for a headless Service, empty for ExternalName. */
  clusterIP?: string;
  clusterIPs?: string[];
  ipFamilies?: IpFamily[];
  ipFamilyPolicy?: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
  externalIPs?: string[];
  externalName?: string;
  sessionAffinity?: 'None' | 'ClientIP';
  sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
  internalTrafficPolicy?: TrafficPolicy;
  externalTrafficPolicy?: TrafficPolicy;
  healthCheckNodePort?: number;
  publishNotReadyAddresses?: boolean;
  loadBalancerIP?: string;
  loadBalancerSourceRanges?: string[];
  loadBalancerClass?: string;
  allocateLoadBalancerNodePorts?: boolean;
  trafficDistribution?: string;
}

export interface LoadBalancerIngress {
  ip?: string;
  hostname?: string;
  ipMode?: 'VIP' | 'Proxy';
}

export interface Service extends ApiObject {
  spec: ServiceSpec;
  status?: {
    loadBalancer?: { ingress?: LoadBalancerIngress[] };
    conditions?: Condition[];
  };
}

/** An endpoint of a slice. A condition left out counts as Kubernetes says: ready and serving true, terminating false. */
export interface Endpoint {
  /** At least one; the first is the one that is used. */
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  hostname?: string;
  nodeName?: string;
  zone?: string;
  targetRef?: ObjectReference;
  hints?: { forZones?: { name: string }[]; forNodes?: { name: string }[] };
}

export interface EndpointPort {
  /** The name of the Service's port, '' when left out. */
  name?: string;
  protocol?: Protocol;
  /** Every port when left out, which only hand-made slices do. */
  port?: number;
  appProtocol?: string;
}

/** discovery.k8s.io/v1. Belongs to the Service that its label {@link SERVICE_NAME} names. */
export interface EndpointSlice extends ApiObject {
  addressType: IpFamily | 'FQDN';
  endpoints: Endpoint[];
  ports?: EndpointPort[];
}

export interface EndpointAddress {
  ip: string;
  hostname?: string;
  nodeName?: string;
  targetRef?: ObjectReference;
}

export interface EndpointSubset {
  addresses?: EndpointAddress[];
  notReadyAddresses?: EndpointAddress[];
  ports?: { name?: string; port: number; protocol?: Protocol; appProtocol?: string }[];
}

/** The older form of a Service's endpoints; `control` keeps them and the slices in step. */
export interface Endpoints extends ApiObject {
  subsets?: EndpointSubset[];
}

/** Label of an EndpointSlice: the Service of the same namespace that it belongs to. */
export const SERVICE_NAME = 'kubernetes.io/service-name';
/** Label of an EndpointSlice: who keeps it. */
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
/** Annotation of a Service: a {@link Scheduler} of its own. */
export const SCHEDULER_ANNOTATION = 'podwire.dev/scheduler';
/** Annotation of a Service: the node that answers for its LoadBalancer and external addresses. */
export const OWNER_ANNOTATION = 'podwire.dev/owner';

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

/** Condition of a node: its agent answers DNS queries at the gateway address. */
export const DNS_CONDITION = 'ClusterDNS';

/** How an agent names itself in `user-agent`, its node's name behind it. */
export const AGENT_USER = 'podwire-agent/';
/** Reason of a node's Ready condition while its agent starts. */
export const NODE_STARTING = 'AgentStarting';
/** Reason of a node's Ready condition when the server has lost its agent. */
export const NODE_LOST = 'NodeStatusUnknown';

/**
 * All objects a host needs to know, at one moment. The order of a list carries no meaning. Neither a list nor an object ever changes:
 * what is new is another one, so that who compares views can go by identity.
 */
export interface ClusterView {
  lab: Lab;
  namespaces: readonly Namespace[];
  nodes: readonly Node[];
  pods: readonly Pod[];
  services: readonly Service[];
  endpointSlices: readonly EndpointSlice[];
  endpoints: readonly Endpoints[];
  /** What pods mount and take their environment from; none where nobody runs pods. */
  configMaps?: readonly ConfigMap[];
  secrets?: readonly Secret[];
  /** None where there is no server, which alone can sign their tokens. */
  serviceAccounts?: readonly ServiceAccount[];
}

/** `namespace/name`, the key of a namespaced object among those of its kind. */
export const keyOf = (object: ApiObject): string =>
  object.metadata.namespace ? `${object.metadata.namespace}/${object.metadata.name}` : object.metadata.name;
