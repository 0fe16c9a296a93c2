/**
 * Who shows `ID.SECRET`, the bootstrap token of a host that joins. It is looked up each time, so a token that is deleted
 * or expires ends with the next request.
 *
 * Who does not know the secret is told the same of a token that is there and of one that is not.
 */
import { timingSafeEqual } from 'node:crypto';
import { timestamp } from '../../api/age.js';
import {
  BOOTSTRAPPERS,
  bootstrapUser,
  isExpired,
  readBootstrapToken,
  TOKEN_NAMESPACE,
  tokenSecretName,
} from '../../api/bootstrap-token.js';
import { SECRET } from '../../api/kinds.js';
import type { Secret } from '../../api/types.js';
import { AUTHENTICATED, type User } from '../../api/user.js';
import type { StoredObjects } from '../registry/stored-objects.js';
import { digest, unauthorized, type TokenOwner } from './gate.js';

const SHAPE = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;

/** Tells whose a bootstrap token is. @param now  milliseconds since 1970 */
export const createBootstrapTokens =
  (objects: StoredObjects, now: () => number = Date.now): TokenOwner =>
  async (shown): Promise<User | undefined> => {
    const [, id, secret] = SHAPE.exec(shown) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const found = await objects.find({ kind: SECRET, namespace: TOKEN_NAMESPACE }, tokenSecretName(id));
    const stored = found && !found.object.metadata.deletionTimestamp ? (found.object as Secret) : undefined;
    const token = stored && readBootstrapToken(stored);
    if (!token || !timingSafeEqual(digest(token.secret), digest(secret)))
      throw unauthorized(
        `the join token "${id}" is not known here: it was deleted, has expired long ago, is mistyped, or is of another cluster`,
      );
    if (isExpired(token, now())) {
      const when = Number.isNaN(token.expiration) ? '' : ` at ${timestamp(token.expiration!)}`;
      throw unauthorized(`the join token "${id}" has expired${when}; podwire token create makes a new one`);
    }
    if (!token.isForAuthentication)
      throw unauthorized(`the join token "${id}" is not for authentication: its Secret does not say so`);
    return { username: bootstrapUser(id), groups: [BOOTSTRAPPERS, ...token.groups, AUTHENTICATED] };
  };
