/**
 * rbac.authorization.k8s.io/v1: what roles allow, and to whom they are given.
 */
import type { ApiObject } from './object-meta.js';
import type { LabelSelector } from './workload-types.js';

/** Either resources of API groups or paths that are no resources; `*` stands for all. */
export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  /** `pods`, `pods/log`; with a star before the slash: that subresource of every resource. */
  resources?: string[];
  /** Empty: objects of every name. */
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface Role extends ApiObject {
  rules?: PolicyRule[];
}

export interface ClusterRole extends ApiObject {
  rules?: PolicyRule[];
  /** `rules` are those of all ClusterRoles that match; control writes them. */
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
}

export interface Subject {
  kind: string;
  apiGroup?: string;
  name: string;
  /** Of a ServiceAccount. */
  namespace?: string;
}

export interface RoleRef {
  apiGroup?: string;
  kind: string;
  name: string;
}

export interface RoleBinding extends ApiObject {
  subjects?: Subject[];
  roleRef: RoleRef;
}

export interface ClusterRoleBinding extends ApiObject {
  subjects?: Subject[];
  roleRef: RoleRef;
}
