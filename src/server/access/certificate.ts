/**
 * X.509 certificates on P-256 keys, made with node:crypto: an authority of our own, and what it vouches for. RFC 5280,
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
import { isIpv4, parseAddress } from '../../wire/address.js';
import {
  bitString,
  integer,
  objectId,
  octetString,
  sequence,
  set,
  tagged,
  time,
  TRUE,
  utf8String,
} from './der.js';

/** A key and a certificate that says whose it is. */
export interface Certificate {
  readonly key: KeyObject;
  /** PEM. */
  readonly certificate: string;
}

const YEAR_MS = 365.25 * 24 * 3600 * 1000;
const LIFE_MS = 10 * YEAR_MS;
/** Clocks differ: a certificate is good from a little before it was made. */
const EARLIER_MS = 3600 * 1000;

const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'));
const COMMON_NAME = objectId('2.5.4.3');
const SUBJECT_KEY_ID = objectId('2.5.29.14');
const KEY_USAGE = objectId('2.5.29.15');
const ALT_NAME = objectId('2.5.29.17');
const BASIC_CONSTRAINTS = objectId('2.5.29.19');
const AUTHORITY_KEY_ID = objectId('2.5.29.35');
const EXTENDED_KEY_USAGE = objectId('2.5.29.37');
const SERVER_AUTH = objectId('1.3.6.1.5.5.7.3.1');

/** A new P-256 key. */
export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** A new authority that signs itself. @param now  milliseconds since 1970 */
export function makeAuthority(name: string, now: number): Certificate {
  const key = newKey();
  return issue(name, key, { name, key }, now, [
    extension(BASIC_CONSTRAINTS, true, sequence(TRUE)),
    // keyCertSign, cRLSign. RFC 5280 §4.2.1.3
    extension(KEY_USAGE, true, bitString(Buffer.of(0b0000_0110), 1)),
  ]);
}

/**
 * A new key and certificate for a server.
 *
 * @param names  host names and IP addresses by which it is reached
 */
export function makeServerCertificate(
  authority: Certificate & { readonly name: string },
  names: readonly string[],
  now: number,
): Certificate {
  return issue('podwire-server', newKey(), authority, now, [
    extension(BASIC_CONSTRAINTS, true, sequence()),
    // digitalSignature
    extension(KEY_USAGE, true, bitString(Buffer.of(0b1000_0000), 7)),
    extension(EXTENDED_KEY_USAGE, false, sequence(SERVER_AUTH)),
    extension(ALT_NAME, false, sequence(...names.map(generalName))),
  ]);
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

const distinguishedName = (name: string): Buffer => sequence(set(sequence(COMMON_NAME, utf8String(name))));

/** RFC 5280 §4.1 */
function issue(
  name: string,
  key: KeyObject,
  issuer: { readonly name: string; readonly key: KeyObject },
  now: number,
  extensions: readonly Buffer[],
): Certificate {
  const serial = randomBytes(16);
  serial[0]! &= 0x7f;
  const body = sequence(
    tagged(0, true, integer(Buffer.of(2))), // v3
    integer(serial),
    ECDSA_SHA256,
    distinguishedName(issuer.name),
    sequence(time(now - EARLIER_MS), time(now + LIFE_MS)),
    distinguishedName(name),
    publicKeyOf(key),
    tagged(
      3,
      true,
      sequence(
        ...extensions,
        extension(SUBJECT_KEY_ID, false, octetString(keyId(key))),
        extension(AUTHORITY_KEY_ID, false, sequence(tagged(0, false, keyId(issuer.key)))),
      ),
    ),
  );
  const der = sequence(body, ECDSA_SHA256, bitString(sign('sha256', body, issuer.key)));
  const lines = der.toString('base64').replace(/.{1,64}/g, '$&\n');
  return { key, certificate: `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n` };
}

/** SubjectPublicKeyInfo. */
const publicKeyOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

/** RFC 5280 §4.2.1.2 leaves open how a key gets its name; a hash of all of it is unique. */
const keyId = (key: KeyObject): Buffer =>
  createHash('sha256').update(publicKeyOf(key)).digest().subarray(0, 20);
