/**
 * Acting as somebody else (`kubectl --as`): headers name whom, and who asks needs the verb `impersonate` for each of them.
 *
 * Source: k8s.io/apiserver, pkg/endpoints/filters/impersonation.go.
 */
import type { IncomingMessage } from 'node:http';
import { badRequest } from '../../api/error.js';
import { accountGroups, AUTHENTICATED, UNAUTHENTICATED, type User } from '../../api/user.js';
import type { Authorizer } from './authorizer.js';

const USER = 'impersonate-user';
const GROUP = 'impersonate-group';
const UID = 'impersonate-uid';
const EXTRA = 'impersonate-extra-';
const ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;
const ANONYMOUS = 'system:anonymous';

/**
 * The user whose rights count for a request.
 *
 * @param user  who has come in
 * @throws ApiError 403 when that user may not act as the other, 400 for headers that name nobody
 */
export function impersonate(authorizer: Authorizer, request: IncomingMessage, user: User): User {
  // Node joins headers of one name by commas, which a group's name may contain.
  const all = (name: string): string[] =>
    request.rawHeaders.filter((_, i, raw) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name);
  const [username, ...others] = all(USER);
  const groups = all(GROUP);
  const [uid] = all(UID);
  if (Object.keys(request.headers).some((name) => name.startsWith(EXTRA)))
    throw badRequest('Cannot impersonate extra fields: users have none here; leave Impersonate-Extra-… out');
  if (!username) {
    if (groups.length > 0 || uid !== undefined)
      throw badRequest('Cannot impersonate a group or a uid without a user: set Impersonate-User too');
    return user;
  }
  if (others.length > 0) throw badRequest('Impersonate-User must be given once');

  const require = (group: string, resource: string, name: string, namespace = ''): void =>
    authorizer.require(user, { verb: 'impersonate', group, resource, subresource: '', namespace, name });
  const account = ACCOUNT.exec(username);
  if (account) require('', 'serviceaccounts', account[2]!, account[1]);
  else require('', 'users', username);
  for (const group of groups) require('', 'groups', group);
  if (uid !== undefined) require('authentication.k8s.io', 'uids', uid);

  const own = account && groups.length === 0 ? accountGroups(account[1]!) : groups;
  const everybody = username === ANONYMOUS || own.includes(UNAUTHENTICATED) ? UNAUTHENTICATED : AUTHENTICATED;
  return { username, groups: [...new Set([...own, everybody])], ...(uid !== undefined && { uid }) };
}
