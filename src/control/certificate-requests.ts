/**
 * What becomes of requests for certificates.
 *
 * Theory of operation. PENDING → APPROVED → ISSUED, or DENIED, or FAILED. A node's own certificate is approved here: when
 * it is a host with a join token that asks, and no node of that name lives; or the node itself, which renews. Everything
 * else waits for a person (`kubectl certificate approve`). What was approved and is for one of our two signers is signed, or
 * fails when the signer does not sign such; requests for other signers are left to them. Old requests are forgotten.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/; k8s.io/kubernetes,
 * pkg/controller/certificates/approver, signer, cleaner.
 */
import { BOOTSTRAPPERS } from '../api/bootstrap-token.js';
import { CLIENT_SIGNER, NODE_CLIENT_SIGNER, requestCondition } from '../api/certificate-signing-request.js';
import { isReady } from '../api/node.js';
import { checkDnsSubdomain } from '../api/rules.js';
import type { CertificateSigningRequest, Node } from '../api/types.js';
import { NODE_USER, NODES_GROUP } from '../api/user.js';
import type { Agenda } from './agenda.js';
import type { Change, Note } from './change.js';
import { withCondition } from './conditions.js';

const DAY_MS = 24 * 3_600_000;
/** How long a certificate is good when the request does not say; and at most. */
const NODE_LIFE_MS = 30 * DAY_MS;
const LONGEST_LIFE_MS = 365 * DAY_MS;

/** How long requests are kept: decided ones, and those that nobody decides on. */
const DECIDED_MS = 3_600_000;
const PENDING_MS = DAY_MS;

/** What a request says of itself. */
export interface Asked {
  readonly subject: { readonly commonName: string; readonly organizations: readonly string[] };
  readonly hasAlternativeNames: boolean;
}

/** What takes keys, which control has none of. */
export interface Signing {
  /** @throws SyntaxError when it is no request */
  read(request: CertificateSigningRequest): Asked;
  /** @returns PEM, in base64 */
  sign(request: CertificateSigningRequest, lifeMs: number): string;
}

/**
 * Approve, deny, and sign.
 *
 * @param now  milliseconds since 1970
 */
export function reconcileRequests(
  requests: readonly CertificateSigningRequest[],
  nodes: readonly Node[],
  signing: Signing,
  now: number,
): Change[] {
  return requests.flatMap((request): Change[] => {
    const { signerName } = request.spec;
    const isOurs = signerName === CLIENT_SIGNER || signerName === NODE_CLIENT_SIGNER;
    const isDone =
      request.status?.certificate ||
      requestCondition(request, 'Denied') ||
      requestCondition(request, 'Failed');
    if (!isOurs || isDone || request.metadata.deletionTimestamp) return [];
    let asked: Asked;
    try {
      asked = signing.read(request);
    } catch (error) {
      return [decided(request, 'Failed', 'SignerValidationFailure', (error as Error).message, now)];
    }
    let approved = request;
    if (!requestCondition(request, 'Approved')) {
      if (signerName !== NODE_CLIENT_SIGNER) return [];
      const verdict = judge(request, asked, nodes);
      if (verdict === undefined) return [];
      const { type, reason, message } = verdict;
      if (type === 'Denied') return [decided(request, type, reason, message, now)];
      approved = withCondition(request, { type, status: 'True', reason, message }, now);
    }
    const fault = signerName === NODE_CLIENT_SIGNER ? nodeFault(approved, asked) : usageFault(approved);
    if (fault !== undefined) return [decided(approved, 'Failed', 'SignerValidationFailure', fault, now)];
    const { expirationSeconds: seconds } = approved.spec;
    const standardMs = signerName === NODE_CLIENT_SIGNER ? NODE_LIFE_MS : LONGEST_LIFE_MS;
    const lifeMs = seconds === undefined ? standardMs : Math.min(seconds * 1000, LONGEST_LIFE_MS);
    const certificate = signing.sign(approved, lifeMs);
    const signed: CertificateSigningRequest = { ...approved, status: { ...approved.status, certificate } };
    return [{ type: 'update', object: signed }];
  });
}

/** What to do about a request for a node's certificate; undefined: leave it to a person. */
function judge(
  request: CertificateSigningRequest,
  asked: Asked,
  nodes: readonly Node[],
): { type: 'Approved' | 'Denied'; reason: string; message: string } | undefined {
  const { username, groups = [] } = request.spec;
  const { commonName } = asked.subject;
  if (username === commonName && groups.includes(NODES_GROUP))
    return { type: 'Approved', reason: 'AutoApproved', message: 'A node renews its own certificate.' };
  if (!groups.includes(BOOTSTRAPPERS)) return undefined;
  const fault = nodeFault(request, asked);
  if (fault !== undefined) return { type: 'Denied', reason: 'NoNodeRequest', message: fault };
  const name = commonName.slice(NODE_USER.length);
  const node = nodes.find(({ metadata }) => metadata.name === name);
  if (node && isReady(node))
    return {
      type: 'Denied',
      reason: 'NodeNameTaken',
      message: `A node "${name}" is there, and Ready: choose another name, or end its agent first.`,
    };
  return {
    type: 'Approved',
    reason: 'AutoApproved',
    message: 'A host with a join token asks for its certificate.',
  };
}

/** Why a request is not that of a node's certificate. */
function nodeFault(
  { spec }: CertificateSigningRequest,
  { subject, hasAlternativeNames }: Asked,
): string | undefined {
  const { commonName, organizations } = subject;
  const name = commonName.startsWith(NODE_USER) ? commonName.slice(NODE_USER.length) : '';
  if (name === '' || checkDnsSubdomain(name, '').length > 0)
    return `the common name must be ${NODE_USER}NAME, not "${commonName}"`;
  if (organizations.length !== 1 || organizations[0] !== NODES_GROUP)
    return `the organization must be ${NODES_GROUP}, not "${organizations.join(', ')}"`;
  if (hasAlternativeNames) return 'alternative names are not for the certificates of clients';
  return usageFault({ spec });
}

const CLIENT_USAGES: readonly string[] = ['client auth', 'digital signature', 'key encipherment'];

function usageFault({ spec: { usages = [] } }: Pick<CertificateSigningRequest, 'spec'>): string | undefined {
  const other = usages.find((usage) => !CLIENT_USAGES.includes(usage));
  if (other !== undefined) return `the usage "${other}" is not for the certificates of clients`;
  return usages.includes('client auth') ? undefined : 'the usages must have "client auth"';
}

function decided(
  request: CertificateSigningRequest,
  type: 'Denied' | 'Failed',
  reason: string,
  message: string,
  now: number,
): Change {
  const note: Note = {
    about: request,
    type: 'Warning',
    reason,
    message,
    component: 'certificate-controller',
  };
  return {
    type: 'update',
    object: withCondition(request, { type, status: 'True', reason, message }, now),
    notes: [note],
  };
}

/** Take away requests of long ago. What they asked for lives on. */
export function forgetRequests(requests: readonly CertificateSigningRequest[], agenda: Agenda): void {
  for (const request of requests) {
    const { metadata, status } = request;
    const times = (status?.conditions ?? []).map(({ lastTransitionTime }) =>
      Date.parse(lastTransitionTime ?? ''),
    );
    const last = Math.max(
      Date.parse(metadata.creationTimestamp ?? ''),
      ...times.filter((time) => !Number.isNaN(time)),
    );
    const isDecided = requestCondition(request, 'Approved') || requestCondition(request, 'Denied');
    const end = last + (isDecided ? DECIDED_MS : PENDING_MS);
    if (end <= agenda.now) agenda.delete(request);
    else if (!Number.isNaN(end)) agenda.lookAgain(end);
  }
}
