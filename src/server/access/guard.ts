/**
 * What a user may write depends on more than the request's path: on what the object says. Asked when the object is known,
 * before anything is stored.
 */
import { isForbidden } from '../../api/error.js';
import { SERVICE_ACCOUNT, type Kind } from '../../api/kinds.js';
import type { ApiObject, Pod } from '../../api/types.js';
import type { User } from '../../api/user.js';
import { checkEscalation } from '../../authorization/escalation.js';
import { nodeOf } from '../../authorization/node-authorizer.js';
import { checkNodeDelete, checkNodeToken, checkNodeWrite } from '../../authorization/node-restriction.js';
import { checkSigner } from '../../authorization/signer-restriction.js';
import type { Authorizer } from './authorizer.js';

/** Each refuses by an ApiError. */
export interface Guard {
  /** @param old  undefined when the object is new */
  write(kind: Kind, next: ApiObject, old: ApiObject | undefined): void;
  remove(kind: Kind, object: ApiObject): void;
  /** @param pod  the pod that a token shall be bound to */
  token(account: string, pod: Pod | undefined): void;
}

export function createGuard(authorizer: Authorizer, user: User): Guard {
  const node = nodeOf(user);
  const refuse = (kind: Kind, name: string, why: string | undefined): void => {
    if (why !== undefined) throw isForbidden(kind, name, why);
  };
  return {
    write(kind, next, old) {
      checkEscalation(authorizer, user, kind, next, old);
      refuse(kind, next.metadata.name, checkSigner(authorizer.decide, user, kind, next, old));
      if (node !== undefined) refuse(kind, next.metadata.name, checkNodeWrite(node, kind, next, old));
    },
    remove(kind, object) {
      if (node !== undefined) refuse(kind, object.metadata.name, checkNodeDelete(node, kind, object));
    },
    token(account, pod) {
      if (node !== undefined) refuse(SERVICE_ACCOUNT, account, checkNodeToken(node, account, pod));
    },
  };
}
