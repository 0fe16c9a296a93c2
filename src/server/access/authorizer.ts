/**
 * Who may do what: the roles and pods of the store, kept in the memory of authorization/, and asked about every request.
 *
 * Theory of operation. Everything is read once and then watched. The store tells its watchers of a write before it answers
 * who wrote, so a request sees all roles that were written before it was sent.
 */
import type { Logger } from 'pino';
import { POD } from '../../api/kinds.js';
import type { ApiObject, PolicyRule } from '../../api/types.js';
import { MASTERS } from '../../api/user.js';
import { NodeAuthorizer } from '../../authorization/node-authorizer.js';
import {
  isPathRequest,
  refusal,
  resourceText,
  type AccessRequest,
  type Decision,
  type Requester,
} from '../../authorization/request.js';
import { ROLE_KINDS, RoleIndex } from '../../authorization/role-index.js';
import { nodeOfLinkPath } from '../../client/agent-link.js';
import { prefixOf, REGISTRY } from '../registry/place.js';
import type { StoredObjects } from '../registry/stored-objects.js';

export interface Authorizer {
  readonly roles: RoleIndex;
  decide(user: Requester, request: AccessRequest): Decision;
  /** @throws ApiError 403, which is logged with who and why */
  require(user: Requester, request: AccessRequest): void;
  /** All rules of a user in a namespace. */
  rulesOf(user: Requester, namespace: string): PolicyRule[];
  close(): void;
}

/** @param failed  told when the store does not tell us of changes any more */
export async function createAuthorizer(
  objects: StoredObjects,
  log: Logger,
  failed: (error: unknown) => void,
): Promise<Authorizer> {
  const { store } = objects;
  const roles = new RoleIndex();
  const nodes = new NodeAuthorizer(nodeOfLinkPath);
  const keepers = [
    ...ROLE_KINDS.map((kind) => ({ prefix: prefixOf({ kind, namespace: undefined }), memory: roles })),
    { prefix: prefixOf({ kind: POD, namespace: undefined }), memory: nodes },
  ] as { prefix: string; memory: { set(object: ApiObject): void; delete(object: ApiObject): void } }[];
  const memoryOf = (key: string) => keepers.find(({ prefix }) => key.startsWith(prefix))?.memory;

  const { items, revision } = await store.range(REGISTRY);
  for (const item of items) memoryOf(item.key)?.set(objects.decode(item));
  const watch = store.watch({
    prefix: REGISTRY,
    from: revision + 1,
    events: (events) => {
      for (const event of events) {
        const memory = memoryOf(event.key);
        if (event.current) memory?.set(objects.decode(event.current));
        else if (event.previous) memory?.delete(objects.decode(event.previous));
      }
    },
    failed,
  });

  const decide = (user: Requester, request: AccessRequest): Decision => {
    if (user.groups.includes(MASTERS)) return { isAllowed: true, reason: '' };
    const asNode = nodes.decide(user, request);
    if (asNode?.isAllowed) return asNode;
    const byRoles = roles.decide(user, request);
    return byRoles.isAllowed || byRoles.reason !== '' ? byRoles : (asNode ?? byRoles);
  };
  return {
    roles,
    decide,
    require(user, request) {
      const decision = decide(user, request);
      if (decision.isAllowed) return;
      const what = isPathRequest(request)
        ? { path: request.path }
        : { resource: resourceText(request), namespace: request.namespace, name: request.name };
      const { username, groups } = user;
      log.info(
        { user: username, groups, verb: request.verb, ...what, why: decision.reason || 'no role allows it' },
        'refused',
      );
      throw refusal(user, request, decision);
    },
    rulesOf: (user, namespace) => roles.rulesOf(user, namespace),
    close: () => watch.close(),
  };
}
