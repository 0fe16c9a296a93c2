/**
 * Who may decide on requests for certificates, signer by signer: beside the right to write `approval` or `status` it takes the
 * verb `approve` or `sign` on `signers`, for the one by name or for its whole domain (`kubernetes.io/*`).
 *
 * Source: k8s.io/kubernetes, plugin/pkg/admission/certificates.
 */
import { equal } from '../api/json.js';
import { CERTIFICATE_SIGNING_REQUEST, type Kind } from '../api/kinds.js';
import type { ApiObject, CertificateSigningRequest, Condition } from '../api/types.js';
import type { AccessRequest, Decision, Requester } from './request.js';

/**
 * Why somebody may not change a request so.
 *
 * @param old  as it is; undefined when it is new
 * @returns    undefined when he may
 */
export function checkSigner(
  decide: (user: Requester, request: AccessRequest) => Decision,
  user: Requester,
  kind: Kind,
  next: ApiObject,
  old: ApiObject | undefined,
): string | undefined {
  if (kind !== (CERTIFICATE_SIGNING_REQUEST as Kind) || !old) return undefined;
  const [after, before] = [next as CertificateSigningRequest, old as CertificateSigningRequest];
  const { signerName } = after.spec;
  const may = (verb: string): boolean =>
    [signerName, `${signerName.slice(0, signerName.indexOf('/'))}/*`].some((name) => {
      const where = { group: 'certificates.k8s.io', resource: 'signers', subresource: '', namespace: '' };
      return decide(user, { verb, name, ...where }).isAllowed;
    });
  const refusal = (verb: string): string =>
    `user not permitted to ${verb} requests with signerName "${signerName}"`;
  if (!equal(conditions(after, true), conditions(before, true)) && !may('approve')) return refusal('approve');
  const isSame = after.status?.certificate === before.status?.certificate;
  if ((!isSame || !equal(conditions(after, false), conditions(before, false))) && !may('sign'))
    return refusal('sign');
  return undefined;
}

/** Conditions that approvers write, or those that signers do. */
const conditions = ({ status }: CertificateSigningRequest, areDecisions: boolean): Condition[] =>
  (status?.conditions ?? []).filter(
    ({ type }) => (type === 'Approved' || type === 'Denied') === areDecisions,
  );
