/**
 * Rules for new objects that take more than the object: cryptography.
 */
import { invalidObject, isForbidden } from '../../api/error.js';
import { CLIENT_SIGNER } from '../../api/certificate-signing-request.js';
import { CERTIFICATE_SIGNING_REQUEST, type Kind } from '../../api/kinds.js';
import { invalid } from '../../api/problem.js';
import type { ApiObject, CertificateSigningRequest } from '../../api/types.js';
import { MASTERS } from '../../api/user.js';
import { readCertificateRequest, type CertificateRequest } from '../../client/pki/certificate-request.js';

/** What a request asks for. @throws SyntaxError */
export const readRequest = ({ spec }: CertificateSigningRequest): CertificateRequest =>
  readCertificateRequest(Buffer.from(spec.request, 'base64').toString('latin1'));

/** @throws ApiError 403, 422 */
export function checkNewObject(kind: Kind, object: ApiObject): void {
  if (kind !== (CERTIFICATE_SIGNING_REQUEST as Kind)) return;
  const request = object as CertificateSigningRequest;
  const { name } = request.metadata;
  let asked: CertificateRequest;
  try {
    asked = readRequest(request);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalidObject(kind, name, [invalid('spec.request', '…', error.message)]);
  }
  // Nobody gets there by a signature. Kubernetes: CertificateSubjectRestriction.
  if (request.spec.signerName === CLIENT_SIGNER && asked.subject.organizations.includes(MASTERS))
    throw isForbidden(kind, name, `use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`);
}
