/**
 * Join tokens: the one word by which a new host finds out whom to trust, and is let in to ask for a certificate.
 *
 *     ID.SECRET.CAHASH
 *
 * ID (6) and SECRET (16 lower-case letters and digits) are a bootstrap token of Kubernetes; `ID.SECRET` is what a request
 * carries as its bearer token. CAHASH is SHA-256 of the authority's SubjectPublicKeyInfo in hex, what kubeadm calls
 * `--discovery-token-ca-cert-hash`: the host takes the authority from the server itself, without trust, and compares.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
 */
import { createHash, randomBytes, X509Certificate } from 'node:crypto';

export interface JoinToken {
  /** Public: logs may name it. */
  readonly id: string;
  readonly secret: string;
  /** 64 lower-case hex digits. */
  readonly authorityHash: string;
}

const SHAPE = /^([a-z0-9]{6})\.([a-z0-9]{16})\.([0-9a-f]{64})$/;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/**
 * Read a join token.
 *
 * @throws SyntaxError that names the part that is wrong, and never repeats the secret
 */
export function parseJoinToken(text: string): JoinToken {
  const [, id, secret, authorityHash] = SHAPE.exec(text) ?? [];
  if (authorityHash !== undefined) return { id: id!, secret: secret!, authorityHash };
  const parts = text.split('.');
  const fault =
    parts.length !== 3
      ? `it has ${parts.length} ${parts.length === 1 ? 'part' : 'parts'}, not 3`
      : !/^[a-z0-9]{6}$/.test(parts[0]!)
        ? 'its first part must be 6 lower-case letters or digits'
        : !/^[a-z0-9]{16}$/.test(parts[1]!)
          ? `its second part must be 16 lower-case letters or digits, it has ${parts[1]!.length}`
          : `its third part must be 64 lower-case hex digits, it has ${parts[2]!.length}`;
  throw new SyntaxError(
    `Cannot read the join token: ${fault}; a token is ID.SECRET.CAHASH, as podwire token create prints it`,
  );
}

export const formatJoinToken = ({ id, secret, authorityHash }: JoinToken): string =>
  `${id}.${secret}.${authorityHash}`;

/** What a request that shows the token carries behind `Bearer`. */
export const bearerOf = ({ id, secret }: Pick<JoinToken, 'id' | 'secret'>): string => `${id}.${secret}`;

/** The hash of an authority. @param certificate  its certificate, PEM or DER. @throws Error when it is none */
export const hashAuthority = (certificate: string | Buffer): string =>
  createHash('sha256')
    .update(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');

/** A new ID and its secret: 31 and 82 bits by chance. */
export const newTokenWords = (): Pick<JoinToken, 'id' | 'secret'> => ({
  id: randomWord(6),
  secret: randomWord(16),
});

/** Each letter as likely as any other: bytes past the last whole round of the alphabet are drawn again. */
function randomWord(length: number): string {
  const rounds = 256 - (256 % ALPHABET.length);
  let word = '';
  while (word.length < length)
    for (const byte of randomBytes(length))
      if (byte < rounds && word.length < length) word += ALPHABET[byte % ALPHABET.length];
  return word;
}
