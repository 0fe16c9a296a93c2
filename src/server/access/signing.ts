/**
 * The keys for control's decisions about requests for certificates: each request is read once, and each signature is noted
 * in the log.
 */
import type { Logger } from 'pino';
import type { CertificateSigningRequest } from '../../api/types.js';
import type { CertificateRequest } from '../../client/pki/certificate-request.js';
import type { Signing } from '../../control/certificate-requests.js';
import { readRequest } from '../registry/new-objects.js';
import type { Credentials } from './credentials.js';

/** @param now  milliseconds since 1970 */
export function createSigning(
  { clientCertificate }: Credentials,
  log: Logger,
  now: () => number = Date.now,
): Signing {
  const known = new WeakMap<CertificateSigningRequest, CertificateRequest>();
  const read = (request: CertificateSigningRequest): CertificateRequest => {
    let asked = known.get(request);
    if (!asked) known.set(request, (asked = readRequest(request)));
    return asked;
  };
  return {
    read,
    sign(request, lifeMs) {
      const { subject, subjectDer, publicKey } = read(request);
      const { usages = [], username, signerName } = request.spec;
      const hasKeyEncipherment = usages.includes('key encipherment');
      const pem = clientCertificate({ subject: subjectDer, publicKey, hasKeyEncipherment, lifeMs }, now());
      log.info(
        { request: request.metadata.name, from: username, signerName, ...subject, lifeMs },
        'signed a certificate',
      );
      return Buffer.from(pem).toString('base64');
    },
  };
}
