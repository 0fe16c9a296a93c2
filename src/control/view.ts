/**
 * What control looks at: all objects. Agents see less ({@link ClusterView}), so control takes lists that are not there
 * for empty.
 */
import {
  ENDPOINT_SLICE,
  ENDPOINTS,
  KINDS,
  LAB,
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  SERVICE_ACCOUNT,
  type Kind,
} from '../api/kinds.js';
import type { ApiObject, ClusterView, Lab, ServiceAccount } from '../api/types.js';

/** Kinds that control reads, and agents need not. */
export interface ControlLists {
  serviceAccounts: readonly ServiceAccount[];
  /** Objects of all kinds of which control knows no more than where they are and who owns them. */
  others: readonly ApiObject[];
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
  serviceAccounts: SERVICE_ACCOUNT,
} as const satisfies Partial<Record<keyof ControlView, Kind>>;

const OTHERS = KINDS.filter((kind) => kind !== LAB && !Object.values<Kind>(LISTS).includes(kind));

/** The view of a server. @param listOf  all objects of a kind */
export function controlView(lab: Lab, listOf: (kind: Kind) => ApiObject[]): ClusterView & ControlLists {
  const lists = Object.fromEntries(Object.entries(LISTS).map(([name, kind]) => [name, listOf(kind)]));
  return {
    ...(lists as unknown as Omit<ClusterView, 'lab'> & ControlLists),
    lab,
    others: OTHERS.flatMap(listOf),
  };
}

/** All objects of a view but the lab. */
export const objectsOf = (view: ControlView): ApiObject[] =>
  Object.values({ ...view }).flatMap((list) => (Array.isArray(list) ? (list as ApiObject[]) : []));
