/**
 * Who has come with a certificate: its common name is the user, its organizations are his groups.
 *
 * Theory of operation. A client need not show one, and TLS lets any in, so that what is wrong can be said in an answer. OpenSSL
 * has held the chain against our authority, and no other, when the connection was made. What a certificate says is read once
 * for a connection; how long it is good is looked at with each request, for connections live long and TLS sessions are
 * resumed. A stream that has begun goes on past the end of its certificate.
 *
 * Certificates cannot be revoked, as in Kubernetes: they end soon.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { timestamp } from '../../api/age.js';
import { AUTHENTICATED, type User } from '../../api/user.js';
import { DerReader } from '../../client/pki/der-reader.js';
import { readSubject, type Subject } from '../../client/pki/subject.js';
import { unauthorized } from './gate.js';

interface Shown {
  readonly subject: Subject;
  /** Until when it is good, milliseconds since 1970. */
  readonly to: number;
  /** What is wrong with it. */
  readonly fault: string | undefined;
}

/** What OpenSSL's codes mean for whoever shows the certificate. */
const FAULTS: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: 'it is not signed by the authority of this server',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it is not signed by the authority of this server',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it is not signed by the authority of this server',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself, not by the authority of this server',
  SELF_SIGNED_CERT_IN_CHAIN: 'it is not signed by the authority of this server',
  CERT_SIGNATURE_FAILURE: 'its signature is wrong; is it of another cluster?',
  INVALID_PURPOSE: 'it is not for clients',
};
/** Tells who is at the other end of a connection; undefined when he has shown no certificate. @throws ApiError 401 */
export type CertificateOwner = (socket: Socket) => User | undefined;

/** @param now  milliseconds since 1970 */
export function createCertificateOwner(now: () => number = Date.now): CertificateOwner {
  const known = new WeakMap<Socket, Shown | null>();
  return (socket) => {
    let shown = known.get(socket);
    if (shown === undefined) known.set(socket, (shown = read(socket)));
    if (shown === null) return undefined;
    const { subject, to } = shown;
    const fault = shown.fault ?? (now() <= to ? undefined : expired(to));
    if (fault !== undefined)
      throw unauthorized(`the client certificate of "${subject.commonName}" is not accepted: ${fault}`);
    return { username: subject.commonName, groups: [...subject.organizations, AUTHENTICATED] };
  };
}

const expired = (to: number): string => `it has expired at ${timestamp(to)}`;

function read(socket: Socket): Shown | null {
  if (!(socket instanceof TLSSocket)) return null;
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return null;
  const to = Date.parse(certificate.validTo);
  try {
    const subject = subjectOf(certificate);
    const isNamed = subject.commonName !== '';
    return {
      subject,
      to,
      fault: faultOf(socket, certificate) ?? (isNamed ? undefined : 'it has no common name'),
    };
  } catch (error) {
    return { subject: { commonName: '', organizations: [] }, to, fault: (error as Error).message };
  }
}

/** What OpenSSL has against a certificate. It tells the last thing it found, so none of them is ever passed over. */
function faultOf(
  { authorized, authorizationError }: TLSSocket,
  certificate: X509Certificate,
): string | undefined {
  if (authorized) return undefined;
  // An Error, by its type; Node gives OpenSSL's code.
  const code = String(authorizationError);
  if (code === 'CERT_HAS_EXPIRED') return expired(Date.parse(certificate.validTo));
  if (code === 'CERT_NOT_YET_VALID')
    return `it is not good before ${timestamp(Date.parse(certificate.validFrom))}; do the clocks agree?`;
  return FAULTS[code] ?? `it cannot be verified (${code})`;
}

/** RFC 5280 §4.1: version, serial, signature, issuer, validity, and then the subject. */
function subjectOf({ raw }: X509Certificate): Subject {
  const body = new DerReader(raw).sequence('the certificate').sequence('what is signed');
  if (body.nextTag === 0xa0) body.value(0xa0, 'the version');
  body.value(0x02, 'the serial number');
  body.sequence('the signature algorithm');
  body.sequence('the issuer');
  body.sequence('the validity');
  return readSubject(body).subject;
}
