/**
 * What control looks at: all objects. Agents see less ({@link ClusterView}), so control takes lists that are not there
 * for empty.
 */
import {
  CERTIFICATE_SIGNING_REQUEST,
  CLUSTER_ROLE,
  CONFIG_MAP,
  CONTROLLER_REVISION,
  DAEMON_SET,
  DEPLOYMENT,
  ENDPOINT_SLICE,
  ENDPOINTS,
  EVENT,
  KINDS,
  LAB,
  LEASE,
  NAMESPACE,
  NODE,
  POD,
  REPLICA_SET,
  SECRET,
  SERVICE,
  SERVICE_ACCOUNT,
  STATEFUL_SET,
  type Kind,
} from '../api/kinds.js';
import type {
  ApiObject,
  CertificateSigningRequest,
  ClusterRole,
  ClusterView,
  ControllerRevision,
  DaemonSet,
  Deployment,
  Event,
  Lab,
  Lease,
  ReplicaSet,
  StatefulSet,
} from '../api/types.js';

/** Kinds that control reads, and agents need not. */
export interface ControlLists {
  deployments: readonly Deployment[];
  replicaSets: readonly ReplicaSet[];
  statefulSets: readonly StatefulSet[];
  daemonSets: readonly DaemonSet[];
  controllerRevisions: readonly ControllerRevision[];
  leases: readonly Lease[];
  events: readonly Event[];
  clusterRoles: readonly ClusterRole[];
  certificateRequests: readonly CertificateSigningRequest[];
  /** A list for each kind of which control knows no more than where its objects are and who owns them. */
  others: readonly (readonly ApiObject[])[];
}

export type ControlView = ClusterView & Partial<ControlLists>;

/** The kind of each list that is read by name. */
const LISTS = {
  namespaces: NAMESPACE,
  nodes: NODE,
  pods: POD,
  services: SERVICE,
  endpointSlices: ENDPOINT_SLICE,
  endpoints: ENDPOINTS,
  configMaps: CONFIG_MAP,
  secrets: SECRET,
  serviceAccounts: SERVICE_ACCOUNT,
  deployments: DEPLOYMENT,
  replicaSets: REPLICA_SET,
  statefulSets: STATEFUL_SET,
  daemonSets: DAEMON_SET,
  controllerRevisions: CONTROLLER_REVISION,
  leases: LEASE,
  events: EVENT,
  clusterRoles: CLUSTER_ROLE,
  certificateRequests: CERTIFICATE_SIGNING_REQUEST,
} as const satisfies Partial<Record<keyof ControlView, Kind>>;

const OTHERS = KINDS.filter((kind) => kind !== LAB && !Object.values<Kind>(LISTS).includes(kind));

/** The view of a server. @param listOf  all objects of a kind */
export function controlView(
  lab: Lab,
  listOf: (kind: Kind) => readonly ApiObject[],
): ClusterView & ControlLists {
  const lists = Object.fromEntries(Object.entries(LISTS).map(([name, kind]) => [name, listOf(kind)]));
  return {
    ...(lists as unknown as Omit<ClusterView, 'lab'> & ControlLists),
    lab,
    others: OTHERS.map(listOf),
  };
}

/** All objects of a view but the lab, in a list for each kind. */
export function listsOf({ lab: _, others = [], ...lists }: ControlView): (readonly ApiObject[])[] {
  return [...Object.values(lists as Record<string, readonly ApiObject[]>), ...others];
}
