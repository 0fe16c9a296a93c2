/**
 * Who may come in. On the path socket: whoever can open it, for its mode is 0600. Over TLS: who shows a bearer token.
 * There is no other way, and without roles whoever is in may do everything.
 *
 * A web page that a person happens to have open can send requests to 127.0.0.1 too. It cannot read our token, and it
 * cannot help saying where it is from, so a foreign `Origin` is refused, and over TLS a `Host` that is no name of ours
 * (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ApiError } from '../../api/error.js';

/** Who asks, as `kubectl auth whoami` shows it. */
export interface User {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

export interface Gate {
  /** @throws ApiError 401 or 403 */
  admit(request: IncomingMessage): Promise<User>;
}

/** Who has the administrator's token, or may open the socket. */
export const ADMINISTRATOR: User = {
  username: 'podwire:admin',
  groups: ['system:masters', 'system:authenticated'],
};

const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

/** The gate of the path socket. */
export const OPEN_GATE: Gate = {
  async admit(request) {
    checkOrigin(request);
    return ADMINISTRATOR;
  },
};

export interface TokenGateOptions {
  readonly token: string;
  /** Who else has a token. */
  userOf(token: string): Promise<User | undefined>;
  /** Names by which this server may be called, in lower case. */
  names(): ReadonlySet<string>;
}

/** The gate of everything that comes over TLS. */
export function createTokenGate({ token, userOf, names }: TokenGateOptions): Gate {
  const expected = digest(token);
  return {
    async admit(request) {
      checkOrigin(request);
      checkHost(request, names());
      const shown = bearerToken(request);
      if (shown === undefined) throw unauthorized();
      if (timingSafeEqual(digest(shown), expected)) return ADMINISTRATOR;
      const user = await userOf(shown);
      if (!user) throw unauthorized();
      return user;
    },
  };
}

/** Of one length whatever the text, so that comparing tells nothing. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

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
