/**
 * Requests for certificates: who somebody wants to be, his public key, and a proof that he has the private one. PKCS #10,
 * RFC 2986.
 *
 *     CertificationRequest  ::= SEQUENCE { info, signatureAlgorithm, signature BIT STRING }
 *     info                  ::= SEQUENCE { version 0, subject Name, SubjectPublicKeyInfo, attributes [0] }
 *
 * What is read comes from strangers: it is bounded, read strictly, and of its keys and signatures only those are tried whose
 * cost is known (P-256, P-384, P-521, RSA of 2048 to 8192 bits, Ed25519; SHA-2).
 */
import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { bitString, integer, NULL, objectId, sequence, tagged } from './der.js';
import { DerError, DerReader } from './der-reader.js';
import { formatPem, parsePem } from './pem.js';
import { encodeSubject, readSubject, type Subject } from './subject.js';

const LABEL = 'CERTIFICATE REQUEST';
/** Characters of PEM; a request with an RSA key of 8192 bits has 3000. */
const MAX_PEM = 16_384;

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const ALT_NAME = '2.5.29.17';

/** Signature algorithms: the hash, and the sort of key. RFC 5758 §3.2, RFC 8017 §8.2, RFC 8410. */
const SIGNATURES: Readonly<Record<string, { hash: string | null; key: string }>> = {
  '1.2.840.10045.4.3.2': { hash: 'sha256', key: 'ec' },
  '1.2.840.10045.4.3.3': { hash: 'sha384', key: 'ec' },
  '1.2.840.10045.4.3.4': { hash: 'sha512', key: 'ec' },
  '1.2.840.113549.1.1.11': { hash: 'sha256', key: 'rsa' },
  '1.2.840.113549.1.1.12': { hash: 'sha384', key: 'rsa' },
  '1.2.840.113549.1.1.13': { hash: 'sha512', key: 'rsa' },
  '1.3.101.112': { hash: null, key: 'ed25519' },
};
/** Keys: the sort that an algorithm of SubjectPublicKeyInfo is. RFC 5480 §2.1.1, RFC 3279 §2.3.1, RFC 8410. */
const KEYS: Readonly<Record<string, string>> = {
  '1.2.840.10045.2.1': 'ec',
  '1.2.840.113549.1.1.1': 'rsa',
  '1.3.101.112': 'ed25519',
};
const CURVES: readonly string[] = ['1.2.840.10045.3.1.7', '1.3.132.0.34', '1.3.132.0.35'];
const RSA_BITS = { least: 2048, most: 8192 };

export interface CertificateRequest {
  readonly subject: Subject;
  /** The subject's DER, as it shall stand in the certificate. */
  readonly subjectDer: Buffer;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** Whether it asks for names beside the subject's. */
  readonly hasAlternativeNames: boolean;
}

/**
 * A request for a certificate, PEM.
 *
 * @param key  private: P-256, RSA or Ed25519
 */
export function makeCertificateRequest(subject: Subject, key: KeyObject): string {
  const type = key.asymmetricKeyType;
  const [id, { hash } = { hash: null }] =
    Object.entries(SIGNATURES).find(([, row]) => row.key === type) ?? [];
  if (id === undefined) throw new TypeError(`Cannot sign a certificate request with a key of type ${type}`);
  const info = sequence(
    integer(Buffer.of(0)),
    encodeSubject(subject),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    tagged(0, true),
  );
  const algorithm = sequence(objectId(id), ...(type === 'rsa' ? [NULL] : []));
  return formatPem(LABEL, sequence(info, algorithm, bitString(sign(hash, info, key))));
}

/**
 * Read a request and check its signature.
 *
 * @throws SyntaxError that says what is wrong with it
 */
export function readCertificateRequest(pem: string): CertificateRequest {
  if (pem.length > MAX_PEM) throw new SyntaxError(`it has ${pem.length} characters, more than ${MAX_PEM}`);
  const der = parsePem(LABEL, pem);
  if (!der) throw new SyntaxError(`PEM block type must be ${LABEL}, one block and nothing else`);
  const file = new DerReader(der);
  const request = file.sequence('the request');
  file.end('the request');
  const signed = request.value(0x30, 'what is signed');
  const signature = readAlgorithm(request, 'the signature algorithm');
  const bytes = request.bitString('the signature');
  request.end('the signature');

  const info = new DerReader(signed.contents);
  const { contents: version } = info.value(0x02, 'the version');
  if (version.length !== 1 || version[0] !== 0) throw new DerError('the version must be 0');
  const { subject, der: subjectDer } = readSubject(info);
  const { whole: publicKey } = info.value(0x30, 'the public key');
  const hasAlternativeNames = readAttributes(info.inside(0xa0, 'the attributes'));
  info.end('the attributes');

  const key = readKey(publicKey);
  const row = Object.hasOwn(SIGNATURES, signature) ? SIGNATURES[signature] : undefined;
  if (!row) throw new SyntaxError(`it is signed by an algorithm that is not accepted here (${signature})`);
  if (row.key !== key.asymmetricKeyType)
    throw new SyntaxError(`it is signed by an algorithm for ${row.key}, its key is ${key.asymmetricKeyType}`);
  if (!isSigned(row.hash, signed.whole, key, bytes))
    throw new SyntaxError('its signature is wrong: it was not made with the private key of its public key');
  return { subject, subjectDer, publicKey, hasAlternativeNames };
}

function isSigned(hash: string | null, text: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return verify(hash, text, key, signature);
  } catch {
    return false; // of a shape that no signature has
  }
}

/** The algorithm that is next; its parameters are nothing or NULL. */
function readAlgorithm(reader: DerReader, what: string): string {
  const algorithm = reader.sequence(what);
  const id = algorithm.objectId(what);
  if (!algorithm.isAtEnd && algorithm.value(0x05, `the parameters of ${what}`).contents.length > 0)
    throw new DerError(`the parameters of ${what} must be empty`);
  algorithm.end(what);
  return id;
}

/** A public key of a sort whose cost is known. */
function readKey(spki: Buffer): KeyObject {
  const info = new DerReader(spki).sequence('the public key');
  const algorithm = info.sequence('the algorithm of the public key');
  const id = algorithm.objectId('the algorithm of the public key');
  const type = Object.hasOwn(KEYS, id) ? KEYS[id] : undefined;
  if (type === undefined) throw new SyntaxError(`its key is of a type that is not accepted here (${id})`);
  if (type === 'ec') {
    const curve = algorithm.objectId('the curve of the public key');
    if (!CURVES.includes(curve))
      throw new SyntaxError(`its key is on a curve that is not accepted here (${curve})`);
  }
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    throw new SyntaxError('its public key cannot be read');
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && (bits < RSA_BITS.least || bits > RSA_BITS.most))
    throw new SyntaxError(`its RSA key has ${bits} bits, not ${RSA_BITS.least} to ${RSA_BITS.most}`);
  return key;
}

/** Whether alternative names are asked for. RFC 2985 §5.4.2: the extensions wanted are the value of one attribute. */
function readAttributes(attributes: DerReader): boolean {
  let hasAlternativeNames = false;
  while (!attributes.isAtEnd) {
    const attribute = attributes.sequence('an attribute');
    const id = attribute.objectId('the type of an attribute');
    const values = attribute.inside(0x31, 'the values of an attribute');
    attribute.end('the values of an attribute');
    if (id !== EXTENSION_REQUEST) continue;
    const extensions = values.sequence('the extensions');
    values.end('the extensions');
    while (!extensions.isAtEnd)
      if (extensions.sequence('an extension').objectId('the type of an extension') === ALT_NAME)
        hasAlternativeNames = true;
  }
  return hasAlternativeNames;
}
