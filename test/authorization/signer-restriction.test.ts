/**
 * Approving and signing take a right of their own, signer by signer.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization
 */
import t from 'tap';
import { CERTIFICATE_SIGNING_REQUEST, POD, type Kind } from '../../src/api/kinds.js';
import type { ApiObject, CertificateSigningRequest } from '../../src/api/types.js';
import type { AccessRequest } from '../../src/authorization/request.js';
import { checkSigner } from '../../src/authorization/signer-restriction.js';

type Status = CertificateSigningRequest['status'];
const request = (status?: Status): ApiObject =>
  ({
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'r' },
    spec: { request: '', signerName: 'example.com/s' },
    status,
  }) as CertificateSigningRequest;
const having = (...types: string[]): Status => ({
  conditions: types.map((type) => ({ type, status: 'True' })),
});

t.test('who may change what', async (t) => {
  const kind = CERTIFICATE_SIGNING_REQUEST as Kind;
  for (const [what, rights, next, old, refused] of [
    [
      'approval without the right',
      [],
      having('Approved'),
      undefined,
      /not permitted to approve .*"example.com\/s"/,
    ],
    ['approval with the right to sign', ['sign example.com/s'], having('Approved'), undefined, /approve/],
    ['approval of another signer', ['approve example.com/t'], having('Approved'), undefined, /approve/],
    ['approval', ['approve example.com/s'], having('Approved'), undefined, undefined],
    ['approval of the domain', ['approve example.com/*'], having('Denied'), undefined, undefined],
    [
      'a certificate with the right to approve',
      ['approve example.com/s'],
      { certificate: 'x' },
      undefined,
      /not permitted to sign/,
    ],
    ['a certificate', ['sign example.com/*'], { certificate: 'x' }, undefined, undefined],
    ['a failure without the right', [], having('Approved', 'Failed'), having('Approved'), /sign/],
    ['nothing of either', [], having('Approved'), having('Approved'), undefined],
  ] as [string, string[], Status, Status, RegExp | undefined][]) {
    const decide = (_: unknown, asked: AccessRequest) => {
      const isAllowed =
        'name' in asked && asked.resource === 'signers' && rights.includes(`${asked.verb} ${asked.name}`);
      return { isAllowed, reason: '' };
    };
    const user = { username: 'u', groups: [] };
    const why = checkSigner(decide, user, kind, request(next), request(old));
    if (refused) t.match(why, refused, what);
    else t.equal(why, undefined, what);
    t.equal(checkSigner(decide, user, kind, request(next), undefined), undefined, 'a new one');
    t.equal(checkSigner(decide, user, POD as Kind, request(next), request(old)), undefined, 'another kind');
  }
});
