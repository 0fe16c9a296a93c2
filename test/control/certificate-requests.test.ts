import t from 'tap';
import type { CertificateSigningRequest, Node } from '../../src/api/types.js';
import { Agenda } from '../../src/control/agenda.js';
import { forgetRequests, reconcileRequests, type Asked } from '../../src/control/certificate-requests.js';

const NOW = Date.UTC(2030, 0, 1);
const NODE_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';
const CLIENT = 'kubernetes.io/kube-apiserver-client';
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

type Spec = Partial<CertificateSigningRequest['spec']>;
const request = (spec: Spec, status?: CertificateSigningRequest['status']): CertificateSigningRequest => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name: 'r', creationTimestamp: '2030-01-01T00:00:00Z' },
  spec: { request: '', signerName: NODE_SIGNER, usages: ['client auth', 'digital signature'], ...spec },
  ...(status && { status }),
});
const asks = (commonName: string, organizations = ['system:nodes'], hasAlternativeNames = false): Asked => ({
  subject: { commonName, organizations },
  hasAlternativeNames,
});
const node = (name: string, status: 'True' | 'Unknown'): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { conditions: [{ type: 'Ready', status }] },
});
const BOOTSTRAPPER: Spec = {
  username: 'system:bootstrap:abcdef',
  groups: ['system:bootstrappers', 'system:authenticated'],
};
const N1: Spec = { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };
const ADMIN: Spec = { username: 'podwire:admin', groups: ['system:masters'] };
const APPROVED = { conditions: [{ type: 'Approved', status: 'True' as const }] };

/** `Approved,issued 30d`, or `Denied NoNodeRequest`, or nothing. */
function outcome(object: CertificateSigningRequest, asked: Asked, nodes: Node[] = []): string {
  let life = '';
  const changes = reconcileRequests(
    [object],
    nodes,
    {
      read: () => asked,
      sign: (_, lifeMs) => {
        life = `${lifeMs / DAY}d`;
        return 'UEVN';
      },
    },
    NOW,
  );
  if (changes.length === 0) return '';
  const { status } = changes[0]!.object as CertificateSigningRequest;
  const words = (status?.conditions ?? []).map(({ type, reason }) =>
    type === 'Approved' ? type : `${type} ${reason}`,
  );
  if (status?.certificate) words.push(`issued ${life}`);
  return words.join(', ');
}

t.test('what becomes of a request', async (t) => {
  const own = asks('system:node:n1');
  for (const [what, spec, asked, nodes, expected] of [
    ['a host that joins', BOOTSTRAPPER, own, [], 'Approved, issued 30d'],
    ['a name whose node is lost', BOOTSTRAPPER, own, [node('n1', 'Unknown')], 'Approved, issued 30d'],
    ['a name whose node lives', BOOTSTRAPPER, own, [node('n1', 'True')], 'Denied NodeNameTaken'],
    ['a node that renews', N1, own, [node('n1', 'True')], 'Approved, issued 30d'],
    ['a shorter life', { ...N1, expirationSeconds: 43_200 }, own, [], 'Approved, issued 0.5d'],
    ['a longer life than any', { ...N1, expirationSeconds: 2 ** 31 - 1 }, own, [], 'Approved, issued 365d'],
    ['a node for another', N1, asks('system:node:n2'), [], ''],
    ['a node’s name without its group', { ...N1, groups: [] }, own, [], ''],
    ['the administrator', ADMIN, own, [], ''],
    ['no node’s name', BOOTSTRAPPER, asks('alice'), [], 'Denied NoNodeRequest'],
    ['an empty name', BOOTSTRAPPER, asks('system:node:'), [], 'Denied NoNodeRequest'],
    ['a bad name', BOOTSTRAPPER, asks('system:node:A/b'), [], 'Denied NoNodeRequest'],
    ['another group', BOOTSTRAPPER, asks('system:node:n1', ['system:masters']), [], 'Denied NoNodeRequest'],
    [
      'a group besides',
      BOOTSTRAPPER,
      asks('system:node:n1', ['system:nodes', 'system:masters']),
      [],
      'Denied NoNodeRequest',
    ],
    ['other names', BOOTSTRAPPER, asks('system:node:n1', ['system:nodes'], true), [], 'Denied NoNodeRequest'],
    ['for a server', { ...BOOTSTRAPPER, usages: ['server auth'] }, own, [], 'Denied NoNodeRequest'],
    ['for nothing', { ...BOOTSTRAPPER, usages: ['digital signature'] }, own, [], 'Denied NoNodeRequest'],
    [
      'RSA, as kubelets ask',
      { ...BOOTSTRAPPER, usages: ['client auth', 'digital signature', 'key encipherment'] },
      own,
      [],
      'Approved, issued 30d',
    ],
    ['a person', { ...ADMIN, signerName: CLIENT }, asks('alice', ['dev']), [], ''],
    ['a bootstrapper as a person', { ...BOOTSTRAPPER, signerName: CLIENT }, asks('root', []), [], ''],
    ['another signer', { ...BOOTSTRAPPER, signerName: 'example.com/x' }, own, [], ''],
  ] as [string, Spec, Asked, Node[], string][])
    t.equal(outcome(request(spec), asked, nodes), expected, what);
});

t.test('what was approved is signed, or fails with a reason', async (t) => {
  const alice = asks('alice', ['dev']);
  for (const [what, spec, asked, expected] of [
    ['a person', { signerName: CLIENT }, alice, 'Approved, issued 365d'],
    ['for a day', { signerName: CLIENT, expirationSeconds: 86_400 }, alice, 'Approved, issued 1d'],
    [
      'for servers',
      { signerName: CLIENT, usages: ['client auth', 'server auth'] },
      alice,
      'Approved, Failed SignerValidationFailure',
    ],
    ['a node, by a person', { ...ADMIN }, asks('system:node:n9'), 'Approved, issued 30d'],
    ['no node', { ...ADMIN }, alice, 'Approved, Failed SignerValidationFailure'],
    ['another signer', { signerName: 'example.com/x' }, alice, ''],
  ] as [string, Spec, Asked, string][])
    t.equal(outcome(request(spec, APPROVED), asked), expected, what);
});

t.test('what is done stays as it is', async (t) => {
  const asked = asks('system:node:n1');
  for (const status of [
    { ...APPROVED, certificate: 'UEVN' },
    { conditions: [{ type: 'Denied', status: 'True' as const }] },
    { conditions: [...APPROVED.conditions, { type: 'Failed', status: 'True' as const }] },
  ])
    t.equal(outcome(request(BOOTSTRAPPER, status), asked), '');
});

t.test('old requests are forgotten: decided ones after an hour, others after a day', async (t) => {
  const gone = (object: CertificateSigningRequest, at: number): [boolean, number | undefined] => {
    const agenda = new Agenda(at, 1);
    forgetRequests([object], agenda);
    return [agenda.changes.length > 0, agenda.again];
  };
  const pending = request(BOOTSTRAPPER);
  t.strictSame(gone(pending, NOW + DAY - 1), [false, NOW + DAY]);
  t.strictSame(gone(pending, NOW + DAY), [true, undefined]);
  const decided = request(BOOTSTRAPPER, {
    conditions: [{ type: 'Denied', status: 'True', lastTransitionTime: '2030-01-01T05:00:00Z' }],
  });
  t.strictSame(gone(decided, NOW + 6 * HOUR - 1), [false, NOW + 6 * HOUR]);
  t.strictSame(gone(decided, NOW + 6 * HOUR), [true, undefined]);
});
