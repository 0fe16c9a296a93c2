/**
 * Roles as people use them, with real kubectls against a server of its own: made from the command line and from YAML, asked
 * about, acted under, refused.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { findKubectls, type Kubectl } from '../lib/kubectl.js';
import { inRoot } from '../lib/root.js';
import type { TestScope } from '../lib/scope.js';
import { start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

t.setTimeout(600_000);

const kubectls = findKubectls();
const skip = kubectls.length === 0 && 'there is no kubectl: set KUBECTL_BIN, or install kubernetes-client';

/** A server without agents, and a folder with its kubeconfig. */
async function startServer(t: TestScope): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-roles-`));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const kubeconfig = join(home, 'kubeconfig');
  const argv = [inRoot('scripts/podwire'), 'server', '--listen', '127.0.0.1:0', '--data', join(home, 'data')];
  start(t, [...argv, '--write-kubeconfig', kubeconfig], { stdio: 'ignore' });
  await until('the server answers', () => existsSync(kubeconfig));
  return home;
}

/** Roles by YAML: jane may look at pods and their logs, but not take them away. */
const YAML = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pod-reader, namespace: default}
rules:
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: read-pods, namespace: default}
subjects:
- {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
roleRef: {kind: Role, name: pod-reader, apiGroup: rbac.authorization.k8s.io}
`;

/** What `kubectl auth reconcile` makes of a role that is there and has less. */
const MORE = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pod-reader, namespace: default}
rules:
- {apiGroups: [""], resources: [services], verbs: [list]}
`;

for (const [i, kubectl] of kubectls.entries()) {
  if (i > 0 && i < kubectls.length - 1) continue;
  t.test(`kubectl 1.${kubectl.minor}`, { skip }, async (t) => {
    const home = await startServer(t);
    const run = (line: string, input?: string) => kubectl.run(home, line.split(' '), input);
    const ok = (line: string, input?: string): string => {
      const { status, stdout, stderr } = run(line, input);
      t.equal(status, 0, `${line}${status === 0 ? '' : `: ${stdout}${stderr}`}`);
      return stdout;
    };
    const no = (line: string, words: RegExp): void => {
      const { status, stdout, stderr } = run(line);
      t.not(status, 0, line);
      t.match(stdout + stderr, words, line);
    };

    ok('run web --image=nginx');
    no(
      '--as jane get pods',
      /Forbidden.*User "jane" cannot list resource "pods" in API group "" in the namespace "default"/,
    );
    ok('apply -f -', YAML);
    t.match(ok('--as jane get pods'), /^web +/m);
    t.equal(ok('--as jane auth can-i list pods'), 'yes\n');
    no('--as jane auth can-i delete pods', /^no/);
    no('--as jane delete pod web', /User "jane" cannot delete resource "pods"/);
    no('--as jane get pods -n kube-system', /in the namespace "kube-system"/);
    no('--as jane get pods -A', /at the cluster scope/);
    no('--as jane exec web -- id', /cannot (create|get) resource "pods\/exec"/);
    no('--as jane attach web', /cannot (create|get) resource "pods\/attach"/);
    no('--as jane logs web', /does not have a host assigned/);
    t.match(ok('--as jane auth can-i --list'), /pods +\[\] +\[\] +\[get list watch\]/);
    no(
      '--as jane create rolebinding more --clusterrole=edit --user=jane',
      /cannot create resource "rolebindings"/,
    );

    t.match(ok('auth reconcile -f -', MORE), /pod-reader reconciled/);
    t.equal(ok('--as jane auth can-i list services'), 'yes\n');
    t.equal(ok('--as jane auth can-i list pods'), 'yes\n', 'what it had it keeps');

    ok('create role shop --verb=get,create --resource=deployments.apps,pods --resource-name=one');
    ok('create clusterrole paths --verb=get --non-resource-url=/metrics');
    ok('create clusterrole sum --aggregation-rule=part=yes');
    t.match(
      ok('create clusterrole dry --verb=get --resource=nodes --dry-run=server -o name'),
      /clusterrole.*dry/,
    );
    no('get clusterrole dry', /NotFound/);
    ok('create clusterrole part --verb=list --resource=nodes');
    ok('label clusterrole part part=yes');
    ok('create clusterrolebinding sums --clusterrole=sum --group=ops');
    await until('the aggregate has its part', () =>
      run('--as joe --as-group ops auth can-i list nodes').status === 0 ? true : undefined,
    );
    no('--as joe auth can-i list nodes', /no/);
    t.match(ok('describe clusterrole sum'), /nodes +\[\] +\[\] +\[list\]/);
    t.match(ok('describe rolebinding read-pods'), /User +jane/);
    t.match(ok('get rolebinding read-pods -o wide'), /Role\/pod-reader +\S+ +jane/);
    no('patch rolebinding read-pods -p {"roleRef":{"name":"x"}}', /cannot change roleRef/);

    ok('create rolebinding boss --clusterrole=admin --user=boss');
    ok('--as boss create role less --verb=get --resource=secrets');
    no(
      '--as boss create role more --verb=get --resource=nodes',
      /attempting to grant RBAC permissions not currently held/,
    );
    no('--as boss create rolebinding up --clusterrole=cluster-admin --user=boss', /not currently held/);
    no('--as boss --as-group dev get nodes', /User "boss" cannot list resource "nodes"/);

    asAccount(t, kubectl, home, ok, no);
  });
}

/** With the token of a service account instead of the administrator's; the same kubeconfig otherwise. */
function asAccount(
  t: Test,
  { minor, run }: Kubectl,
  home: string,
  ok: (line: string) => string,
  no: (line: string, words: RegExp) => void,
): void {
  ok('create serviceaccount robot');
  const path = '/api/v1/namespaces/default/serviceaccounts/robot/token';
  const asked = run(home, ['create', '--raw', path, '-f', '-'], '{"spec":{}}');
  const { status } = JSON.parse(asked.stdout) as { status: { token: string } };
  const file = join(home, 'kubeconfig');
  const own = readFileSync(file, 'utf8');
  const before = readFileSync(file, 'utf8').replace(/token: .*/, `token: ${status.token}`);
  const asRobot = (act: () => void): void => {
    writeFileSync(file, before);
    try {
      act();
    } finally {
      writeFileSync(file, own);
    }
  };
  asRobot(() => {
    t.match(ok('api-resources'), /pods/, 'what there is everybody may see');
    no('get pods', /User "system:serviceaccount:default:robot" cannot list resource "pods"/);
    no('--as jane get pods', /cannot impersonate resource "users"/);
    no(
      '--as system:serviceaccount:default:default get pods',
      /cannot impersonate resource "serviceaccounts"/,
    );
  });
  ok('create rolebinding robots --clusterrole=view --serviceaccount=default:robot');
  asRobot(() => {
    t.match(ok('get pods'), /web/, `1.${minor}`);
    no('get secrets', /cannot list resource "secrets"/);
    no('delete pod web', /cannot delete resource "pods"/);
  });
  ok('create clusterrole actor --verb=impersonate --resource=users --resource-name=jane');
  ok('create clusterrolebinding actors --clusterrole=actor --serviceaccount=default:robot');
  asRobot(() => {
    t.match(ok('--as jane get pods'), /web/);
    no('--as joe get pods', /cannot impersonate resource "users"/);
    no('--as jane --as-group system:masters get pods', /cannot impersonate resource "groups"/);
  });
}
