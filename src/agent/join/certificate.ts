/**
 * Getting a certificate: a request in the API, signed by the server's controller when it is for the node of who asks.
 * certificates.k8s.io/v1, signer `kubernetes.io/kube-apiserver-client-kubelet`, as a kubelet does it.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { timestamp } from '../../api/age.js';
import { NODE_CLIENT_SIGNER, requestCondition } from '../../api/certificate-signing-request.js';
import { CERTIFICATE_SIGNING_REQUEST } from '../../api/kinds.js';
import type { CertificateSigningRequest } from '../../api/types.js';
import { NODE_USER, NODES_GROUP } from '../../api/user.js';
import type { Client } from '../../client/client.js';
import { makeCertificateRequest } from '../../client/pki/certificate-request.js';
import type { KeyAndCertificate } from '../../client/server-address.js';
import type { Logger } from '../log.js';
import { JoinRefused } from './first-contact.js';
import { validityOf } from './identity.js';

const LOOK_MS = 200;
const LONGEST_LOOK_MS = 5_000;
/** After so long somebody should hear that the certificate does not come. */
const PATIENCE_MS = 10_000;

export interface CertificateWish {
  readonly client: Pick<Client, 'create' | 'get'>;
  readonly node: string;
  /** How long it should be good; the server decides. */
  readonly expirationSeconds?: number;
  readonly log: Logger;
  readonly stop: AbortSignal;
}

/**
 * Ask for a certificate with a new key, and wait until it is there.
 *
 * @throws JoinRefused when the server denies it; what the client throws when it cannot be asked
 */
export async function requestCertificate(wish: CertificateWish): Promise<KeyAndCertificate> {
  const { client, node, log, stop } = wish;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = { commonName: NODE_USER + node, organizations: [NODES_GROUP] };
  const name = `node-csr-${randomBytes(12).toString('hex')}`;
  await client.create<CertificateSigningRequest>({
    apiVersion: 'certificates.k8s.io/v1',
    kind: CERTIFICATE_SIGNING_REQUEST.kind,
    metadata: { name },
    spec: {
      request: Buffer.from(makeCertificateRequest(subject, privateKey)).toString('base64'),
      signerName: NODE_CLIENT_SIGNER,
      usages: ['digital signature', 'client auth'],
      ...(wish.expirationSeconds !== undefined && { expirationSeconds: wish.expirationSeconds }),
    },
  });
  const began = performance.now();
  let isTold = false;
  for (let pause = LOOK_MS; ; pause = Math.min(2 * pause, LONGEST_LOOK_MS)) {
    stop.throwIfAborted();
    const request = await client.get(CERTIFICATE_SIGNING_REQUEST, name);
    const no = request && (requestCondition(request, 'Denied') ?? requestCondition(request, 'Failed'));
    if (no)
      throw new JoinRefused(
        `The server gives no certificate to node "${node}": ${no.message ?? no.reason ?? no.type}`,
      );
    const certificate = request?.status?.certificate;
    if (certificate)
      return {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        certificate: Buffer.from(certificate, 'base64').toString(),
      };
    if (!isTold && performance.now() - began > PATIENCE_MS) {
      isTold = true;
      log.warn(
        `The server has not signed our certificate yet; "kubectl get csr ${name}" shows why, "kubectl certificate approve ${name}" allows it`,
      );
    }
    await sleep(pause, undefined, { signal: stop }).catch(() => {}); // told to stop: said above
  }
}

/** When to ask for the next one, as a kubelet does: by chance between 70 and 90 % of its life, so that hosts do not ask together. */
export function renewAfter(certificate: string, now: number, chance: number): string {
  const left = validityOf(certificate).to - now;
  return timestamp(now + left * (0.7 + 0.2 * chance));
}
