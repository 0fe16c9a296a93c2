/**
 * Roles and bindings, found by who asks: the authorizer's memory.
 *
 * Theory of operation. Every subject of every binding is an entry at its subject's key, in the binding's namespace ('' for a
 * ClusterRoleBinding). A request looks at the keys of its user and of its groups, in its namespace and in '', and nowhere
 * else: what others may do costs it nothing, among ten bindings or ten thousand. A binding that changes is taken out
 * and put in again. The role is looked up when it is needed, for it may come later than its bindings, or go earlier.
 *
 * Source: k8s.io/kubernetes, pkg/registry/rbac/validation/rule.go, plugin/pkg/auth/authorizer/rbac/rbac.go.
 */
import { CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING } from '../api/kinds.js';
import type {
  ApiObject,
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '../api/types.js';
import { ACCOUNT_USER } from '../api/user.js';
import { isPathRequest, type AccessRequest, type Decision, type Requester } from './request.js';
import { ruleAllows } from './rule.js';

type AnyBinding = RoleBinding | ClusterRoleBinding;

/** A subject of a binding. */
interface Grant {
  readonly binding: AnyBinding;
  readonly subject: Subject;
}

/** The kinds that the index is made of. */
export const ROLE_KINDS = [ROLE, CLUSTER_ROLE, ROLE_BINDING, CLUSTER_ROLE_BINDING] as const;

export class RoleIndex {
  readonly #roles = new Map<string, Role | ClusterRole>();
  readonly #bindings = new Map<string, AnyBinding>();
  /** Subject → namespace → grants by binding. */
  readonly #grants = new Map<string, Map<string, Map<string, Grant>>>();

  /** Take in an object of one of {@link ROLE_KINDS}, or its newer version. */
  set(object: ApiObject): void {
    if (isRole(object)) {
      this.#roles.set(keyOf(object), object as Role);
      return;
    }
    this.delete(object);
    const binding = object as AnyBinding;
    const key = keyOf(binding);
    this.#bindings.set(key, binding);
    const namespace = binding.metadata.namespace ?? '';
    for (const [i, subject] of (binding.subjects ?? []).entries()) {
      const subjectKey = keyOfSubject(subject, namespace);
      if (subjectKey !== undefined)
        entry(entry(this.#grants, subjectKey), namespace).set(`${key} ${i}`, { binding, subject });
    }
  }

  /** Forget an object of one of {@link ROLE_KINDS}. */
  delete(object: ApiObject): void {
    const key = keyOf(object);
    if (isRole(object)) {
      this.#roles.delete(key);
      return;
    }
    const known = this.#bindings.get(key);
    if (!known) return;
    this.#bindings.delete(key);
    const namespace = known.metadata.namespace ?? '';
    for (const [i, subject] of (known.subjects ?? []).entries()) {
      const subjectKey = keyOfSubject(subject, namespace);
      const places = subjectKey === undefined ? undefined : this.#grants.get(subjectKey);
      const grants = places?.get(namespace);
      grants?.delete(`${key} ${i}`);
      if (grants?.size === 0) places!.delete(namespace);
      if (places?.size === 0) this.#grants.delete(subjectKey!);
    }
  }

  /** Whether the roles allow a request. */
  decide(user: Requester, request: AccessRequest): Decision {
    const faults: string[] = [];
    const namespace = isPathRequest(request) ? '' : request.namespace;
    for (const grant of this.#grantsOf(user, namespace)) {
      const rules = this.#rulesOf(grant.binding);
      if (!rules) faults.push(noRole(grant.binding));
      else if (rules.some((rule) => ruleAllows(rule, request)))
        return { isAllowed: true, reason: `RBAC: allowed by ${describe(grant)}` };
    }
    const unique = [...new Set(faults)];
    const text = unique.length > 1 ? `[${unique.join(', ')}]` : unique[0];
    return { isAllowed: false, reason: text === undefined ? '' : `RBAC: ${text}` };
  }

  /** All rules that a user has in a namespace, those of everywhere included; '' for those alone. */
  rulesOf(user: Requester, namespace: string): PolicyRule[] {
    return [...this.#grantsOf(user, namespace)].flatMap(({ binding }) => this.#rulesOf(binding) ?? []);
  }

  /** The rules of the role that a binding gives; undefined when there is no such role. */
  rulesOfBinding(binding: AnyBinding): PolicyRule[] | undefined {
    return this.#rulesOf(binding);
  }

  *#grantsOf({ username, groups }: Requester, namespace: string): Generator<Grant> {
    const keys = [userKey(username), ...groups.map(groupKey)];
    for (const place of namespace === '' ? [''] : ['', namespace])
      for (const key of keys) {
        const grants = this.#grants.get(key)?.get(place);
        if (grants) yield* grants.values();
      }
  }

  #rulesOf({ roleRef, metadata }: AnyBinding): PolicyRule[] | undefined {
    const namespace = roleRef.kind === ROLE.kind ? (metadata.namespace ?? '') : '';
    const role = this.#roles.get(`${namespace}/${roleRef.name}`);
    return role && (role.rules ?? []);
  }
}

const isRole = ({ kind }: ApiObject): boolean => kind === ROLE.kind || kind === CLUSTER_ROLE.kind;

const keyOf = ({ metadata }: ApiObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

const userKey = (name: string): string => `User ${name}`;
const groupKey = (name: string): string => `Group ${name}`;

/** A service account is the user that its token makes of it. */
function keyOfSubject({ kind, name, namespace }: Subject, ownNamespace: string): string | undefined {
  if (kind === 'User') return userKey(name);
  if (kind === 'Group') return groupKey(name);
  const place = namespace || ownNamespace;
  return place === '' ? undefined : userKey(`${ACCOUNT_USER}${place}:${name}`);
}

function entry<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let found = map.get(key);
  if (!found) map.set(key, (found = new Map<string, V>()));
  return found;
}

const noRole = ({ roleRef }: AnyBinding): string =>
  `${roleRef.kind.toLowerCase()}.rbac.authorization.k8s.io "${roleRef.name}" not found`;

/** `RoleBinding "read/default" of Role "reader" to User "jane"` */
function describe({ binding, subject }: Grant): string {
  const { name, namespace } = binding.metadata;
  const { roleRef } = binding;
  const own = namespace ? `RoleBinding "${name}/${namespace}"` : `ClusterRoleBinding "${name}"`;
  const place = subject.kind === 'ServiceAccount' ? (subject.namespace ?? namespace) : undefined;
  const who = place ? `${subject.name}/${place}` : subject.name;
  return `${own} of ${roleRef.kind} "${roleRef.name}" to ${subject.kind} "${who}"`;
}
