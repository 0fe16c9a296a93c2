/**
 * Who a host is to its server, kept across restarts: where the server is, which authority to trust, a key, and the
 * certificate that says whose it is. One file, for root's eyes only, written whole or not at all: what is in it belongs
 * together.
 *
 * A file that cannot be read is never replaced without a word: it may be all that tells this host from a stranger.
 */
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { KeyAndCertificate } from '../../client/server-address.js';
import { writeFileWhole } from '../../client/write-file.js';

export interface Identity extends KeyAndCertificate {
  /** `https://192.168.56.11:6443` */
  readonly url: string;
  readonly node: string;
  /** PEM of the authority. */
  readonly authority: string;
  /** When to ask for the next certificate, RFC 3339: well before this one ends. */
  readonly renewAfter: string;
}

const FIELDS = ['url', 'node', 'authority', 'key', 'certificate', 'renewAfter'] as const;

/** From when until when a certificate is good, in milliseconds since 1970. */
export function validityOf(certificate: string): { from: number; to: number } {
  const { validFrom, validTo } = new X509Certificate(certificate);
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

/** The identity in a file; undefined when there is none. @throws Error with what to do when it cannot be used */
export function readIdentity(path: string): Identity | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(path, (error as Error).message);
  }
  let read: Partial<Identity>;
  try {
    read = JSON.parse(text) as Partial<Identity>;
    for (const field of FIELDS)
      if (typeof read?.[field] !== 'string' || read[field] === '') throw new Error(`it has no ${field}`);
    validityOf(read.certificate!);
    validityOf(read.authority!);
  } catch (error) {
    throw unusable(path, (error as Error).message);
  }
  return read as Identity;
}

const unusable = (path: string, why: string): Error =>
  new Error(
    `Cannot use this host's identity in ${path}: ${why}; put the file back as it was, or remove it and join again with a token`,
  );

/** Keep an identity. @throws Error when the file cannot be written; the old one is then still there */
export function writeIdentity(path: string, identity: Identity): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileWhole(path, `${JSON.stringify(identity, undefined, 2)}\n`);
}

/** Forget who this host was. */
export const removeIdentity = (path: string): void => rmSync(path, { force: true });
