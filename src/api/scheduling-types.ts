/**
 * What a pod says of the nodes it wants, and a node of the pods it takes.
 */
import type { LabelSelector, LabelSelectorRequirement } from './workload-types.js';

export type TaintEffect = 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';

/** What keeps pods away from a node that do not tolerate it. */
export interface Taint {
  key: string;
  value?: string;
  effect: TaintEffect;
  /** When a NoExecute taint came. */
  timeAdded?: string;
}

export interface Toleration {
  key?: string;
  operator?: string;
  value?: string;
  /** Every effect when left out. */
  effect?: string;
  /** How long a NoExecute taint is put up with; for ever when left out. */
  tolerationSeconds?: number;
}

/** All requirements of a term must hold; one term of several is enough. */
export interface NodeSelectorTerm {
  matchExpressions?: LabelSelectorRequirement[];
  /** The only field there is: `metadata.name`. */
  matchFields?: LabelSelectorRequirement[];
}

/** Other pods, and the part of the cluster that is meant by "near" them. */
export interface PodAffinityTerm {
  labelSelector?: LabelSelector;
  namespaces?: string[];
  namespaceSelector?: LabelSelector;
  topologyKey: string;
}

export interface PodAffinity {
  requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[];
  preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; podAffinityTerm: PodAffinityTerm }[];
}

export interface Affinity {
  nodeAffinity?: {
    requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] };
    preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; preference: NodeSelectorTerm }[];
  };
  podAffinity?: PodAffinity;
  podAntiAffinity?: PodAffinity;
}

export interface TopologySpreadConstraint {
  maxSkew: number;
  topologyKey: string;
  whenUnsatisfiable: string;
  labelSelector?: LabelSelector;
}
