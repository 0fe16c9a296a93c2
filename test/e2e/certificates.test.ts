/**
 * A user of one's own, as every Kubernetes course has it: openssl makes the request, kubectl approves it, and what comes out
 * lets in.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { findKubectls } from '../lib/kubectl.js';
import { needsOpenssl, openssl } from '../lib/openssl.js';
import { startServerProgram } from '../lib/server-program.js';
import { until } from '../lib/until.js';

const csr = (name: string, spec: object): string =>
  JSON.stringify({
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec,
  });

const kubectls = findKubectls();
const some = kubectls.filter((_, i) => i === 0 || i === kubectls.length - 1);

if (some.length === 0) t.comment('there is no kubectl: set KUBECTL_BIN, or install kubernetes-client');
for (const kubectl of some)
  t.test(
    `1.${kubectl.minor}: a user of one’s own, by openssl and kubectl certificate approve`,
    { skip: needsOpenssl() },
    async (t) => {
      const folder = await startServerProgram(t);
      const file = (name: string): string => join(folder, name);
      const run = (words: string[], input?: string): string => {
        const { status, stdout, stderr } = kubectl.run(folder, words, input);
        t.equal(status, 0, `kubectl ${words.join(' ')}: ${stderr}`);
        return stdout;
      };
      openssl(['genrsa', '-out', file('alice.key'), '2048']);
      const pem = openssl(['req', '-new', '-key', file('alice.key'), '-subj', '/CN=alice/O=dev']);
      const spec = {
        request: Buffer.from(pem).toString('base64'),
        signerName: 'kubernetes.io/kube-apiserver-client',
        usages: ['client auth'],
        expirationSeconds: 86_400,
      };
      run(['create', '-f', '-'], csr('alice', spec));
      run(['create', '-f', '-'], csr('mallory', spec));
      t.match(
        run(['get', 'csr', 'alice']),
        /NAME +AGE +SIGNERNAME +REQUESTOR +REQUESTEDDURATION +CONDITION\nalice +\d+s +kubernetes.io\/kube-apiserver-client +podwire:admin +24h +Pending\n/,
      );
      run(['certificate', 'approve', 'alice']);
      run(['certificate', 'deny', 'mallory']);
      await until('a certificate', () => /Approved,Issued/.test(run(['get', 'csr', 'alice'])));
      t.match(run(['get', 'csr', 'mallory']), /Denied/);
      t.match(run(['describe', 'csr', 'alice']), /Common Name: +alice/);
      writeFileSync(
        file('alice.crt'),
        Buffer.from(run(['get', 'csr', 'alice', '-o', 'jsonpath={.status.certificate}']), 'base64'),
      );
      const authority = /certificate-authority-data: (.*)/.exec(
        readFileSync(file('kubeconfig'), 'utf8'),
      )![1]!;
      writeFileSync(file('ca.crt'), Buffer.from(authority, 'base64'));
      t.match(openssl(['verify', '-CAfile', file('ca.crt'), file('alice.crt')]), /: OK/);
      run([
        'config',
        'set-credentials',
        'alice',
        '--client-key',
        file('alice.key'),
        '--client-certificate',
        file('alice.crt'),
        '--embed-certs',
      ]);
      run(['config', 'set-context', 'alice', '--cluster', 'podwire', '--user', 'alice']);
      if (kubectl.minor >= 28)
        t.match(
          run(['--context', 'alice', 'auth', 'whoami']),
          /Username +alice\nGroups +\[dev system:authenticated\]/,
        );
      else t.match(run(['--context', 'alice', 'version']), /Server Version/);
      t.equal(
        kubectl.run(folder, ['--context', 'alice', '--token', 'x', 'version']).status,
        0,
        'a certificate counts first',
      );
    },
  );
