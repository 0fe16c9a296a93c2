/**
 * Who may come in. On the path socket: whoever can open it, for its mode is 0600. Over TLS: who shows a bearer token, or has
 * a certificate that our authority signed. There is no other way. What somebody may do who is in, the authorizer says.
 *
 * A web page that a person happens to have open can send requests to 127.0.0.1 too. It cannot read our token, and it
 * cannot help saying where it is from, so a foreign `Origin` is refused, and over TLS a `Host` that is no name of ours
 * (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ApiError } from '../../api/error.js';
import { AUTHENTICATED, MASTERS, type User } from '../../api/user.js';

export type { User } from '../../api/user.js';

export interface Gate {
  /** @throws ApiError 401 or 403 */
  admit(request: IncomingMessage): Promise<User>;
}

/** Who has the administrator's token, or may open the socket. */
export const ADMINISTRATOR: User = {
  username: 'podwire:admin',
  groups: [MASTERS, AUTHENTICATED],
};

/** A refusal. @param why  for who knows a secret, or for what is none */
export const unauthorized = (why?: string): ApiError =>
  new ApiError(401, 'Unauthorized', why === undefined ? 'Unauthorized' : `Unauthorized: ${why}`);

/**
 * Whose a bearer token is; undefined when it is none that this owner knows.
 *
 * @throws ApiError 401 when it is one of the owner's, and lets nobody in
 */
export type TokenOwner = (token: string) => Promise<User | undefined>;

/** The gate of the path socket. */
export const OPEN_GATE: Gate = {
  async admit(request) {
    checkOrigin(request);
    return ADMINISTRATOR;
  },
};

export interface TokenGateOptions {
  readonly token: string;
  /** Who else has tokens; asked one after the other. */
  readonly owners: readonly TokenOwner[];
  /** Who has come with a certificate. @throws ApiError 401 when it is a bad one */
  certificateOwner(socket: Socket): User | undefined;
  /** Names by which this server may be called, in lower case. */
  names(): ReadonlySet<string>;
}

/** The gate of everything that comes over TLS. A certificate counts before a token, as in Kubernetes. */
export function createTokenGate({ token, owners, certificateOwner, names }: TokenGateOptions): Gate {
  const expected = digest(token);
  return {
    async admit(request) {
      checkOrigin(request);
      checkHost(request, names());
      const shown = bearerToken(request);
      try {
        const user = certificateOwner(request.socket);
        if (user) return user;
      } catch (error) {
        // With a token besides, that one counts.
        if (shown === undefined) throw error;
      }
      if (shown === undefined) throw unauthorized();
      if (timingSafeEqual(digest(shown), expected)) return ADMINISTRATOR;
      for (const owner of owners) {
        const user = await owner(shown);
        if (user) return user;
      }
      throw unauthorized();
    },
  };
}

/** Of one length whatever the text, so that comparing tells nothing. */
export const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** RFC 6750 §2.1 */
function bearerToken({ headers }: IncomingMessage): string | undefined {
  return /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(headers.authorization ?? '')?.[1];
}

function checkOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers;
  if (origin === undefined) return;
  let from: string | undefined;
  try {
    from = new URL(origin).host;
  } catch {
    // `null`: a page that hides where it is from.
  }
  if (from === undefined || from !== host)
    throw new ApiError(403, 'Forbidden', `Cannot answer a page of "${origin}": it is not this server's`);
}

function checkHost({ headers }: IncomingMessage, names: ReadonlySet<string>): void {
  const name = (headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  if (!names.has(name))
    throw new ApiError(403, 'Forbidden', `Cannot answer as "${name}": that is no name of this server`);
}
