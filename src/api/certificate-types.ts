/**
 * certificates.k8s.io/v1, as far as we read it.
 */
import type { ApiObject, Condition } from './object-meta.js';

/** Somebody asks for a certificate; somebody approves or denies it; a signer writes it into the status. */
export interface CertificateSigningRequest extends ApiObject {
  spec: {
    /** PEM of PKCS #10, in base64. */
    request: string;
    signerName: string;
    usages?: string[];
    expirationSeconds?: number;
    /** Who asked: the server writes these, whatever was in the body. */
    username?: string;
    uid?: string;
    groups?: string[];
  };
  status?: {
    /** `Approved`, `Denied`, `Failed`; each with status True. */
    conditions?: Condition[];
    /** PEM, in base64. */
    certificate?: string;
  };
}
