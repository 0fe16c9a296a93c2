/**
 * The roles and bindings that are there from the beginning, as in a cluster; see docs/access.md for what each is for. They are
 * made when the server starts; what somebody took away from them is put back then, what somebody added stays. An object with the
 * annotation `rbac.authorization.kubernetes.io/autoupdate: "false"` is left as it is.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go; of its roles those are left out whose
 * components do not exist here.
 */
import { equal } from '../api/json.js';
import { CLUSTER_ROLE, CLUSTER_ROLE_BINDING, apiVersionOf } from '../api/kinds.js';
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Subject } from '../api/types.js';
import { AUTHENTICATED, MASTERS, UNAUTHENTICATED } from '../api/user.js';
import { NODE_RULES } from './node-rules.js';
import { missingRules } from './rule.js';

const LABELS = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate';
const AGGREGATE = 'rbac.authorization.k8s.io/aggregate-to-';
const RBAC = 'rbac.authorization.k8s.io';
const GATEWAY = 'gateway.networking.k8s.io';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const READ_WRITE = [...READ, ...WRITE].sort();

const rule = (verbs: string[], group: string, ...resources: string[]): PolicyRule => ({
  verbs,
  apiGroups: [group],
  resources,
});
const paths = (...nonResourceURLs: string[]): PolicyRule => ({ verbs: ['get'], nonResourceURLs });

const WORKLOADS = ['daemonsets', 'deployments', 'replicasets', 'statefulsets'];
const SCALED = ['deployments/scale', 'replicasets/scale', 'statefulsets/scale'];
const STATUSES = WORKLOADS.map((name) => `${name}/status`);
const ROUTES = [
  'gateways',
  'grpcroutes',
  'httproutes',
  'referencegrants',
  'tcproutes',
  'tlsroutes',
  'udproutes',
];
const PLAIN = ['configmaps', 'endpoints', 'events', 'pods', 'serviceaccounts', 'services'];

const VIEW: readonly PolicyRule[] = [
  rule(READ, '', ...PLAIN, 'pods/log', 'pods/status', 'services/status', 'namespaces', 'namespaces/status'),
  rule(READ, 'apps', 'controllerrevisions', ...WORKLOADS, ...SCALED, ...STATUSES),
  rule(READ, 'discovery.k8s.io', 'endpointslices'),
  rule(READ, 'networking.k8s.io', 'ingresses', 'ingresses/status', 'networkpolicies'),
  rule(READ, 'metrics.k8s.io', 'nodes', 'pods'),
];

const EDIT: readonly PolicyRule[] = [
  rule(READ, '', 'pods/attach', 'pods/exec', 'pods/portforward', 'secrets'),
  rule(['impersonate'], '', 'serviceaccounts'),
  rule(WRITE, '', 'pods', 'pods/attach', 'pods/exec', 'pods/portforward'),
  rule(['create'], '', 'pods/eviction', 'serviceaccounts/token'),
  rule(WRITE, '', 'configmaps', 'events', 'secrets', 'serviceaccounts', 'services'),
  rule(WRITE, 'apps', ...WORKLOADS, ...SCALED),
  rule(WRITE, 'networking.k8s.io', 'ingresses', 'networkpolicies'),
  rule(READ_WRITE, 'coordination.k8s.io', 'leases'),
];

const ADMIN: readonly PolicyRule[] = [
  rule(['create'], 'authorization.k8s.io', 'localsubjectaccessreviews'),
  rule(READ_WRITE, RBAC, 'rolebindings', 'roles'),
];

const role = (
  name: string,
  rules: readonly PolicyRule[],
  labels: Record<string, string> = {},
): ClusterRole => ({
  apiVersion: apiVersionOf(CLUSTER_ROLE),
  kind: CLUSTER_ROLE.kind,
  metadata: { name, labels: { ...LABELS, ...labels }, annotations: { [AUTOUPDATE]: 'true' } },
  rules: [...rules],
});

/** A role that is a part of others. */
const part = (prefix: string, of: string, rules: readonly PolicyRule[]): ClusterRole =>
  role(`${prefix}:aggregate-to-${of}`, rules, { [`${AGGREGATE}${of}`]: 'true' });

/** A role that is made of its parts. @param of  the next larger one, of which it is a part itself */
function whole(name: string, of?: string): ClusterRole {
  const clusterRoleSelectors = [{ matchLabels: { [AGGREGATE + name]: 'true' } }];
  const labels = of === undefined ? {} : { [AGGREGATE + of]: 'true' };
  return { ...role(name, [], labels), aggregationRule: { clusterRoleSelectors } };
}

const subjects = (...groups: string[]): Subject[] =>
  groups.map((name) => ({ apiGroup: RBAC, kind: 'Group', name }));

const binding = (name: string, roleName: string, ...groups: string[]): ClusterRoleBinding => ({
  apiVersion: apiVersionOf(CLUSTER_ROLE_BINDING),
  kind: CLUSTER_ROLE_BINDING.kind,
  metadata: { name, labels: { ...LABELS }, annotations: { [AUTOUPDATE]: 'true' } },
  roleRef: { apiGroup: RBAC, kind: CLUSTER_ROLE.kind, name: roleName },
  subjects: subjects(...groups),
});

/** Open to who has not even said who it is. */
const HEALTH = ['/healthz', '/livez', '/readyz', '/version', '/version/'];
const CSR = 'certificatesigningrequests';
/** Who shows a token by which a host joins. */
const BOOTSTRAPPERS = 'system:bootstrappers:podwire';

export const DEFAULT_ROLES: readonly ClusterRole[] = [
  role('cluster-admin', [rule(['*'], '*', '*'), { verbs: ['*'], nonResourceURLs: ['*'] }]),
  whole('admin'),
  whole('edit', 'admin'),
  whole('view', 'edit'),
  part('system', 'admin', ADMIN),
  part('system', 'edit', EDIT),
  part('system', 'view', VIEW),
  part('podwire', 'edit', [rule(WRITE, 'podwire.dev', '*'), rule(WRITE, GATEWAY, ...ROUTES)]),
  part('podwire', 'view', [
    rule(READ, 'podwire.dev', '*'),
    rule(READ, GATEWAY, ...ROUTES, ...ROUTES.map((name) => `${name}/status`)),
  ]),
  role('system:auth-delegator', [
    rule(['create'], 'authentication.k8s.io', 'tokenreviews'),
    rule(['create'], 'authorization.k8s.io', 'subjectaccessreviews'),
  ]),
  role('system:basic-user', [
    rule(['create'], 'authorization.k8s.io', 'selfsubjectaccessreviews', 'selfsubjectrulesreviews'),
    rule(['create'], 'authentication.k8s.io', 'selfsubjectreviews'),
  ]),
  role('system:discovery', [
    paths('/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', ...HEALTH),
  ]),
  role('system:public-info-viewer', [paths(...HEALTH)]),
  role('system:node', NODE_RULES),
  role('system:node-bootstrapper', [rule(['create', ...READ], 'certificates.k8s.io', CSR)]),
  role('podwire:node-getter', [rule(['get'], '', 'nodes')]),
];

export const DEFAULT_BINDINGS: readonly ClusterRoleBinding[] = [
  binding('cluster-admin', 'cluster-admin', MASTERS),
  binding('system:basic-user', 'system:basic-user', AUTHENTICATED),
  binding('system:discovery', 'system:discovery', AUTHENTICATED),
  binding('system:public-info-viewer', 'system:public-info-viewer', AUTHENTICATED, UNAUTHENTICATED),
  binding('podwire:node-bootstrapper', 'system:node-bootstrapper', BOOTSTRAPPERS),
  binding('podwire:node-getter', 'podwire:node-getter', BOOTSTRAPPERS),
];

/** A default that is missing, or one that lacks something: the object as it should be. */
export type Repaired = { type: 'create' | 'update'; object: ClusterRole | ClusterRoleBinding };

/** What has to be written so that all defaults are there and whole. */
export function repairDefaults(
  roles: readonly ClusterRole[],
  bindings: readonly ClusterRoleBinding[],
): Repaired[] {
  const roleOf = new Map(roles.map((one) => [one.metadata.name, one]));
  const bindingOf = new Map(bindings.map((one) => [one.metadata.name, one]));
  return [
    ...DEFAULT_ROLES.flatMap((wanted) => repaired(wanted, roleOf.get(wanted.metadata.name), repairRole)),
    ...DEFAULT_BINDINGS.flatMap((wanted) =>
      repaired(wanted, bindingOf.get(wanted.metadata.name), repairBinding),
    ),
  ];
}

function repaired<T extends ClusterRole | ClusterRoleBinding>(
  wanted: T,
  found: T | undefined,
  repair: (wanted: T, found: T) => T,
): Repaired[] {
  if (!found) return [{ type: 'create', object: wanted }];
  if (found.metadata.annotations?.[AUTOUPDATE] === 'false') return [];
  const { labels, annotations } = wanted.metadata;
  const metadata = {
    ...found.metadata,
    labels: { ...found.metadata.labels, ...labels },
    annotations: { ...annotations, ...found.metadata.annotations },
  };
  const next = { ...repair(wanted, found), metadata };
  return equal(next, found) ? [] : [{ type: 'update', object: next }];
}

function repairRole(wanted: ClusterRole, found: ClusterRole): ClusterRole {
  if (wanted.aggregationRule) {
    const selectors = found.aggregationRule?.clusterRoleSelectors ?? [];
    const missing = wanted.aggregationRule.clusterRoleSelectors!.filter(
      (one) => !selectors.some((other) => equal(one, other)),
    );
    return { ...found, aggregationRule: { clusterRoleSelectors: [...selectors, ...missing] } };
  }
  const { rules = [] } = found;
  return { ...found, rules: [...rules, ...missingRules(rules, wanted.rules ?? [])] };
}

/** A binding to another role is none of ours, whatever its name: it is replaced, for a roleRef cannot be changed. */
function repairBinding(wanted: ClusterRoleBinding, found: ClusterRoleBinding): ClusterRoleBinding {
  if (!equal(wanted.roleRef, found.roleRef)) return { ...wanted, metadata: found.metadata };
  const having = found.subjects ?? [];
  const missing = wanted.subjects!.filter(
    (one) => !having.some(({ kind, name }) => kind === one.kind && name === one.name),
  );
  return { ...found, subjects: [...having, ...missing] };
}
