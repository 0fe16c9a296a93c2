/**
 * CertificateSigningRequest: the row. Its spec never changes; `approval` changes what people decide, `status` what signers do.
 *
 * Whether `spec.request` is a request is not looked at here: that takes cryptography, see server/registry/new-objects.ts.
 *
 * Source: k8s.io/kubernetes, pkg/apis/certificates/validation, pkg/registry/certificates/certificates/strategy.go,
 * pkg/printers/internalversion/printers.go.
 */
import { duration } from './age.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { at, duplicate, forbidden, invalid, notSupported, required, type Problem } from './problem.js';
import { checkDnsSubdomain, checkUnique } from './rules.js';
import { BYTES, CONDITIONS, INT32, mapOf, object, objectSchema, STRING, STRINGS } from './schema.js';
import type { CertificateSigningRequest, Condition } from './types.js';

export const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client';
/** For the certificates of nodes. */
export const NODE_CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';

const SHORTEST_SECONDS = 600;
/** What people decide. */
const DECISIONS: readonly string[] = ['Approved', 'Denied'];
/** Conditions that are there for good, and true. */
const LASTING: readonly string[] = [...DECISIONS, 'Failed'];

const USAGES: readonly string[] = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];

/** A condition of this type, if it is there. */
export const requestCondition = (
  { status }: Pick<CertificateSigningRequest, 'status'>,
  type: 'Approved' | 'Denied' | 'Failed',
): Condition | undefined => status?.conditions?.find((condition) => condition.type === type);

function stateText(request: CertificateSigningRequest): string {
  const words = [
    requestCondition(request, 'Denied')
      ? 'Denied'
      : requestCondition(request, 'Approved')
        ? 'Approved'
        : 'Pending',
  ];
  if (requestCondition(request, 'Failed')) words.push('Failed');
  if (request.status?.certificate) words.push('Issued');
  return words.join(',');
}

export const CERTIFICATE_SIGNING_REQUEST: Kind<CertificateSigningRequest> = {
  group: 'certificates.k8s.io',
  versions: ['v1'],
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  singular: 'certificatesigningrequest',
  shortNames: ['csr'],
  namespaced: false,
  subresources: ['approval', 'status'],
  schema: objectSchema({
    spec: object(
      {
        expirationSeconds: INT32,
        extra: mapOf(STRINGS),
        groups: STRINGS,
        request: BYTES,
        signerName: STRING,
        uid: STRING,
        usages: STRINGS,
        username: STRING,
      },
      ['request', 'signerName'],
    ),
    status: object({ certificate: BYTES, conditions: CONDITIONS }),
  }),
  columns: [
    NAME_COLUMN,
    AGE_COLUMN,
    column('SignerName', ({ spec }) => spec.signerName),
    column('Requestor', ({ spec }) => spec.username ?? ''),
    column('RequestedDuration', ({ spec: { expirationSeconds: seconds } }) =>
      seconds === undefined ? '<none>' : duration(seconds * 1000),
    ),
    column('Condition', stateText),
  ],
  selectable: ['spec.signerName'],
  hasEffect: true,
  defaults() {},
  validate: ({ metadata, spec, status = {} }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...checkUsages(spec.usages ?? []),
    ...checkSignerName(spec.signerName, 'spec.signerName'),
    ...(spec.expirationSeconds !== undefined && spec.expirationSeconds < SHORTEST_SECONDS
      ? [
          invalid(
            'spec.expirationSeconds',
            spec.expirationSeconds,
            `may not specify a duration less than ${SHORTEST_SECONDS} seconds (10 minutes)`,
          ),
        ]
      : []),
    ...checkConditions(status.conditions ?? []),
  ],
  prepareCreate(request, user) {
    delete request.status;
    const { username, uid, groups } = user ?? {};
    const { extra: _, ...spec } = request.spec as CertificateSigningRequest['spec'] & { extra?: unknown };
    request.spec = { ...spec, username, uid, groups: groups && [...groups] };
  },
  prepareUpdate(next, old) {
    next.spec = old.spec;
  },
  prepareStatus(next, old, part) {
    const conditions = (next.status?.conditions ?? []).map(withTimes);
    const isDecision = ({ type }: Condition): boolean => DECISIONS.includes(type);
    next.status =
      part === 'approval'
        ? { ...old.status, conditions }
        : {
            ...next.status,
            conditions: [
              ...(old.status?.conditions ?? []).filter(isDecision),
              ...conditions.filter((condition) => !isDecision(condition)),
            ],
          };
  },
  validateStatus(next, old) {
    const kept = new Set(next.status?.conditions?.map(({ type }) => type));
    return (old.status?.conditions ?? [])
      .filter(({ type }) => LASTING.includes(type) && !kept.has(type))
      .map(({ type }) =>
        forbidden('status.conditions', `updates may not remove a condition of type "${type}"`),
      );
  },
};

/** Times that a client left to the server; the one that kubectl does write stands for the other. */
function withTimes(condition: Condition): Condition {
  const time = condition.lastTransitionTime ?? condition.lastUpdateTime;
  return time === undefined ? condition : { lastUpdateTime: time, ...condition, lastTransitionTime: time };
}

function checkUsages(usages: readonly string[]): Problem[] {
  if (usages.length === 0) return [required('spec.usages')];
  return usages.flatMap((usage, i) => {
    const field = at('spec.usages', i);
    if (!USAGES.includes(usage)) return [notSupported(field, usage, USAGES)];
    return usages.indexOf(usage) < i ? [duplicate(field, usage)] : [];
  });
}

/** `example.com/signer-name`. */
function checkSignerName(name: string, field: string): Problem[] {
  const [domain = '', path, ...more] = name.split('/');
  if (path === undefined || more.length > 0)
    return [
      invalid(field, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
    ];
  const problems = [...checkDnsSubdomain(domain, field), ...checkDnsSubdomain(path, field)];
  if (problems.length === 0 && !domain.includes('.'))
    problems.push(invalid(field, name, 'should be a domain with at least two segments separated by dots'));
  return problems;
}

function checkConditions(conditions: readonly Condition[]): Problem[] {
  const field = 'status.conditions';
  const problems = checkUnique(
    conditions,
    ({ type }) => type,
    (i) => `${at(field, i)}.type`,
  );
  for (const [i, { type, status }] of conditions.entries())
    if (LASTING.includes(type) && status !== 'True')
      problems.push(notSupported(`${at(field, i)}.status`, status, ['True']));
  if (DECISIONS.every((one) => conditions.some(({ type }) => type === one)))
    problems.push(invalid(field, 'Denied', 'Approved and Denied conditions are mutually exclusive'));
  return problems;
}
