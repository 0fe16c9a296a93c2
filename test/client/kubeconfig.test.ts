import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatKubeconfig, readCluster, readKubeconfig } from '../../src/client/kubeconfig.js';

const CLUSTER = { name: 'lab', url: 'https://192.0.2.1:6443', authority: 'CA\n' };

t.test('what is written is read again: a token, a certificate, or neither', async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'k');
  const write = (text: string): string => {
    writeFileSync(path, text);
    return path;
  };
  const byToken = write(formatKubeconfig({ ...CLUSTER, user: 'u', identity: { token: 'T' } }));
  t.strictSame(readKubeconfig(byToken), { url: CLUSTER.url, authority: 'CA\n', bearer: 'T' });
  const identity = { key: 'KEY', certificate: 'CERT' };
  const {
    url,
    authority,
    identity: own,
  } = readKubeconfig(write(formatKubeconfig({ ...CLUSTER, user: 'u', identity })));
  t.strictSame([url, authority, own!()], [CLUSTER.url, 'CA\n', identity]);
  t.strictSame(readCluster(formatKubeconfig({ ...CLUSTER, user: '' })), CLUSTER);
});

t.test('files beside it are read, and what is wrong is said', async (t) => {
  const folder = t.testdir({ 'ca.crt': 'CA', 'me.crt': 'CERT', 'me.key': 'KEY' });
  const text = (
    user: string,
    cluster = 'certificate-authority: ca.crt',
    current = 'c',
  ): string => `kind: Config
clusters: [{name: a, cluster: {server: "https://x:1"}}, {name: b, cluster: {server: "https://y:1", ${cluster}}}]
users: [{name: u, user: ${user}}]
contexts: [{name: c, context: {cluster: b, user: u}}, {name: d, context: {cluster: a, user: u}}]
current-context: ${current}
`;
  const path = join(folder, 'k');
  const read = (config: string): unknown => {
    writeFileSync(path, config);
    return readKubeconfig(path);
  };
  t.match(read(text('{client-certificate: me.crt, client-key: me.key}')), {
    url: 'https://y:1',
    authority: 'CA',
  });
  for (const [config, why] of [
    ['hello', /of no kind "Config"/],
    ['{', /Cannot use the kubeconfig/],
    [text('{token: x}', undefined, 'nope'), /has no context "nope"/],
    [text('{token: x}', undefined, 'd'), /no certificate-authority-data of "a"/],
    [text('{username: x, password: y}'), /neither a token nor a client certificate/],
    [text('{token: x}', 'certificate-authority: none.crt'), /ENOENT/],
    [text('{token: x}').replace('user: u}', 'user: v}'), /has no user "v"/],
  ] as const)
    t.throws(() => read(config), { message: why }, config);
  t.throws(() => readKubeconfig(join(folder, 'none')), /Cannot use the kubeconfig .*none: ENOENT/);
});
