/**
 * What somebody wants to do, as roles speak of it, and the sentence that refuses it.
 *
 * Source: k8s.io/apiserver, pkg/endpoints/request/requestinfo.go (verbs), pkg/endpoints/handlers/responsewriters/errors.go
 * (the sentence).
 */
import { ApiError } from '../api/error.js';
import type { User } from '../api/user.js';

/** Who asks, as far as roles know them. */
export type Requester = Pick<User, 'username' | 'groups'>;

/** A request for a resource; '' stands for a part it does not have. */
export interface ResourceRequest {
  readonly verb: string;
  readonly group: string;
  /** `pods` */
  readonly resource: string;
  /** `log` */
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
}

/** A request for a path that is no resource; the verb is the HTTP method in lower case. */
export interface PathRequest {
  readonly verb: string;
  readonly path: string;
}

export type AccessRequest = ResourceRequest | PathRequest;

export const isPathRequest = (request: AccessRequest): request is PathRequest => 'path' in request;

/** Whether it may be done, and why: or, where something is amiss with the roles, why not. */
export interface Decision {
  readonly isAllowed: boolean;
  readonly reason: string;
}

/** `deployments`, `deployments/scale` */
export const resourceText = ({ resource, subresource }: ResourceRequest): string =>
  subresource === '' ? resource : `${resource}/${subresource}`;

const VERBS: Readonly<Record<string, string | undefined>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/**
 * The verb of a request for resources.
 *
 * @param isOne  whether it names an object
 * @returns      '' for a method that resources do not know
 */
export function verbOf(method: string, isOne: boolean, isWatch: boolean): string {
  const verb = VERBS[method] ?? '';
  if (verb === 'get' && isWatch) return 'watch';
  if (isOne) return verb;
  return verb === 'get' ? 'list' : verb === 'delete' ? 'deletecollection' : verb;
}

/** `User "jane" cannot list resource "pods" in API group "" in the namespace "default"` */
export function sentence({ username }: Requester, request: AccessRequest): string {
  if (isPathRequest(request))
    return `User "${username}" cannot ${request.verb} path ${JSON.stringify(request.path)}`;
  const { verb, group, namespace } = request;
  const where = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  return `User "${username}" cannot ${verb} resource "${resourceText(request)}" in API group "${group}" ${where}`;
}

/** The error that refuses a request. */
export function refusal(user: Requester, request: AccessRequest, { reason }: Decision): ApiError {
  const why = sentence(user, request) + (reason ? `: ${reason}` : '');
  if (isPathRequest(request)) return new ApiError(403, 'Forbidden', `forbidden: ${why}`, {});
  const { group, resource, name } = request;
  const qualified = group ? `${resource}.${group}` : resource;
  const what = name ? `${qualified} "${name}"` : qualified;
  return new ApiError(403, 'Forbidden', `${what} is forbidden: ${why}`, {
    name: name || undefined,
    group: group || undefined,
    kind: resource,
  });
}
