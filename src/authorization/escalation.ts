/**
 * Nobody gives rights that he does not have: not by writing a role, not by binding one. Who may `escalate` roles, or `bind` this
 * one, is excepted, and so is the group system:masters.
 *
 * Source: k8s.io/kubernetes, pkg/registry/rbac/escalation_check.go, pkg/registry/rbac/validation/rule.go.
 */
import { canonical } from '../api/json.js';
import { CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, type Kind } from '../api/kinds.js';
import { isForbidden, notFound } from '../api/error.js';
import type {
  ApiObject,
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
} from '../api/types.js';
import { MASTERS } from '../api/user.js';
import type { AccessRequest, Decision, Requester } from './request.js';
import type { RoleIndex } from './role-index.js';
import { listText, missingRules, ruleText } from './rule.js';

/** What only who may do everything may give: an aggregate takes in roles that are yet to be written. */
const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

export interface EscalationContext {
  readonly roles: RoleIndex;
  decide(user: Requester, request: AccessRequest): Decision;
}

/**
 * Hold what a user writes against what the user has.
 *
 * @param next  the object as it would be stored
 * @throws ApiError 403, or 404 when a binding is to a role that is not there
 */
export function checkEscalation(
  context: EscalationContext,
  user: Requester,
  kind: Kind,
  next: ApiObject,
  old: ApiObject | undefined,
): void {
  const isRole = kind === ROLE || kind === CLUSTER_ROLE;
  const isBinding = kind === ROLE_BINDING || kind === CLUSTER_ROLE_BINDING;
  if (!(isRole || isBinding) || user.groups.includes(MASTERS) || (old && isSame(next, old))) return;
  if (isRole) checkRole(context, user, kind, next as ClusterRole);
  else checkBinding(context, user, kind, next as RoleBinding);
}

function checkRole(context: EscalationContext, user: Requester, kind: Kind, role: Role | ClusterRole): void {
  const { name, namespace = '' } = role.metadata;
  if (may(context, user, 'escalate', kind, namespace, name)) return;
  checkHeld(context, user, kind, role, role.rules ?? []);
  if ('aggregationRule' in role && role.aggregationRule) {
    const missing = missingRules(context.roles.rulesOf(user, ''), EVERYTHING);
    if (missing.length > 0)
      throw isForbidden(kind, name, 'must have cluster-admin privileges to use an aggregationRule');
  }
}

function checkBinding(
  context: EscalationContext,
  user: Requester,
  kind: Kind,
  binding: RoleBinding | ClusterRoleBinding,
): void {
  const { roleRef, metadata } = binding;
  const roleKind = roleRef.kind === ROLE.kind ? ROLE : CLUSTER_ROLE;
  if (may(context, user, 'bind', roleKind, metadata.namespace ?? '', roleRef.name)) return;
  const rules = context.roles.rulesOfBinding(binding);
  if (!rules) throw notFound(roleKind, roleRef.name);
  checkHeld(context, user, kind, binding, rules);
}

const may = (
  { decide }: EscalationContext,
  user: Requester,
  verb: string,
  { group, plural }: Kind,
  namespace: string,
  name: string,
): boolean => decide(user, { verb, group, resource: plural, subresource: '', namespace, name }).isAllowed;

/** @throws ApiError 403 that names what is missing */
function checkHeld(
  { roles }: EscalationContext,
  user: Requester,
  kind: Kind,
  { metadata }: ApiObject,
  rules: readonly PolicyRule[],
): void {
  const missing = missingRules(roles.rulesOf(user, metadata.namespace ?? ''), rules);
  if (missing.length === 0) return;
  const lines = missing.map(ruleText).sort();
  throw isForbidden(
    kind,
    metadata.name,
    `user "${user.username}" (groups=${listText(user.groups)}) is attempting to grant RBAC permissions not ` +
      `currently held:\n${lines.join('\n')}`,
  );
}

/** Whether nothing is changed but what the garbage collector needs. */
function isSame(next: ApiObject, old: ApiObject): boolean {
  const text = (object: ApiObject): string => {
    const { ownerReferences: _, finalizers: __, resourceVersion: ___, ...metadata } = object.metadata;
    return canonical({ ...object, metadata: { ...metadata, managedFields: undefined } });
  };
  return text(next) === text(old);
}
