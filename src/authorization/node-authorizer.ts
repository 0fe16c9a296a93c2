/**
 * What the agent of a node may do: see everything that packets are sent by, and of the rest what belongs to its own node and
 * its own pods. An agent that is taken over gives away the secrets of the pods that ran beside it, and no others.
 *
 * Theory of operation. Every pod that is placed is an entry at its node: what it names (ConfigMaps, Secrets, its account)
 * counts up, and down again when the pod changes or goes. A request of a node is looked up there.
 *
 * What an object must look like that a node writes is in node-restriction.ts.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/auth/authorizer/node.
 */
import { DEFAULT_ACCOUNT } from '../api/account-volume.js';
import { LEASE_NAMESPACE } from '../api/lease.js';
import { podReferences } from '../api/pod-references.js';
import { keyOf, type Pod } from '../api/types.js';
import { NODE_USER, NODES_GROUP } from '../api/user.js';
import { NODE_OWN_RULES, NODE_READ_RULES } from './node-rules.js';
import {
  isPathRequest,
  type AccessRequest,
  type Decision,
  type Requester,
  type ResourceRequest,
} from './request.js';
import { ruleAllows } from './rule.js';

/** The node whose agent this is; undefined: it is none. */
export const nodeOf = ({ username, groups }: Requester): string | undefined =>
  username.startsWith(NODE_USER) && groups.includes(NODES_GROUP)
    ? username.slice(NODE_USER.length) || undefined
    : undefined;

interface Placed {
  readonly node: string;
  readonly names: readonly string[];
}

export class NodeAuthorizer {
  readonly #pods = new Map<string, Placed>();
  /** `node resource namespace/name` → how many pods of the node name it. */
  readonly #counts = new Map<string, number>();
  readonly #nodeOfPath: (path: string) => string | undefined;

  /** @param nodeOfPath  the node whose agent dials at a path */
  constructor(nodeOfPath: (path: string) => string | undefined) {
    this.#nodeOfPath = nodeOfPath;
  }

  /** Take in a pod, or its newer version. */
  set(pod: Pod): void {
    const key = keyOf(pod);
    const { nodeName } = pod.spec;
    const names = nodeName ? namesOf(pod) : [];
    const known = this.#pods.get(key);
    if (known && known.node === nodeName && known.names.join() === names.join()) return;
    this.delete(pod);
    if (!nodeName) return;
    this.#pods.set(key, { node: nodeName, names });
    for (const name of names) this.#count(`${nodeName} ${name}`, 1);
  }

  delete(pod: Pod): void {
    const key = keyOf(pod);
    const known = this.#pods.get(key);
    if (!known) return;
    this.#pods.delete(key);
    for (const name of known.names) this.#count(`${known.node} ${name}`, -1);
  }

  #count(key: string, by: number): void {
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }

  /** Whether a node's agent may; undefined when who asks is no node. */
  decide(user: Requester, request: AccessRequest): Decision | undefined {
    const node = nodeOf(user);
    if (node === undefined) return undefined;
    if (isPathRequest(request)) {
      const isOwn = request.verb === 'post' && this.#nodeOfPath(request.path) === node;
      return isOwn ? allowed(`the line of node "${node}"`) : { isAllowed: false, reason: '' };
    }
    if (NODE_READ_RULES.some((rule) => ruleAllows(rule, request))) return allowed('read by every node');
    if (!NODE_OWN_RULES.some((rule) => ruleAllows(rule, request))) return { isAllowed: false, reason: '' };
    const why = this.#whyNot(node, request);
    return why === undefined ? allowed(`of node "${node}"`) : { isAllowed: false, reason: why };
  }

  /** Why a request for something that may be the node's own is refused. */
  #whyNot(node: string, request: ResourceRequest): string | undefined {
    const { resource, namespace, name, verb } = request;
    switch (resource) {
      case 'nodes':
        return name === node || verb === 'create' ? undefined : 'a node may write its own Node only';
      case 'leases':
        return namespace === LEASE_NAMESPACE && (name === node || verb === 'create')
          ? undefined
          : `can only access node lease with the same name as the requesting node`;
      case 'pods':
        return undefined; // see node-restriction.ts
      default: {
        if (namespace === '' || name === '') return 'can only read resources of this type by name';
        return this.#counts.has(`${node} ${resource} ${namespace}/${name}`)
          ? undefined
          : `no relationship found between node '${node}' and this object`;
      }
    }
  }
}

const allowed = (what: string): Decision => ({ isAllowed: true, reason: `Node: ${what}` });

/** `secrets namespace/name` of everything that a pod names. */
function namesOf(pod: Pod): string[] {
  const { configMaps, secrets } = podReferences(pod);
  const { namespace = '' } = pod.metadata;
  return [
    ...[...configMaps].map((name) => `configmaps ${namespace}/${name}`),
    ...[...secrets].map((name) => `secrets ${namespace}/${name}`),
    `serviceaccounts ${namespace}/${pod.spec.serviceAccountName || DEFAULT_ACCOUNT}`,
  ];
}
