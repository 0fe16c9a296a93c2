/**
 * Letting hosts and people in, as one types it: podwire token, podwire user, podwire server --advertise.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import t from 'tap';
import { hashAuthority, parseJoinToken } from '../../src/client/join-token.js';
import { readKubeconfig } from '../../src/client/kubeconfig.js';
import { findKubectls } from '../lib/kubectl.js';
import { inRoot } from '../lib/root.js';
import { startServerProgram } from '../lib/server-program.js';
import { runSync, type Result } from '../lib/spawn.js';
import { ask } from '../lib/tls-server.js';

const podwire = (words: readonly string[], env: NodeJS.ProcessEnv = {}): Result =>
  runSync([inRoot('scripts/podwire'), ...words], { env: { KUBECONFIG: undefined, ...env } });

t.test('join tokens are made, listed and deleted', async (t) => {
  const home = await startServerProgram(t);
  const socket = ['--socket', join(home, 'server.sock')];
  const { url, authority } = readKubeconfig(join(home, 'kubeconfig'));
  const made = podwire(['token', 'create', '--ttl', '2h', '--description', 'for node3', ...socket]);
  t.equal(made.status, 0, made.stderr);
  t.match(
    made.stderr,
    /on this host alone; .*--listen :6443/,
    'a server on 127.0.0.1 is reached by nobody else',
  );
  const { id, secret, authorityHash } = parseJoinToken(made.stdout.trim());
  t.equal(authorityHash, hashAuthority(authority));
  const kubeconfig = { KUBECONFIG: join(home, 'kubeconfig') };
  const line = podwire(['token', 'create', '--ttl', '0', '--print-join-command'], kubeconfig);
  t.match(
    line.stdout,
    /^podwire agent --server https:\/\/127\.0\.0\.1:\d+ --token [a-z0-9]{6}\.[a-z0-9]{16}\.[0-9a-f]{64}\n$/,
  );
  const listed = podwire(['token', 'list'], kubeconfig).stdout;
  t.match(listed, /^ID +EXPIRES +GROUPS +DESCRIPTION\n/);
  t.match(listed, new RegExp(`${id} +in (119m|2h|120m) +system:bootstrappers:podwire +for node3\n`));
  t.match(listed, / never /);
  t.notMatch(listed, secret);
  t.notMatch(podwire(['token', 'list', '-o', 'json'], kubeconfig).stdout, secret);
  const nodes = () => ask(url, { ca: authority, token: `${id}.${secret}`, path: '/api/v1/nodes' });
  t.not((await nodes()).code, 401);
  t.match(podwire(['token', 'delete', id, ...socket]), { status: 0, stdout: `join token "${id}" deleted\n` });
  t.match(await nodes(), { code: 401, body: /is not known here: it was deleted/ });
  t.match(podwire(['token', 'delete', id, ...socket]), { status: 1, stderr: /There is no join token/ });
  for (const [words, why] of [
    [['token', 'make'], /There is no "podwire token make"; there are create, list and delete/],
    [['token', 'delete'], /Which token\?/],
    [['token', 'delete', 'X', ...socket], /"X" is no ID of a token/],
    [['token', 'create', '--ttl', '1'], /Cannot read --ttl "1"; need a number and s, m, h or d/],
    [['token', 'create', '--ttl', '0s'], /--ttl must be longer than nothing/],
  ] as const)
    t.match(podwire(words), { status: 2, stderr: why }, words.join(' '));
  t.match(podwire(['token', 'list', '--kubeconfig', join(home, 'none')]), {
    status: 1,
    stderr: /Cannot use the kubeconfig .*none: ENOENT/,
  });
});

const kubectl = findKubectls().at(-1);

t.test(
  'a person comes in, and may do what roles say',
  { skip: kubectl === undefined && 'there is no kubectl' },
  async (t) => {
    const home = await startServerProgram(t);
    const file = join(home, 'alice.kubeconfig');
    const socket = ['--socket', join(home, 'server.sock')];
    const added = podwire([
      'user',
      'add',
      'alice',
      '--group',
      'dev',
      '--group',
      'ops',
      '--write-kubeconfig',
      file,
      ...socket,
    ]);
    t.match(
      added,
      { status: 0, stdout: /^user "alice", in dev, ops: .*alice.kubeconfig, until 20\d\d-/ },
      added.stderr,
    );
    t.equal(statSync(file).mode & 0o777, 0o600);
    const alice = ['--kubeconfig', file];
    t.match(
      kubectl!.run(home, [...alice, 'auth', 'whoami']).stdout,
      /Username +alice\nGroups +\[dev ops system:authenticated\]/,
    );
    t.match(kubectl!.run(home, [...alice, 'get', 'pods']), {
      status: 1,
      stderr: /pods is forbidden: User "alice" cannot list resource "pods"/,
    });
    t.equal(
      kubectl!.run(home, ['create', 'rolebinding', 'ops', '--clusterrole=view', '--group=ops']).status,
      0,
    );
    t.match(kubectl!.run(home, [...alice, 'get', 'pods']), { status: 0, stderr: /No resources found/ });
    t.match(kubectl!.run(home, [...alice, 'run', 'x', '--image=nginx']), {
      status: 1,
      stderr: /User "alice" cannot create resource "pods"/,
    });
    t.match(
      kubectl!.run(home, ['get', 'csr']).stderr,
      /No resources found/,
      'nothing is left of the request',
    );

    const bob = podwire(['user', 'add', 'bob', '--lifetime', '10m'], {
      KUBECONFIG: join(home, 'kubeconfig'),
    });
    t.equal(bob.status, 0, bob.stderr);
    const other = join(home, 'bob.kubeconfig');
    writeFileSync(other, bob.stdout);
    t.match(kubectl!.run(home, ['--kubeconfig', other, 'auth', 'whoami']).stdout, /Username +bob\n/);
    t.match(podwire(['user', 'add', 'eve', '--kubeconfig', file]), {
      status: 1,
      stderr: /forbidden: User "alice" cannot/,
    });
    for (const [words, why] of [
      [['user', 'add', 'system:admin'], /do not begin with "system:"/],
      [['user', 'add', 'x', '--group', 'system:masters'], /do not begin with "system:"/],
      [['user', 'add', 'a b'], /no blanks/],
      [['user', 'add'], /Who\?/],
      [['user', 'remove', 'x'], /There is no "podwire user remove"/],
    ] as const)
      t.match(podwire(words), { status: 2, stderr: why }, words.join(' '));
    t.match(podwire(['user', 'add', 'x', '--lifetime', '1m', ...socket]), {
      status: 1,
      stderr: /may not specify a duration less than 600 seconds/,
    });
  },
);

/** Names of the certificate that a server shows at an address. */
const namesAt = (host: string, port: number, ca: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = tlsConnect({ host, port, ca }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });

t.test('a server is called by the names it was given, and by addresses it gets later', async (t) => {
  const home = await startServerProgram(
    t,
    ...[
      '--listen',
      '0.0.0.0:0',
      '--advertise',
      '192.0.2.7:16443',
      '--tls-san',
      'lab.example',
      '--tls-san',
      '2001:db8::7',
    ],
  );
  const { url, authority } = readKubeconfig(join(home, 'kubeconfig'));
  const port = Number(new URL(url).port);
  const names = await namesAt('127.0.0.1', port, authority);
  for (const name of ['IP Address:192.0.2.7', 'DNS:lab.example', 'IP Address:2001:DB8:0:0:0:0:0:7'])
    t.ok(names.includes(name), `${name} in ${names}`);
  t.notMatch(names, '127.0.0.2');
  // An address of this host that stands at no NIC when the server starts.
  t.match(await namesAt('127.0.0.2', port, authority), /IP Address:127\.0\.0\.2/);
  const version = await ask(`https://127.0.0.2:${port}`, {
    ca: authority,
    token: readToken(home),
    path: '/version',
  });
  t.equal(version.code, 200);
  const line = podwire(['token', 'create', '--print-join-command', '--socket', join(home, 'server.sock')]);
  t.match(line, { status: 0, stderr: '', stdout: /--server https:\/\/192\.0\.2\.7:16443 --token / });
  for (const [words, why] of [
    [['--listen', '127.0.0.1:0', '--advertise', 'a b'], /Cannot use --advertise "a b"/],
    [['--listen', '127.0.0.1:0', '--advertise', '0.0.0.0'], /no host is reached there/],
    [['--listen', '127.0.0.1:0', '--tls-san', '*.x'], /Cannot use --tls-san/],
    [['--socket', join(home, 'x'), '--tls-san', 'x'], /need --listen/],
  ] as const)
    t.match(podwire(['server', ...words]), { status: 2, stderr: why }, words.join(' '));
});

const readToken = (home: string): string =>
  /token: (.*)/.exec(readFileSync(join(home, 'kubeconfig'), 'utf8'))![1]!;
