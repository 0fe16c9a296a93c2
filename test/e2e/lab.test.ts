/** A lab as a user meets it: the real program, real namespaces, real packets. */

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import type { Status } from '../../src/cli/status.js';
import { needsRoot } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { output, printed, runSync, start, type Result } from '../lib/spawn.js';
import { until } from '../lib/until.js';

t.setTimeout(600_000); // whole labs, on a machine that has more to do
const lab = `pwt-${process.pid}`;
const run = mkdtempSync(join(tmpdir(), `${lab}-`));
const env = { PODWIRE_RUN: run };
const argv = (...words: string[]): string[] => [inRoot('scripts/podwire'), ...words];
const podwire = (...words: string[]): Result => runSync(argv(...words), { env });
const feed = (input: string, ...words: string[]): Result => runSync(argv(...words), { env, input });

/** A command that must succeed; what it printed. */
function must(...words: string[]): string {
  const { status, stdout, stderr } = podwire(...words);
  if (status !== 0) throw new Error(`podwire ${words.join(' ')} ended with ${status}: ${stdout}${stderr}`);
  return stdout;
}

const status = (): Status => JSON.parse(must('status', '-o', 'json')) as Status;
const ipOf = (pod: string): string => status().pods.find(({ name }) => name === pod)!.podIP!;
const up = (): string => must('up', '-f', inRoot('examples/demo.yaml'), '--lab', lab);

/** Nothing with the lab's name is on the machine. */
function traces(): string {
  return [
    output(['ip', 'netns', 'list']),
    output(['ip', '-br', 'link']),
    readFileSync('/proc/self/mountinfo', 'utf8'),
    output(['ps', '-eo', 'args']),
  ]
    .join('\n')
    .split('\n')
    .filter((line) => line.includes(lab) && !line.includes('.test.js'))
    .join('\n');
}

t.test('a lab', { skip: needsRoot() }, async (t) => {
  t.teardown(() => {
    podwire('down', '--lab', lab);
    rmSync(run, { recursive: true, force: true });
  });

  await t.test('comes up, tells what it made and what to try', async (t) => {
    const text = up();
    t.match(text, /^nodes +2 of 2 Ready/m);
    t.match(text, /^pods +4 of 4 Ready/m);
    t.match(text, `Lab ${lab} is up`);
    t.match(text, 'exec client -- ping -c 3 10.244.1.3');
    t.notMatch(text, '\x1b', 'plain in a pipe');
  });

  await t.test('says in status that all is well', async (t) => {
    const { nodes, pods, problems } = status();
    t.strictSame(problems, []);
    t.strictSame(
      nodes.map(({ name, ready, podCIDR }) => [name, ready, podCIDR]),
      [
        ['node1', true, '10.244.1.0/24'],
        ['node2', true, '10.244.2.0/24'],
      ],
    );
    for (const { agentPid } of nodes) t.ok(existsSync(`/proc/${agentPid}`));
    t.ok(pods.every(({ ready }) => ready));
  });

  await t.test('lets in over TLS who has its kubeconfig', async (t) => {
    const text = must('kubeconfig', '--lab', lab);
    const word = (name: string): string => new RegExp(`${name}: (.*)`).exec(text)![1]!;
    const ca = join(run, 'ca.crt');
    writeFileSync(ca, Buffer.from(word('certificate-authority-data'), 'base64'));
    const url = `${word('server')}/api/v1/nodes`;
    const curl = (token: string): string =>
      output(['curl', '-sS', '--cacert', ca, '-H', `Authorization: Bearer ${token}`, url]);
    t.match(curl(word('token')), /"kind":"NodeList"/);
    t.match(curl('wrong'), /"code":401/);
    t.match(text, `current-context: podwire-${lab}`);
    const script =
      'cat > /root/ca.crt; exec curl -sS -m 10 --cacert /root/ca.crt -H "Authorization: Bearer $1" "$2"';
    const fromPod = (pod: string, address: string, key: string): string =>
      output(
        argv('exec', pod, '--lab', lab, '--', 'sh', '-c', script, 'sh', key, `https://${address}/version`),
        readFileSync(ca, 'utf8'),
        env,
      );
    for (const pod of ['client', 'peer']) {
      t.match(fromPod(pod, '10.96.0.1', word('token')), /gitVersion/, `${pod} reaches the API`);
      t.match(fromPod(pod, '10.96.0.1', 'wrong'), /"code":401/, `${pod} needs the token`);
    }
    t.equal(statSync(join(run, lab, 'kubeconfig')).mode & 0o777, 0o600);
    // As a client library does it: everything that a pod needs to know lies in its file tree.
    const asItself = (path: string): string =>
      must(
        ...['exec', 'peer', '--', 'sh', '-c'],
        'cd /var/run/secrets/kubernetes.io/serviceaccount && curl -sS -m 10 --cacert ca.crt ' +
          `-H "Authorization: Bearer $(cat token)" https://kubernetes.default.svc${path}`,
      );
    const itself = '/api/v1/namespaces/default/pods/peer';
    t.match(asItself('/version'), /gitVersion/, 'with its own token');
    t.match(
      asItself(itself),
      /pods \\"peer\\" is forbidden: User \\"system:serviceaccount:default:default\\" cannot get resource \\"pods\\"/,
      'which allows nothing',
    );
    const view = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'default-views', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: 'default' }],
    };
    feed(JSON.stringify(view), 'apply', '-f', '-');
    t.match(asItself(itself), /"kind": ?"Pod"/, 'until a role is bound to it');
  });

  await t.test('carries ping and HTTP on one host and between two', async (t) => {
    for (const pod of ['web-1', 'peer', 'web-2'])
      t.match(must('exec', 'client', '--', 'ping', '-c', '2', '-w', '20', ipOf(pod)), / 2 received/);
    for (const pod of ['web-1', 'web-2'])
      t.match(must('exec', 'client', '--', 'curl', '-sS', '-m', '20', `http://${ipOf(pod)}/`), /./);
    t.match(must('tables', 'fdb', '--node', 'node1'), /0a:58/);
    t.match(JSON.parse(must('top', '--node', 'node1', '--interval', '0.2', '--once', '-o', 'json')), [
      { node: 'node1', ports: [{ name: /./ }] },
    ]);
    t.match(
      must('top', '--interval', '0.2', '--once'),
      /node1   worker .* of a processor[^]*PORT [^]*node2   worker/,
    );
  });

  await t.test('runs programs in pods and hosts with their exit codes and streams', async (t) => {
    t.equal(podwire('exec', 'client', '--', 'sh', '-c', 'exit 42').status, 42);
    t.equal(podwire('exec', 'client', '--', 'sh', '-c', 'kill -9 $$').status, 137);
    t.equal(podwire('exec', 'client', '--', 'no-such-program').status, 127);
    t.equal(feed('through', 'exec', 'client', '--', 'cat').stdout, 'through');
    t.equal(must('exec', 'client', '--', 'hostname'), 'client\n');
    t.match(must('exec', '--node', 'node1', '--', 'ls', '/sys/class/net'), /eth0\nlo\npw0/);
    t.match(podwire('exec', 'nobody', '--', 'true').stderr, /pods "nobody" not found/);
    const child = start(t, argv('exec', 'client', '--', 'sh', '-c', 'echo ready; exec sleep 100'), { env });
    await printed(child, /ready/);
    child.kill('SIGTERM');
    t.strictSame(await once(child, 'exit'), [143, null]);
  });

  await t.test('applies, shows and deletes objects, and says where a file is wrong', async (t) => {
    t.equal(must('apply', '-f', inRoot('examples/pod.yaml')), 'pod/extra created\n');
    t.equal(must('apply', '-f', inRoot('examples/pod.yaml')), 'pod/extra unchanged\n');
    t.match(must('get', 'pods', '-o', 'wide'), /^extra +/m);
    t.equal(must('get', 'pod', 'extra', '-o', 'name'), 'pod/extra\n');
    t.equal(must('delete', '-f', inRoot('examples/pod.yaml')), 'pod "extra" deleted\n');
    t.notMatch(must('get', 'pods'), /extra/);
    const good =
      'apiVersion: v1\nkind: Pod\nmetadata: {name: half}\nspec: {containers: [{name: c, image: alpine}]}\n';
    const { status, stderr } = feed(`${good}---\n${good.replace('half', 'Wrong')}`, 'apply', '-f', '-');
    t.equal(status, 1);
    t.match(stderr, /<stdin>:8: metadata\.name: /);
    t.equal(podwire('get', 'pod', 'half').status, 1, 'nothing is half applied');
  });

  await t.test('keeps its name and its addresses to itself', async (t) => {
    t.match(up(), `Lab ${lab} is running already`, 'the same lab is no mistake');
    const another = podwire('up', '-f', inRoot('examples/three-hosts.yaml'), '--lab', lab);
    t.equal(another.status, 1);
    t.match(another.stderr, `Another lab "${lab}" is running already; end it with podwire down --lab ${lab}`);
    const { underlay } = status().labs[0]!;
    const text = `apiVersion: podwire.dev/v1alpha1\nkind: Lab\nmetadata: {name: pwt-other}\nspec:\n  underlay: {cidr: ${underlay}}\n`;
    const other = feed(text, 'up', '-f', '-');
    t.equal(other.status, 1);
    t.match(
      other.stderr,
      `<stdin>:5: spec.underlay.cidr: ${underlay} overlaps the underlay ${underlay} of lab "${lab}"`,
    );
  });

  await t.test('survives the death of an agent: pods, their processes and connections go on', async (t) => {
    const { agentPid } = status().nodes[0]!;
    const sleeper = must('exec', 'client', '--', 'sh', '-c', 'sleep 1000 >/dev/null 2>&1 & echo $!').trim();
    const ping = start(t, argv('exec', 'client', '--', 'ping', '-i', '0.1', ipOf('peer')), { env });
    const answers: number[] = [];
    createInterface(ping.stdout!).on('line', (line) => {
      const [, number] = /icmp_seq=(\d+) ttl=/.exec(line) ?? [];
      if (number !== undefined) answers.push(Number(number));
    });
    await until('answers come', () => answers.length >= 3);
    process.kill(agentPid!, 'SIGKILL');
    const next = await until('another agent runs', () => {
      const [node] = status().nodes;
      return node?.agentPid !== undefined && node.agentPid !== agentPid && node.ready ? node : undefined;
    });
    t.equal(next.agentRestarts, 1);
    const before = answers.length;
    await until('answers come again', () => answers.length >= before + 10);
    const longest = Math.max(...answers.slice(1).map((number, i) => number - answers[i]!));
    t.comment(`the longest silence was of ${(longest / 10).toFixed(1)} s`);
    t.ok(longest < 300, 'one ping has gone on, and was without answers for a moment only');
    must('exec', 'client', '--', 'kill', '-0', sleeper);
    const ended = once(ping, 'exit');
    ping.kill('SIGTERM');
    await ended;
  });

  await t.test('goes without a trace, also after its supervisor was killed', async (t) => {
    process.kill(status().labs[0]!.supervisorPid!, 'SIGKILL');
    t.match(must('down', '--lab', lab), `Lab ${lab} is removed`);
    t.equal(traces(), '');
    t.notOk(existsSync(join(run, lab)));
    t.match(must('down', '--lab', lab), `There is no lab ${lab}`);
  });

  await t.test('comes up and goes again and again', async (t) => {
    for (let round = 0; round < 3; round++) {
      up();
      must('down', '--lab', lab);
      t.equal(traces(), '');
    }
  });
});
