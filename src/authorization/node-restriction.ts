/**
 * What an object must look like that a node's agent writes, deletes, or asks a token for.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/admission/noderestriction; k8s.io/kubelet, pkg/apis/well_known_labels.go.
 */
import { DEFAULT_ACCOUNT } from '../api/account-volume.js';
import { equal } from '../api/json.js';
import { LEASE, NODE, POD, type Kind } from '../api/kinds.js';
import type { ApiObject, Node, Pod } from '../api/types.js';

/** Labels of Kubernetes' own that a node may give itself. */
const OWN_LABELS = new Set(
  ['hostname', 'arch', 'os']
    .map((name) => `kubernetes.io/${name}`)
    .concat(
      ['zone', 'region'].map((name) => `topology.kubernetes.io/${name}`),
      ['zone', 'region'].map((name) => `failure-domain.beta.kubernetes.io/${name}`),
      ['instance-type', 'arch', 'os'].map((name) => `beta.kubernetes.io/${name}`),
    ),
);
const OWN_PREFIX = /(^|\.)(kubelet|node)\.kubernetes\.io$/;
const RESERVED_PREFIX = /(^|\.)(kubernetes|k8s)\.io$/;

/**
 * Why a node may not write an object.
 *
 * @param next  the object as it would be stored
 * @param old   as it is; undefined when it is new
 * @returns     undefined when it may
 */
export function checkNodeWrite(
  node: string,
  kind: Kind,
  next: ApiObject,
  old: ApiObject | undefined,
): string | undefined {
  const who = `node "${node}"`;
  if (kind === NODE) {
    if (next.metadata.name !== node) return `${who} is not allowed to modify node "${next.metadata.name}"`;
    if (old && !equal((next as Node).spec ?? {}, (old as Node).spec ?? {}))
      return `${who} is not allowed to modify taints or other fields of its spec`;
    const labels = changedLabels(next, old).filter(isReserved);
    return labels.length > 0 ? `${who} is not allowed to modify labels: ${labels.join(', ')}` : undefined;
  }
  if (kind === LEASE && next.metadata.name !== node)
    return `can only access node lease with the same name as the requesting node`;
  if (kind === POD) {
    const { nodeName } = ((old ?? next) as Pod).spec;
    if (nodeName !== node)
      return `${who} can only update pod status for pods with spec.nodeName set to itself`;
  }
  return undefined;
}

/** Why a node may not delete an object. */
export function checkNodeDelete(node: string, kind: Kind, object: ApiObject): string | undefined {
  return kind === POD && (object as Pod).spec.nodeName !== node
    ? `node "${node}" can only delete pods with spec.nodeName set to itself`
    : undefined;
}

/** Why a node gets no token of an account. @param pod  to which the token would be bound */
export function checkNodeToken(node: string, account: string, pod: Pod | undefined): string | undefined {
  const who = `node "${node}"`;
  if (!pod) return `${who} requested token not bound to a pod`;
  const { nodeName, serviceAccountName } = pod.spec;
  if (nodeName !== node) return `${who} requested token bound to a pod scheduled on a different node`;
  return (serviceAccountName || DEFAULT_ACCOUNT) === account
    ? undefined
    : `${who} requested token of an account that the pod "${pod.metadata.name}" does not use`;
}

function changedLabels(next: ApiObject, old: ApiObject | undefined): string[] {
  const now = next.metadata.labels ?? {};
  const before = old?.metadata.labels ?? {};
  return Object.keys({ ...before, ...now }).filter((key) => now[key] !== before[key]);
}

function isReserved(label: string): boolean {
  const prefix = label.includes('/') ? label.slice(0, label.indexOf('/')) : '';
  return RESERVED_PREFIX.test(prefix) && !OWN_LABELS.has(label) && !OWN_PREFIX.test(prefix);
}
