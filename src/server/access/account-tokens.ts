/**
 * Tokens of service accounts: JWTs that this server signs (ES256) and believes as long as they have not expired and what they
 * are about is there: the account, and the pod they were made for, if any. Deleting either ends them.
 *
 * Source: RFC 7519, RFC 7515; k8s.io/kubernetes, pkg/serviceaccount/claims.go.
 */
import { randomBytes, sign, verify, createPublicKey, type KeyObject } from 'node:crypto';
import { timestamp } from '../../api/age.js';
import { isMap } from '../../api/json.js';
import { POD, SERVICE_ACCOUNT, type Kind } from '../../api/kinds.js';
import { ACCOUNT_USER, accountGroups, AUTHENTICATED, type User } from '../../api/user.js';
import type { StoredObjects } from '../registry/stored-objects.js';

/** Who signs, and who is meant unless a request says another audience. */
const ISSUER = 'https://kubernetes.default.svc.cluster.local';
/** Where Kubernetes' own claims stand. */
const CLAIMS = 'kubernetes.io';
/** Longer than any token of ours. */
const MAX_LENGTH = 8192;

export interface Named {
  readonly name: string;
  readonly uid: string;
}

export interface TokenOptions {
  readonly namespace: string;
  readonly account: Named;
  /** The pod that shall use it. */
  readonly pod?: Named;
  /** Empty: this server. */
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
}

export interface AccountTokens {
  make(options: TokenOptions): { token: string; expirationTimestamp: string };
  /** Whose token it is; undefined when it is none, is for somebody else, has expired, or its account is gone. */
  userOf(token: string): Promise<User | undefined>;
}

/** @param now  milliseconds since 1970 */
export function createAccountTokens(
  key: KeyObject,
  objects: StoredObjects,
  now: () => number = Date.now,
): AccountTokens {
  const publicKey = createPublicKey(key);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = part({ alg: 'ES256', typ: 'JWT' });

  const isThere = async (kind: Kind, namespace: string, named: unknown): Promise<boolean> => {
    if (!isMap(named) || typeof named['name'] !== 'string') return false;
    const found = await objects.find({ kind, namespace }, named['name']);
    return found !== undefined && found.object.metadata.uid === named['uid'];
  };

  return {
    make({ namespace, account, pod, audiences, expirationSeconds }) {
      const issued = Math.floor(now() / 1000);
      const expires = issued + expirationSeconds;
      const payload = part({
        iss: ISSUER,
        sub: `${ACCOUNT_USER}${namespace}:${account.name}`,
        aud: audiences.length > 0 ? audiences : [ISSUER],
        iat: issued,
        nbf: issued,
        exp: expires,
        jti: randomBytes(16).toString('hex'),
        [CLAIMS]: { namespace, serviceaccount: account, ...(pod && { pod }) },
      });
      const signed = `${header}.${payload}`;
      const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
      return {
        token: `${signed}.${signature.toString('base64url')}`,
        expirationTimestamp: timestamp(expires * 1000),
      };
    },

    async userOf(token) {
      const claims = token.length > MAX_LENGTH ? undefined : verifiedClaims(token, publicKey);
      if (!claims) return undefined;
      const { iss, sub, aud, exp, nbf, [CLAIMS]: about } = claims;
      const seconds = now() / 1000;
      if (iss !== ISSUER || !Array.isArray(aud) || !aud.includes(ISSUER)) return undefined;
      if (typeof exp !== 'number' || exp <= seconds || typeof nbf !== 'number' || nbf > seconds + 1)
        return undefined;
      if (!isMap(about) || typeof about['namespace'] !== 'string') return undefined;
      const { namespace, serviceaccount, pod } = about;
      if (!(await isThere(SERVICE_ACCOUNT, namespace as string, serviceaccount))) return undefined;
      if (pod !== undefined && !(await isThere(POD, namespace as string, pod))) return undefined;
      return {
        username: sub as string,
        uid: (serviceaccount as Named).uid,
        groups: [...accountGroups(namespace as string), AUTHENTICATED],
      };
    },
  };
}

/** The claims of a token that was signed with our key. */
function verifiedClaims(token: string, key: KeyObject): Record<string, unknown> | undefined {
  const [header, payload, signature, ...more] = token.split('.');
  if (signature === undefined || more.length > 0) return undefined;
  const bytes = Buffer.from(`${header}.${payload}`);
  const isOurs = verify(
    'sha256',
    bytes,
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  // Only what we have signed is parsed; so the header can say nothing that we do not know.
  return isOurs
    ? (JSON.parse(Buffer.from(payload!, 'base64url').toString()) as Record<string, unknown>)
    : undefined;
}
