/** `podwire user`: let a person in, by a certificate in a kubeconfig. */

import { generateKeyPairSync } from 'node:crypto';
import { resolve } from 'node:path';
import { timestamp } from '../api/age.js';
import { CLIENT_SIGNER, requestCondition } from '../api/certificate-signing-request.js';
import { CERTIFICATE_SIGNING_REQUEST } from '../api/kinds.js';
import type { CertificateSigningRequest } from '../api/types.js';
import type { Client } from '../client/client.js';
import { formatKubeconfig } from '../client/kubeconfig.js';
import { makeCertificateRequest } from '../client/pki/certificate-request.js';
import { writeFileWhole } from '../client/write-file.js';
import { connect, findCluster, SERVER_FLAGS } from './connect.js';
import { parseLifetime } from './lifetime.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

const LIFETIME = '365d';
/** A server signs within milliseconds. */
const PATIENCE_MS = 10_000;
const POLL_MS = 20;

export const user = defineVerb({
  usage: ['user add NAME [--group GROUP]… [--write-kubeconfig FILE]'],
  description:
    'Make a key, have the server sign a certificate for it, and write both as a kubeconfig. Who comes in by it is user NAME ' +
    'in the GROUPs; what he may do there, roles and their bindings say: kubectl create clusterrolebinding … --user NAME. ' +
    'A certificate cannot be revoked: take away the bindings.',
  options: {
    group: { type: 'string', multiple: true, value: 'GROUP', help: 'a group he is in; may be given again' },
    lifetime: {
      type: 'string',
      value: 'TIME',
      help: `how long the certificate is good, 10m to 365d (default: ${LIFETIME})`,
    },
    'write-kubeconfig': {
      type: 'string',
      value: 'FILE',
      help: 'where the kubeconfig goes, for its owner alone (default: standard output)',
    },
    ...SERVER_FLAGS,
  },
  args: { min: 1, max: 2 },
  example: [
    'podwire user add alice --group dev --write-kubeconfig alice.kubeconfig',
    'podwire user add bob --lifetime 8h > bob.kubeconfig',
  ],
  async run({ flags, args, io }) {
    const [act, name] = args;
    if (act !== 'add') throw new UsageError(`There is no "podwire user ${act}"; there is add`);
    if (name === undefined) throw new UsageError('Who? podwire user add NAME');
    const groups = flags.group ?? [];
    for (const word of [name, ...groups])
      if (!/^[^\s\p{C}]{1,64}$/u.test(word) || word.startsWith('system:'))
        throw new UsageError(
          `Cannot use "${word}": names of users and groups have 1 to 64 characters, no blanks, and do not begin with "system:"`,
        );
    const seconds = parseLifetime(flags.lifetime ?? LIFETIME, '--lifetime') / 1000;
    const client = connect(flags, io);
    try {
      const { name: cluster, url, authority } = await findCluster(client);
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const request = makeCertificateRequest({ commonName: name, organizations: groups }, privateKey);
      const certificate = await sign(client, request, seconds);
      const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      const text = formatKubeconfig({
        name: cluster,
        url,
        authority,
        user: JSON.stringify(name),
        identity: { key, certificate },
      });
      const path = flags['write-kubeconfig'];
      if (path === undefined) io.stdout.write(text);
      else {
        writeFileWhole(resolve(path), text);
        const into = groups.length === 0 ? '' : `, in ${groups.join(', ')}`;
        io.stdout.write(`user "${name}"${into}: ${path}, until ${timestamp(Date.now() + seconds * 1000)}\n`);
      }
      return 0;
    } finally {
      client.close();
    }
  },
});

/** Ask for a certificate, approve it, and take it. @returns PEM */
async function sign(client: Client, pem: string, expirationSeconds: number): Promise<string> {
  const asked = await client.create<CertificateSigningRequest>({
    apiVersion: 'certificates.k8s.io/v1',
    kind: CERTIFICATE_SIGNING_REQUEST.kind,
    metadata: { name: '', generateName: 'user-' },
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: CLIENT_SIGNER,
      usages: ['client auth', 'digital signature'],
      expirationSeconds,
    },
  });
  const { name } = asked.metadata;
  try {
    const condition = {
      type: 'Approved',
      status: 'True' as const,
      reason: 'PodwireUserAdd',
      message: 'Approved by podwire user add.',
      lastTransitionTime: timestamp(Date.now()),
    };
    await client.updateApproval({ ...asked, status: { conditions: [condition] } });
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const request = await client.get(CERTIFICATE_SIGNING_REQUEST, name);
      const certificate = request?.status?.certificate;
      if (certificate !== undefined) return Buffer.from(certificate, 'base64').toString();
      const failed = request && requestCondition(request, 'Failed');
      if (failed) throw new CommandError(`The server has not signed the certificate: ${failed.message}`);
      if (!request || Date.now() > end)
        throw new CommandError(
          `The server has not signed request "${name}" in ${PATIENCE_MS / 1000} seconds; does it run well?`,
        );
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  } finally {
    // It holds no secret; but it is done.
    await client.remove(CERTIFICATE_SIGNING_REQUEST, name).catch(() => {});
  }
}
