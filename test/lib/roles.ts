/**
 * Roles, bindings and requests in short, for tests; and a plain twin of the authorizer.
 */
import type {
  ApiObject,
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '../../src/api/types.js';
import type { AccessRequest, Requester } from '../../src/authorization/request.js';

const apiVersion = 'rbac.authorization.k8s.io/v1';
const GROUP = 'rbac.authorization.k8s.io';

const list = (text: string): string[] => (text === '-' ? [] : text.split(','));

/** `get,list pods,pods/log` · `get deployments@apps` (`core` is '') · `get pods@core web,db` (names) · `get /healthz,/version` */
export function rule(text: string): PolicyRule {
  const [verbs, what, names] = text.split(' ') as [string, string, string?];
  if (what.startsWith('/') || what === '%') {
    return { verbs: list(verbs), nonResourceURLs: list(what.replace('%', '*')) };
  }
  const [resources, groups = 'core'] = what.split('@') as [string, string?];
  return {
    verbs: list(verbs),
    apiGroups: list(groups).map((group) => (group === 'core' ? '' : group)),
    resources: list(resources),
    ...(names !== undefined && { resourceNames: list(names) }),
  };
}

/** A Role where there is a namespace, else a ClusterRole. */
export const role = (name: string, rules: readonly string[], namespace?: string): Role | ClusterRole => ({
  apiVersion,
  kind: namespace === undefined ? 'ClusterRole' : 'Role',
  metadata: { name, namespace },
  rules: rules.map(rule),
});

/** `user:jane`, `group:dev`, `account:default/robot` */
export function subject(text: string): Subject {
  const [, kind, name] = /^([a-z]+):(.*)$/.exec(text)!;
  if (kind === 'user') return { kind: 'User', apiGroup: GROUP, name: name! };
  if (kind === 'group') return { kind: 'Group', apiGroup: GROUP, name: name! };
  const [namespace, account] = name!.includes('/') ? name!.split('/') : [undefined, name];
  return { kind: 'ServiceAccount', name: account!, ...(namespace !== undefined && { namespace }) };
}

/** @param roleName  `Role/x` or `ClusterRole/x` */
export function binding(
  name: string,
  roleName: string,
  subjects: readonly string[],
  namespace?: string,
): RoleBinding | ClusterRoleBinding {
  const [kind, ref] = roleName.split('/') as [string, string];
  return {
    apiVersion,
    kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, namespace },
    roleRef: { apiGroup: GROUP, kind, name: ref },
    subjects: subjects.map(subject),
  };
}

/** `get pods/log web in default` · `list deployments@apps in x` · `list nodes` · `get /healthz` */
export function request(text: string): AccessRequest {
  const match = /^(\S*) (\S+?)(?: (\S+))??(?: in (\S+))?$/.exec(text);
  if (!match) throw new SyntaxError(`Cannot read "${text}" as a request`);
  const [, verb, what, name = '', namespace = ''] = match as unknown as [
    string,
    string,
    string,
    string?,
    string?,
  ];
  if (what.startsWith('/')) return { verb, path: what };
  const [resourcePath, group = ''] = what.split('@') as [string, string?];
  const [resource, ...rest] = resourcePath.split('/') as [string, ...string[]];
  return { verb, group, resource, subresource: rest.join('/'), namespace, name };
}

/** `jane`, `jane+dev+ops` */
export function user(text: string): Requester {
  const [username, ...groups] = text.split('+') as [string, ...string[]];
  return { username, groups };
}

/** The twin: everything is looked at for every request. */
export function allowedByRoles(
  objects: readonly ApiObject[],
  { username, groups }: Requester,
  asked: AccessRequest,
): boolean {
  const has = (items: readonly string[] | undefined, wanted: string): boolean =>
    (items ?? []).some((item) => item === '*' || item === wanted);
  const isMeant = ({ kind, name, namespace }: Subject, own: string | undefined): boolean => {
    if (kind === 'User') return name === username;
    if (kind === 'Group') return groups.includes(name);
    return username === `system:serviceaccount:${namespace ?? own ?? ''}:${name}`;
  };
  const allows = (one: PolicyRule): boolean => {
    if (!has(one.verbs, asked.verb)) return false;
    if ('path' in asked)
      return (one.nonResourceURLs ?? []).some((pattern) =>
        pattern.endsWith('*') ? asked.path.startsWith(pattern.slice(0, -1)) : pattern === asked.path,
      );
    const { resource, subresource, name } = asked;
    const whole = subresource ? `${resource}/${subresource}` : resource;
    return (
      has(one.apiGroups, asked.group) &&
      (has(one.resources, whole) || (subresource !== '' && has(one.resources, `*/${subresource}`))) &&
      ((one.resourceNames ?? []).length === 0 || one.resourceNames!.includes(name))
    );
  };
  return objects.some((object) => {
    if (!object.kind.endsWith('Binding')) return false;
    const { metadata, roleRef, subjects = [] } = object as RoleBinding;
    const { namespace } = metadata;
    if (object.kind === 'RoleBinding' && ('path' in asked || asked.namespace !== namespace)) return false;
    if (!subjects.some((one) => isMeant(one, namespace))) return false;
    return objects.some(
      (other) =>
        other.kind === roleRef.kind &&
        other.metadata.name === roleRef.name &&
        (other.kind === 'ClusterRole' || other.metadata.namespace === namespace) &&
        ((other as Role).rules ?? []).some(allows),
    );
  });
}
