/**
 * What a server keeps secret, in one file of its data folder: its authority, the administrator's token, the key that
 * signs the tokens of service accounts. Made at the first start; a server that starts again is the same to its clients.
 *
 * The server's own certificate is not kept: a new one is made at each start, for the names it has then.
 */
import { createPrivateKey, randomBytes, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  makeAuthority,
  makeClientCertificate,
  makeServerCertificate,
  newKey,
  type Certificate,
  type ClientCertificateOptions,
} from './certificate.js';
import { writeFileWhole } from '../../client/write-file.js';

export interface Credentials {
  /** Certificate of the authority, PEM: what clients trust. */
  readonly authority: string;
  /** Who has it may do everything. */
  readonly token: string;
  /** Signs the tokens of service accounts. */
  readonly accountKey: KeyObject;
  /** A key and a certificate for a server with these names. */
  serverCertificate(names: readonly string[]): Certificate;
  /** A certificate for somebody else's key, PEM. @param now  milliseconds since 1970 */
  clientCertificate(options: ClientCertificateOptions, now: number): string;
}

/** The file's contents; keys as PEM (PKCS #8). */
interface Saved {
  authorityKey: string;
  authority: string;
  token: string;
  accountKey: string;
}

const FILE = 'credentials.json';
const AUTHORITY = 'podwire-ca';

/**
 * The credentials in a data folder, made when there are none.
 *
 * @throws Error when the file is there and cannot be used: it is never replaced, for clients trust what is in it
 */
export function openCredentials(folder: string, now: number): Credentials {
  const path = join(folder, FILE);
  const saved = read(path) ?? make(path, now);
  try {
    const authority: Certificate & { name: string } = {
      name: AUTHORITY,
      key: createPrivateKey(saved.authorityKey),
      certificate: saved.authority,
    };
    const authorityEnd = Date.parse(new X509Certificate(saved.authority).validTo);
    return {
      authority: saved.authority,
      token: saved.token,
      accountKey: createPrivateKey(saved.accountKey),
      serverCertificate: (names) => makeServerCertificate(authority, names, now),
      clientCertificate: (options, at) => {
        // Nothing is good for longer than the authority.
        const lifeMs = Math.min(options.lifeMs, authorityEnd - at);
        return makeClientCertificate(authority, { ...options, lifeMs }, at);
      },
    };
  } catch (error) {
    throw unusable(path, error);
  }
}

const unusable = (path: string, cause: unknown): Error =>
  new Error(
    `Cannot use the credentials in ${path}: ${(cause as Error).message}; put the file back as it was, or remove it to ` +
      'get new ones (every kubeconfig must then be written again)',
    { cause },
  );

function read(path: string): Saved | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(path, error);
  }
  try {
    const saved = JSON.parse(text) as Partial<Saved>;
    for (const field of ['authorityKey', 'authority', 'token', 'accountKey'] as const)
      if (typeof saved[field] !== 'string' || saved[field] === '') throw new Error(`it has no ${field}`);
    return saved as Saved;
  } catch (error) {
    throw unusable(path, error);
  }
}

function make(path: string, now: number): Saved {
  const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const authority = makeAuthority(AUTHORITY, now);
  const saved: Saved = {
    authorityKey: pem(authority.key),
    authority: authority.certificate,
    token: randomBytes(32).toString('base64url'),
    accountKey: pem(newKey()),
  };
  writeFileWhole(path, `${JSON.stringify(saved, undefined, 2)}\n`);
  return saved;
}
