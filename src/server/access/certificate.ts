/**
 * X.509 certificates, made with node:crypto: an authority of our own on a P-256 key, and what it vouches for. RFC 5280,
 * RFC 5758 §3.2 (ecdsa-with-SHA256).
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import {
  bitString,
  integer,
  objectId,
  octetString,
  sequence,
  tagged,
  time,
  TRUE,
} from '../../client/pki/der.js';
import { formatPem } from '../../client/pki/pem.js';
import { encodeSubject } from '../../client/pki/subject.js';
import { isIpv4, parseAddress } from '../../wire/address.js';

/** A key and a certificate that says whose it is. */
export interface Certificate {
  readonly key: KeyObject;
  /** PEM. */
  readonly certificate: string;
}

/** Who signs. */
export interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
}

const YEAR_MS = 365.25 * 24 * 3600 * 1000;
const LIFE_MS = 10 * YEAR_MS;
/** Clocks differ: a certificate is good from a little before it was made. */
const EARLIER_MS = 3600 * 1000;
/** As Kubernetes has it. It is the server that looks at these, by its own clock. */
const CLIENT_EARLIER_MS = 300 * 1000;

const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'));
const SUBJECT_KEY_ID = objectId('2.5.29.14');
const KEY_USAGE = objectId('2.5.29.15');
const ALT_NAME = objectId('2.5.29.17');
const BASIC_CONSTRAINTS = objectId('2.5.29.19');
const AUTHORITY_KEY_ID = objectId('2.5.29.35');
const EXTENDED_KEY_USAGE = objectId('2.5.29.37');
const SERVER_AUTH = objectId('1.3.6.1.5.5.7.3.1');
const CLIENT_AUTH = objectId('1.3.6.1.5.5.7.3.2');

/** A new P-256 key. */
export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** A new authority that signs itself. @param now  milliseconds since 1970 */
export function makeAuthority(name: string, now: number): Certificate {
  const key = newKey();
  const certificate = issue({ name, key }, nameOf(name), publicKeyOf(key), tenYears(now), [
    extension(BASIC_CONSTRAINTS, true, sequence(TRUE)),
    // keyCertSign, cRLSign. RFC 5280 §4.2.1.3
    extension(KEY_USAGE, true, bitString(Buffer.of(0b0000_0110), 1)),
  ]);
  return { key, certificate };
}

/**
 * A new key and certificate for a server.
 *
 * @param names  host names and IP addresses by which it is reached
 */
export function makeServerCertificate(authority: Issuer, names: readonly string[], now: number): Certificate {
  const key = newKey();
  const certificate = issue(authority, nameOf('podwire-server'), publicKeyOf(key), tenYears(now), [
    extension(BASIC_CONSTRAINTS, true, sequence()),
    // digitalSignature
    extension(KEY_USAGE, true, bitString(Buffer.of(0b1000_0000), 7)),
    extension(EXTENDED_KEY_USAGE, false, sequence(SERVER_AUTH)),
    extension(ALT_NAME, false, sequence(...names.map(generalName))),
  ]);
  return { key, certificate };
}

export interface ClientCertificateOptions {
  /** DER of the subject. */
  readonly subject: Buffer;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** Beside digitalSignature. */
  readonly hasKeyEncipherment: boolean;
  readonly lifeMs: number;
}

/** A certificate by which somebody shows who he is, PEM. @param now  milliseconds since 1970 */
export function makeClientCertificate(
  authority: Issuer,
  { subject, publicKey, hasKeyEncipherment, lifeMs }: ClientCertificateOptions,
  now: number,
): string {
  // digitalSignature, keyEncipherment: the first bit and the third.
  const usage = hasKeyEncipherment
    ? bitString(Buffer.of(0b1010_0000), 5)
    : bitString(Buffer.of(0b1000_0000), 7);
  return issue(
    authority,
    subject,
    publicKey,
    [now - CLIENT_EARLIER_MS, now + lifeMs],
    [
      extension(BASIC_CONSTRAINTS, true, sequence()),
      extension(KEY_USAGE, true, usage),
      extension(EXTENDED_KEY_USAGE, false, sequence(CLIENT_AUTH)),
    ],
  );
}

/** RFC 5280 §4.2.1.6: dNSName [2], iPAddress [7] of 4 or 16 bytes. */
function generalName(name: string): Buffer {
  const address = parseAddress(name);
  if (!address) return tagged(2, false, Buffer.from(name));
  const bytes = Buffer.alloc(16);
  address.forEach((word, i) => bytes.writeInt32BE(word, i * 4));
  const [w0, w1, w2] = address;
  return tagged(7, false, isIpv4(w0, w1, w2) ? bytes.subarray(12) : bytes);
}

const extension = (id: Buffer, isCritical: boolean, content: Buffer): Buffer =>
  sequence(id, ...(isCritical ? [TRUE] : []), octetString(content));

const nameOf = (commonName: string): Buffer => encodeSubject({ commonName, organizations: [] });

const tenYears = (now: number): [from: number, to: number] => [now - EARLIER_MS, now + LIFE_MS];

/** RFC 5280 §4.1 @returns PEM */
function issue(
  issuer: Issuer,
  subject: Buffer,
  publicKey: Buffer,
  [from, to]: readonly [number, number],
  extensions: readonly Buffer[],
): string {
  const serial = randomBytes(16);
  serial[0]! &= 0x7f;
  const body = sequence(
    tagged(0, true, integer(Buffer.of(2))), // v3
    integer(serial),
    ECDSA_SHA256,
    nameOf(issuer.name),
    sequence(time(from), time(to)),
    subject,
    publicKey,
    tagged(
      3,
      true,
      sequence(
        ...extensions,
        extension(SUBJECT_KEY_ID, false, octetString(keyId(publicKey))),
        extension(AUTHORITY_KEY_ID, false, sequence(tagged(0, false, keyId(publicKeyOf(issuer.key))))),
      ),
    ),
  );
  return formatPem('CERTIFICATE', sequence(body, ECDSA_SHA256, bitString(sign('sha256', body, issuer.key))));
}

/** SubjectPublicKeyInfo. */
const publicKeyOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

/** RFC 5280 §4.2.1.2 leaves open how a key gets its name; a hash of all of it is unique. */
const keyId = (publicKey: Buffer): Buffer => createHash('sha256').update(publicKey).digest().subarray(0, 20);
