/**
 * Bootstrap tokens, as Kubernetes keeps them: a Secret `bootstrap-token-ID` in `kube-system` of a type of its own. It lets
 * in who has no certificate yet, as user `system:bootstrap:ID`, until it expires or is deleted.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/; k8s.io/kubernetes,
 * plugin/pkg/auth/authenticator/token/bootstrap.
 */
import { timestamp } from './age.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import type { Secret } from './types.js';

export const BOOTSTRAP_TOKEN_TYPE = 'bootstrap.kubernetes.io/token';
/** Where such Secrets are. */
export const TOKEN_NAMESPACE = 'kube-system';
/** The group of everybody who has come in by such a token. */
export const BOOTSTRAPPERS = 'system:bootstrappers';
/** The group of those who have come in by a token of ours. */
export const PODWIRE_BOOTSTRAPPERS = 'system:bootstrappers:podwire';

const NAME_PREFIX = 'bootstrap-token-';
const USER_PREFIX = 'system:bootstrap:';
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

export interface BootstrapToken {
  /** 6 lower-case letters and digits, which are no secret. */
  readonly id: string;
  /** 16 of them. */
  readonly secret: string;
  /** Milliseconds since 1970; NaN when it cannot be read, which is as good as past; undefined: never. */
  readonly expiration: number | undefined;
  /** Groups beside {@link BOOTSTRAPPERS}. */
  readonly groups: readonly string[];
  readonly description: string;
  /** Whether a request may show it. */
  readonly isForAuthentication: boolean;
}

export const tokenSecretName = (id: string): string => NAME_PREFIX + id;

/** Who has come in by the token with this ID. */
export const bootstrapUser = (id: string): string => USER_PREFIX + id;

/** The token that a Secret holds; undefined when it holds none. */
export function readBootstrapToken({ metadata, type, data = {} }: Secret): BootstrapToken | undefined {
  if (type !== BOOTSTRAP_TOKEN_TYPE || metadata.namespace !== TOKEN_NAMESPACE) return undefined;
  const field = (key: string): string => (Object.hasOwn(data, key) ? decodeBase64(data[key]!) : '');
  const id = field('token-id');
  if (metadata.name !== tokenSecretName(id) || field('token-secret') === '') return undefined;
  const expiration = field('expiration');
  return {
    id,
    secret: field('token-secret'),
    expiration: expiration === '' ? undefined : Date.parse(expiration),
    groups: field('auth-extra-groups')
      .split(',')
      .filter((group) => EXTRA_GROUP.test(group)),
    description: field('description'),
    isForAuthentication: field('usage-bootstrap-authentication') === 'true',
  };
}

/** The Secret of a token. */
export function bootstrapTokenSecret(token: BootstrapToken): Secret {
  const { id, secret, expiration, groups, description, isForAuthentication } = token;
  const fields: Record<string, string> = {
    'token-id': id,
    'token-secret': secret,
    ...(expiration !== undefined && { expiration: timestamp(expiration) }),
    'usage-bootstrap-authentication': String(isForAuthentication),
    ...(groups.length > 0 && { 'auth-extra-groups': groups.join(',') }),
    ...(description !== '' && { description }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: tokenSecretName(id), namespace: TOKEN_NAMESPACE },
    type: BOOTSTRAP_TOKEN_TYPE,
    data: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, encodeBase64(value)])),
  };
}

/** Whether a token no longer lets in. @param now  milliseconds since 1970 */
export const isExpired = ({ expiration }: BootstrapToken, now: number): boolean =>
  expiration !== undefined && !(expiration > now);
