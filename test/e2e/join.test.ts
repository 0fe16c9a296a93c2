/**
 * Hosts that join a server over TLS by a token, as real ones do.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { podFolders, readState } from '../../src/agent/pods/state.js';
import { NODE, POD, SECRET, SERVICE } from '../../src/api/kinds.js';
import { tokenSecretName, TOKEN_NAMESPACE } from '../../src/api/bootstrap-token.js';
import { FLANNEL_PUBLIC_IP, type Pod, type Service } from '../../src/api/types.js';
import { parseJoinToken } from '../../src/client/join-token.js';
import { JoinedHosts, type JoinedHost } from '../lib/joined-hosts.js';
import { needsRoot } from '../lib/netns.js';
import { runSync } from '../lib/spawn.js';

const skip = needsRoot();

const pod = (name: string, nodeName: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: name } },
  spec: { nodeName, containers: [{ name: 'main', image: 'nginx' }], terminationGracePeriodSeconds: 0 },
});

const SERVICE_WEB: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
};

const LAST_VIEW = /The server does not answer: what was known when the agent ended is in force/;

const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

const within = (host: Pick<JoinedHost, 'netns'>, ...argv: string[]) =>
  runSync(['ip', 'netns', 'exec', host.netns, ...argv]);

t.test('hosts join by a token', { skip, timeout: 600_000 }, async (t) => {
  const hosts = new JoinedHosts(t, 3);
  const [n1, n2, n3] = hosts.hosts as [JoinedHost, JoinedHost, JoinedHost];
  await hosts.startServer();
  const token = await hosts.token();
  const podsOn = ({ run, node }: JoinedHost) =>
    podFolders(join(run, hosts.lab, node, 'pods')).flatMap((folder) => readState(folder) ?? []);
  /** The network namespace of a pod on whichever host. */
  const netnsOf = (name: string) =>
    hosts.hosts.flatMap(podsOn).find((one) => one.name === name && one.holderPid)?.netns;
  const refused = (...more: string[]) => hosts.podwire(n2, ...hosts.words(n2, ...more));

  t.test('what is wrong with the token or the server is said, and nothing is kept', async (t) => {
    const { id, secret } = parseJoinToken(token);
    const wrong = `${id}.${secret}.${'0'.repeat(64)}`;
    const foreign = refused('--server', hosts.url, '--token', wrong);
    t.equal(foreign.status, 1);
    t.match(
      foreign.stderr,
      /Cannot trust the server at https:\/\/192\.0\.2\.1:6443: its authority is [0-9a-f]{64}, the token's is 0{64}; /,
    );
    t.match(
      refused('--server', hosts.url, '--token', token.replace(/\.[a-z0-9]{16}\./, '.0123456789abcdef.')),
      { status: 1, stderr: /The server does not accept the token: .*podwire token create/ },
    );
    t.match(refused('--server', hosts.url, '--token', await hosts.token(-1000)), {
      status: 1,
      stderr: /The server does not accept the token: .*has expired/,
    });
    const revoked = await hosts.token();
    await hosts.client.remove(SECRET, tokenSecretName(parseJoinToken(revoked).id), TOKEN_NAMESPACE);
    t.match(refused('--server', hosts.url, '--token', revoked), {
      status: 1,
      stderr: /The server does not accept the token: .*deleted/,
    });
    t.match(refused('--server', hosts.url), {
      status: 1,
      stderr: /has not joined .* yet: that needs --token/,
    });
    t.throws(() => statSync(n2.state), { code: 'ENOENT' });
    t.equal((await hosts.client.list(NODE)).items.length, 0);
    for (const text of [foreign.stderr, hosts.serverLog]) t.notMatch(text, secret, 'no log has the secret');
  });

  t.test('a token, once; then the certificate is the host’s word', async (t) => {
    for (const host of [n1, n2]) hosts.start(host, '--server', hosts.url, '--token', token);
    for (const host of [n1, n2]) {
      const node = await hosts.ready(host);
      t.equal(node.metadata.annotations?.[FLANNEL_PUBLIC_IP], host.address);
    }
    t.match(n1.log(), /The underlay is eth0 with 192\.0\.2\.1: it is on the way to the server/);
    t.match(n2.log(), /This host has joined as node \\"n2\\"/);
    t.equal(statSync(n2.state).mode & 0o777, 0o600);
    t.equal(statSync(dirname(n2.state)).mode & 0o777, 0o700);
    const saved = JSON.parse(readFileSync(n2.state, 'utf8')) as { certificate: string; authority: string };
    const certificate = new X509Certificate(saved.certificate);
    t.match(certificate.subject, /O=system:nodes/);
    t.match(certificate.subject, /CN=system:node:n2/);
    t.ok(certificate.verify(new X509Certificate(hosts.authority).publicKey));

    await hosts.stop(n2);
    hosts.start(n2);
    await hosts.eventually(
      'it starts without a word of its server',
      () => /has joined before/.test(n2.log()),
      n2.log,
    );
    await hosts.ready(n2);
  });

  t.test('pods reach each other, by address and through a Service, and commands reach pods', async (t) => {
    await hosts.client.create(pod('web', 'n1'));
    await hosts.client.create(pod('client', 'n2'));
    const service = await hosts.client.create(SERVICE_WEB);
    const podOf = (name: string) =>
      hosts.eventually(`pod ${name} is ready`, async () => {
        const found = await hosts.client.get(POD, name, 'default');
        return found?.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True')
          ? found
          : undefined;
      });
    const web = await podOf('web');
    await podOf('client');
    const kubectl = (...words: string[]) => within(n1, 'kubectl', '--kubeconfig', hosts.kubeconfig, ...words);
    const inPod = (...words: string[]) => kubectl('exec', 'client', '--', ...words);
    t.match(inPod('ping', '-c', '3', '-i', '0.2', '-W', '5', web.status!.podIP!), { status: 0 });
    const url = `http://${service.spec.clusterIP}/`;
    await hosts.eventually('the Service answers', () => inPod('curl', '-sf', '-m', '5', url).status === 0);
    t.match(kubectl('logs', 'web').status, 0);
    await hosts.client.remove(SERVICE, 'web', 'default');
  });

  t.test('a pod gets the server through its Service, and none of the agent’s rights', async (t) => {
    const kubectl = (...words: string[]) =>
      within(n1, 'kubectl', '--kubeconfig', hosts.kubeconfig, 'exec', 'client', '--', ...words);
    const viaService = kubectl('curl', '-sk', '-m', '10', 'https://10.96.0.1/api/v1/nodes');
    t.match(viaService, { status: 0, stdout: /"code": ?401/ });
    t.match(kubectl('curl', '-sk', '-m', '10', `${hosts.url}/api/v1/nodes`), {
      status: 0,
      stdout: /"code": ?401/,
    });
    for (const path of [n2.state, `${n2.run}/${hosts.lab}/n2.sock`, hosts.socketPath])
      t.not(kubectl('test', '-e', path).status, 0, `${path} is not in a pod`);
  });

  t.test('a name and an address have one host', async (t) => {
    const fresh = await hosts.token();
    const name = hosts.podwire(
      n3,
      ...['agent', '--node', 'n1', '--lab', hosts.lab, '--server', hosts.url, '--token', fresh],
    );
    t.match(name, {
      status: 1,
      stderr:
        /Cannot join as node "n1": a live node of that name is at 192\.0\.2\.1; give this host another name/,
    });
    // As Vagrant's hosts: the NIC that they share is the one with the default route.
    await hosts.stop(n2);
    hosts.start(n2, '--iface', 'nat0');
    await hosts.eventually('n2 is at 10.0.2.15', async () => {
      const node = await hosts.client.get(NODE, 'n2');
      return node?.metadata.annotations?.[FLANNEL_PUBLIC_IP] === '10.0.2.15';
    });
    await hosts.ready(n2);
    const address = hosts.podwire(
      n3,
      ...hosts.words(n3, '--server', hosts.url, '--token', fresh, '--iface', 'nat0'),
    );
    t.match(address, {
      status: 1,
      stderr:
        /with the address 10\.0\.2\.15 of nat0 .*live node "n2" has the same; choose another NIC with --iface or --iface-can-reach/,
    });
    await hosts.stop(n2);
    hosts.start(n2, '--iface-can-reach', '192.0.2.1');
    await hosts.eventually('n2 is back at 192.0.2.2', async () => {
      const node = await hosts.client.get(NODE, 'n2');
      return node?.metadata.annotations?.[FLANNEL_PUBLIC_IP] === '192.0.2.2';
    });
    await hosts.ready(n2);
  });

  t.test('a narrow way and a closed port become conditions that say what to do', async (t) => {
    const { status } = runSync(['ip', '-n', hosts.underlay, 'link', 'set', 'w2', 'mtu', '1400']);
    t.equal(status, 0);
    const narrow = await hosts.eventually('the way to n2 is narrow', async () => {
      const found = await hosts.condition(n1, 'UnderlayMTU');
      return found?.status === 'False' ? found : undefined;
    });
    // A bridge port lets a VLAN tag more pass.
    t.match(
      narrow.message,
      /^The way to n2 carries packets of 140[04] bytes, the cluster counts on 1500: .*to 140[04]/,
    );
    runSync(['ip', '-n', hosts.underlay, 'link', 'set', 'w2', 'mtu', '1500']);

    const drop = ['-p', 'udp', '--dport', '8472', '-j', 'DROP'];
    if (within(n2, 'iptables', '-A', 'INPUT', ...drop).status !== 0) {
      t.comment('no iptables here: the closed port is not tried');
      return;
    }
    const silent = await hosts.eventually('n2 is silent', async () => {
      const found = await hosts.condition(n1, 'PeersReachable');
      return found?.status === 'False' ? found : undefined;
    });
    t.match(
      silent.message,
      /n2 does not answer through the tunnel: its host 192\.0\.2\.2 answers.*UDP port 8472/,
    );
    within(n2, 'iptables', '-D', 'INPUT', ...drop);
    await hosts.eventually('all is well again', async () => {
      const found = [await hosts.condition(n1, 'PeersReachable'), await hosts.condition(n1, 'UnderlayMTU')];
      return found.every((one) => one?.status === 'True');
    });
  });

  t.test('without the server pods go on, and news come later', async (t) => {
    const peer = (await hosts.client.get(POD, 'web', 'default'))!.status!.podIP!;
    const ping = () => within({ netns: netnsOf('client')! }, 'ping', '-c', '3', '-i', '0.2', '-W', '5', peer);
    await hosts.stopServer('SIGKILL');
    t.equal(ping().status, 0, 'with the server away');
    await hosts.eventually('the agents say so', () => /what is known stays in force/.test(n1.log()), n1.log);
    t.equal(n1.agent!.exitCode, null);
    t.equal(ping().status, 0);
    await hosts.startServer();
    await hosts.client.create(pod('late', 'n1'));
    await hosts.eventually('news arrive', async () => {
      const late = await hosts.client.get(POD, 'late', 'default');
      return late?.status?.phase === 'Running';
    });
  });

  t.test('an agent that starts without the server goes on with what was known', async (t) => {
    const peer = (await hosts.client.get(POD, 'web', 'default'))!.status!.podIP!;
    await hosts.client.create(pod('old', 'n2'));
    const service = await hosts.client.create(SERVICE_WEB);
    const { clusterIP } = service.spec;
    const inClient = (...argv: string[]) => within({ netns: netnsOf('client')! }, ...argv).status;
    const pings = () => inClient('ping', '-c', '1', '-W', '1', peer) === 0;
    const serves = () => inClient('curl', '-sf', '-o', '/dev/null', '-m', '2', `http://${clusterIP}/`) === 0;
    const holderOf = (name: string) => podsOn(n2).find((one) => one.name === name)?.holderPid;
    const view = join(n2.run, hosts.lab, 'n2', 'view.json');
    await hosts.eventually('the old pod runs', () => holderOf('old'), n2.log);
    await hosts.eventually('the Service answers', serves, n2.log);
    await hosts.eventually('the Service is kept', () => readFileSync(view, 'utf8').includes(clusterIP!));
    t.equal(statSync(view).mode & 0o777, 0o600);

    const holder = holderOf('client');
    const started = performance.now();
    await Promise.all([hosts.stop(n2, 'SIGKILL'), hosts.stopServer('SIGKILL')]);
    t.notOk(pings(), 'nobody forwards');
    hosts.start(n2);
    await hosts.eventually('pods ping again', pings, n2.log);
    t.comment(`agent and server killed together: traffic was away for ${seconds(started)} s`);
    await hosts.eventually('the Service answers again', serves, n2.log);
    t.match(n2.log(), LAST_VIEW);
    t.equal(holderOf('client'), holder, 'the pod has gone on');

    await hosts.stop(n2, 'SIGKILL');
    await hosts.startServer();
    await hosts.client.remove(POD, 'old', 'default', { gracePeriodSeconds: 0 });
    await hosts.client.create(pod('new', 'n2'));
    await hosts.eventually('the new pod has an address', async () => {
      return (await hosts.client.get(POD, 'new', 'default'))?.status?.podIP;
    });
    await hosts.stopServer('SIGKILL');
    const before = n2.log().length;
    hosts.start(n2);
    const since = () => n2.log().slice(before);
    await hosts.eventually('the last view is in force', () => LAST_VIEW.test(since()), n2.log);
    await hosts.eventually('pods ping once more', pings, n2.log);
    t.ok(holderOf('old'), 'nobody has told it to end');
    t.notOk(holderOf('new'));

    await hosts.startServer();
    await hosts.eventually('what was removed ends', () => !netnsOf('old'), n2.log);
    await hosts.eventually('what is new runs', async () => {
      return (await hosts.client.get(POD, 'new', 'default'))?.status?.phase === 'Running';
    });
    t.match(since(), /The server answers: what it says is in force/);
    t.equal(holderOf('client'), holder);
    await hosts.eventually('pods ping all the while', pings, n2.log);
    await hosts.eventually('the Service answers all the while', serves, n2.log);
  });

  t.test('cleaning up leaves who the host is, unless it shall forget', async (t) => {
    await hosts.stop(n2);
    const clean = (...more: string[]) => hosts.podwire(n2, ...hosts.words(n2, '--cleanup', ...more));
    t.equal(clean().status, 0);
    t.ok(statSync(n2.state));
    t.throws(() => statSync(n2.run), { code: 'ENOENT' });
    t.equal(clean('--forget').status, 0);
    t.throws(() => statSync(n2.state), { code: 'ENOENT' });
    t.match(refused(), { status: 2, stderr: /Say where the objects come from/ });
  });
});
