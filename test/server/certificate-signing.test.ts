/**
 * Requests for certificates over the API: who may ask for what, and that what comes out lets in.
 */
import { X509Certificate, type KeyObject } from 'node:crypto';
import t from 'tap';
import { bootstrapTokenSecret, PODWIRE_BOOTSTRAPPERS } from '../../src/api/bootstrap-token.js';
import { CERTIFICATE_SIGNING_REQUEST, EVENT } from '../../src/api/kinds.js';
import type { CertificateSigningRequest, Event } from '../../src/api/types.js';
import { createClient, type Client } from '../../src/client/client.js';
import { bearerOf, newTokenWords } from '../../src/client/join-token.js';
import { makeCertificateRequest } from '../../src/client/pki/certificate-request.js';
import { newKey } from '../../src/server/access/certificate.js';
import { keptLog } from '../lib/kept-log.js';
import type { TestScope } from '../lib/scope.js';
import { ask, startTls, type Answer } from '../lib/tls-server.js';
import { until } from '../lib/until.js';

const PATH = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const NODE_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;

interface Started {
  readonly url: string;
  readonly client: Client;
  readonly lines: string[];
  /** One request with an identity: `Bearer` or certificate. */
  call(
    identity: { token?: string; key?: string; cert?: string },
    method: string,
    path: string,
    body?: object,
  ): Promise<Answer>;
  admin: { token: string };
}

async function start(t: TestScope): Promise<Started> {
  const { log, lines } = keptLog();
  const lab = await startTls(t, { log });
  const { url = '' } = await lab.start();
  const client = createClient({ socketPath: lab.options.socketPath! });
  t.teardown(() => client.close());
  return {
    url,
    client,
    lines,
    call: (identity, method, path, body) => ask(url, { ca: lab.ca(), ...identity, method, path, body }),
    admin: { token: lab.token() },
  };
}

const csr = (name: string, spec: object): object => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name },
  spec,
});

const issued = (client: Client, name: string): Promise<CertificateSigningRequest> =>
  until(`the certificate of ${name}`, async () => {
    const object = await client.get<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUEST, name);
    return object?.status?.certificate ? object : undefined;
  });

const certificateOf = ({ status }: CertificateSigningRequest): string =>
  Buffer.from(status!.certificate!, 'base64').toString();

const WHOAMI = '/apis/authentication.k8s.io/v1/selfsubjectreviews';

t.test('a host joins by a token, comes in by its certificate, and renews it', async (t) => {
  const { client, call, lines } = await start(t);
  const words = newTokenWords();
  await client.create(
    bootstrapTokenSecret({
      ...words,
      expiration: Date.now() + 3_600_000,
      groups: [PODWIRE_BOOTSTRAPPERS],
      description: '',
      isForAuthentication: true,
    }),
  );
  const key = newKey();
  const request = makeCertificateRequest(
    { commonName: 'system:node:n1', organizations: ['system:nodes'] },
    key,
  );
  const spec = {
    request: base64(request),
    signerName: NODE_SIGNER,
    usages: ['client auth', 'digital signature'],
    username: 'system:admin',
    groups: ['system:masters'],
  };
  const made = await call({ token: bearerOf(words) }, 'POST', PATH, csr('join-n1', spec));
  t.equal(made.code, 201, made.body);
  t.match(
    (JSON.parse(made.body) as CertificateSigningRequest).spec,
    { username: `system:bootstrap:${words.id}`, groups: ['system:bootstrappers'] },
    'the server says who asks',
  );
  const cert = certificateOf(await issued(client, 'join-n1'));
  const whoami = await call({ key: pemOf(key), cert }, 'POST', WHOAMI, {});
  t.match(whoami, { code: 201, body: /"username":"system:node:n1","groups":\["system:nodes"/ });
  const life = Date.parse(new X509Certificate(cert).validTo) - Date.now();
  t.ok(Math.abs(life - 30 * 24 * 3_600_000) < 60_000, '30 days');

  const next = newKey();
  const again = makeCertificateRequest(
    { commonName: 'system:node:n1', organizations: ['system:nodes'] },
    next,
  );
  const { groups: _, username: __, ...own } = spec;
  const renewed = await call(
    { key: pemOf(key), cert },
    'POST',
    PATH,
    csr('renew-n1', { ...own, request: base64(again), expirationSeconds: 600 }),
  );
  t.equal(renewed.code, 201, renewed.body);
  const second = new X509Certificate(certificateOf(await issued(client, 'renew-n1')));
  t.ok(Date.parse(second.validTo) - Date.now() <= 600_000, 'as long as was asked');
  t.ok(second.checkPrivateKey(next));

  const bad = makeCertificateRequest(
    { commonName: 'system:node:n2', organizations: ['system:masters'] },
    key,
  );
  await call({ token: bearerOf(words) }, 'POST', PATH, csr('bad', { ...own, request: base64(bad) }));
  const denied = await until('a denial', async () => {
    const object = await client.get<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUEST, 'bad');
    return object?.status?.conditions?.find(({ type }) => type === 'Denied');
  });
  t.match(denied, {
    reason: 'NoNodeRequest',
    message: /the organization must be system:nodes, not "system:masters"/,
  });
  await until('an event', async () =>
    (await client.list<Event>(EVENT)).items.find(({ reason }) => reason === 'NoNodeRequest'),
  );

  const log = lines.join('');
  t.match(log, /"request":"join-n1".*"commonName":"system:node:n1".*signed a certificate/);
  for (const secret of [words.secret, pemOf(key).split('\n')[1]!, 'PRIVATE'])
    t.notMatch(log, secret, 'no secret in any line of the log');
});

t.test('what breaks rules is refused with Kubernetes’ words', async (t) => {
  const { call, admin } = await start(t);
  const request = base64(makeCertificateRequest({ commonName: 'alice', organizations: ['dev'] }, newKey()));
  const good = { request, signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth'] };
  const masters = makeCertificateRequest({ commonName: 'x', organizations: ['system:masters'] }, newKey());
  for (const [spec, code, why] of [
    [
      { ...good, request: base64('hello') },
      422,
      /spec.request: Invalid value: .*PEM block type must be CERTIFICATE REQUEST/,
    ],
    [{ ...good, request: '!' }, 400, /illegal base64 data/],
    [{ ...good, request: undefined }, 422, /spec.request: Required value/],
    [
      { ...good, signerName: 'x' },
      422,
      /must be a fully qualified domain and path of the form 'example.com\/signer-name'/,
    ],
    [{ ...good, signerName: 'x/y' }, 422, /at least two segments/],
    [{ ...good, usages: [] }, 422, /spec.usages: Required value/],
    [{ ...good, usages: ['fun'] }, 422, /spec.usages\[0\]: Unsupported value: \\"fun\\"/],
    [{ ...good, usages: ['client auth', 'client auth'] }, 422, /spec.usages\[1\]: Duplicate value/],
    [{ ...good, expirationSeconds: 599 }, 422, /may not specify a duration less than 600 seconds/],
    [{ ...good, request: base64(masters) }, 403, /with system:masters group is not allowed/],
  ] as [object, number, RegExp][]) {
    const answer = await call(admin, 'POST', PATH, csr('r', spec));
    t.equal(answer.code, code, answer.body);
    t.match(answer.body, why);
  }
  t.equal((await call(admin, 'POST', PATH, csr('r', good))).code, 201);
  const object = JSON.parse((await call(admin, 'GET', `${PATH}/r`)).body) as CertificateSigningRequest;
  const changed = {
    ...object,
    spec: { ...object.spec, groups: ['system:masters'], request: base64(masters) },
  };
  const kept = JSON.parse((await call(admin, 'PUT', `${PATH}/r`, changed)).body) as CertificateSigningRequest;
  t.strictSame(kept.spec, object.spec, 'a spec never changes');
  const { resourceVersion: _, ...metadata } = kept.metadata;
  const condition = (type: string, status = 'True') => ({ type, status, reason: 'Test' });
  const approval = (conditions: object[], certificate?: string) =>
    call(admin, 'PUT', `${PATH}/r/approval`, { ...kept, metadata, status: { conditions, certificate } });
  t.match(await approval([condition('Approved', 'False')]), {
    code: 422,
    body: /supported values: \\"True\\"/,
  });
  t.match(await approval([condition('Approved'), condition('Denied')]), {
    code: 422,
    body: /mutually exclusive/,
  });
  const byStatus = await call(admin, 'PUT', `${PATH}/r/status`, {
    ...kept,
    status: { conditions: [condition('Approved')] },
  });
  t.notMatch(byStatus.body, '"Approved"', 'status approves nothing');
  const denied = await approval([condition('Denied')], base64('x'));
  t.equal(denied.code, 200, denied.body);
  t.notMatch(denied.body, '"certificate"', 'an approval brings no certificate');
  t.match(await call(admin, 'PUT', `${PATH}/r/approval`, { ...kept, metadata, status: {} }), {
    code: 422,
    body: /updates may not remove a condition of type \\"Denied\\"/,
  });
});
