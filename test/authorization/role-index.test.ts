/**
 * Who may do what: what the documentation of RBAC says, as a table; and random roles against a plain twin.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
 */
import t from 'tap';
import { ROLE_KINDS, RoleIndex } from '../../src/authorization/role-index.js';
import { refusal } from '../../src/authorization/request.js';
import type { ApiObject } from '../../src/api/types.js';
import { random } from '../lib/random.js';
import { allowedByRoles, binding, request, role, user } from '../lib/roles.js';

const indexOf = (objects: readonly ApiObject[]): RoleIndex => {
  const index = new RoleIndex();
  for (const object of objects) index.set(object);
  return index;
};

const OBJECTS: readonly ApiObject[] = [
  role('pod-reader', ['get,watch,list pods'], 'default'),
  role('logs', ['get,list pods,pods/log'], 'default'),
  role('updater', ['update,get configmaps my-configmap'], 'default'),
  role('named', ['create,get,delete secrets a,b'], 'default'),
  role('execs', ['create pods/exec', 'get pods/portforward'], 'default'),
  role('sleeper', ['get pods'], 'kube-system'),
  role('secret-reader', ['get,watch,list secrets']),
  role('workers', ['* deployments,replicasets@apps', 'get,list *@batch']),
  role('scaler', ['get,update,patch */scale@*']),
  role('status', ['update deployments/status@apps']),
  role('all', ['* *@*', '* %']),
  role('paths', ['get,post /healthz,/healthz/*', 'get /logs*']),
  role('nodes', ['get,list nodes']),
  role('imp', ['impersonate users,groups', 'impersonate serviceaccounts']),
  role('cleaner', ['deletecollection,list pods']),
  role('none', []),
  binding('read-pods', 'Role/pod-reader', ['user:jane'], 'default'),
  binding('read-logs', 'Role/logs', ['group:support', 'account:default/robot'], 'default'),
  binding('updates', 'Role/updater', ['user:uma'], 'default'),
  binding('names', 'Role/named', ['user:nina'], 'default'),
  binding('execs', 'Role/execs', ['user:eve'], 'default'),
  binding('read-secrets', 'ClusterRole/secret-reader', ['user:dave'], 'development'),
  binding('read-secrets-global', 'ClusterRole/secret-reader', ['group:manager']),
  binding('workers', 'ClusterRole/workers', ['user:wim'], 'shop'),
  binding('scalers', 'ClusterRole/scaler', ['user:scott']),
  binding('statuses', 'ClusterRole/status', ['user:stan']),
  binding('admins', 'ClusterRole/all', ['group:admins']),
  binding('local-admin', 'ClusterRole/all', ['user:lara'], 'shop'),
  binding('paths', 'ClusterRole/paths', ['user:pat']),
  binding('paths-in-a-namespace', 'ClusterRole/paths', ['user:paul'], 'default'),
  binding('nodes', 'ClusterRole/nodes', ['user:noa']),
  binding('nodes-in-a-namespace', 'ClusterRole/nodes', ['user:norm'], 'default'),
  binding('imp', 'ClusterRole/imp', ['user:ira']),
  binding('cleaner', 'ClusterRole/cleaner', ['account:ci/janitor'], 'default'),
  binding('own-namespace', 'ClusterRole/secret-reader', ['account:helper'], 'development'),
  binding('everybody', 'ClusterRole/nodes', ['group:system:serviceaccounts']),
  binding('of-one-namespace', 'ClusterRole/cleaner', ['group:system:serviceaccounts:ci'], 'ci'),
  binding('missing', 'Role/gone', ['user:mia'], 'default'),
  binding('missing-too', 'ClusterRole/gone', ['user:mia'], 'default'),
  binding('wrong-namespace', 'Role/sleeper', ['user:jack'], 'default'),
  binding('nothing', 'ClusterRole/none', ['user:nobody']),
];

const ROBOT = 'system:serviceaccount:default:robot+system:serviceaccounts+system:serviceaccounts:default';
const JANITOR = 'system:serviceaccount:ci:janitor+system:serviceaccounts+system:serviceaccounts:ci';

/** Who, what, and whether. */
const TABLE: readonly (readonly [string, string, boolean])[] = [
  // A Role gives rights in its namespace, for the verbs and resources it names.
  ['jane', 'get pods web in default', true],
  ['jane', 'list pods in default', true],
  ['jane', 'watch pods in default', true],
  ['jane', 'delete pods web in default', false],
  ['jane', 'create pods in default', false],
  ['jane', 'patch pods web in default', false],
  ['jane', 'deletecollection pods in default', false],
  ['jane', 'get pods web in kube-system', false],
  ['jane', 'list pods', false],
  ['jane', 'get services web in default', false],
  ['jane', 'get pods@apps web in default', false],
  ['jane', ' pods web in default', false],
  ['Jane', 'get pods web in default', false],
  ['jan', 'get pods web in default', false],
  // A subresource is a resource of its own.
  ['jane', 'get pods/log web in default', false],
  ['jane', 'get pods/status web in default', false],
  ['jane', 'create pods/exec web in default', false],
  ['joe+support', 'get pods/log web in default', true],
  ['joe+support', 'list pods in default', true],
  ['joe+support', 'get pods/exec web in default', false],
  ['joe', 'get pods/log web in default', false],
  ['support', 'get pods/log web in default', false],
  ['eve', 'create pods/exec web in default', true],
  ['eve', 'get pods/exec web in default', false],
  ['eve', 'get pods/portforward web in default', true],
  ['eve', 'create pods/portforward web in default', false],
  ['eve', 'get pods web in default', false],
  // Names.
  ['uma', 'get configmaps my-configmap in default', true],
  ['uma', 'update configmaps my-configmap in default', true],
  ['uma', 'update configmaps other in default', false],
  ['uma', 'patch configmaps my-configmap in default', false],
  ['uma', 'list configmaps in default', false],
  ['uma', 'get configmaps my-configmap in shop', false],
  ['nina', 'get secrets a in default', true],
  ['nina', 'get secrets b in default', true],
  ['nina', 'delete secrets b in default', true],
  ['nina', 'get secrets c in default', false],
  ['nina', 'create secrets in default', false], // its name is not known yet
  ['nina', 'list secrets in default', false],
  // A ClusterRole in a RoleBinding gives rights in that namespace alone.
  ['dave', 'get secrets s in development', true],
  ['dave', 'list secrets in development', true],
  ['dave', 'get secrets s in default', false],
  ['dave', 'list secrets', false],
  // In a ClusterRoleBinding everywhere.
  ['mo+manager', 'get secrets s in development', true],
  ['mo+manager', 'list secrets', true],
  ['mo+manager', 'watch secrets in kube-system', true],
  ['mo+manager', 'delete secrets s in development', false],
  ['mo', 'list secrets', false],
  // Groups of the API, and stars.
  ['wim', 'create deployments@apps in shop', true],
  ['wim', 'deletecollection replicasets@apps in shop', true],
  ['wim', 'get deployments web in shop', false],
  ['wim', 'get deployments@extensions web in shop', false],
  ['wim', 'get deployments/scale@apps web in shop', false],
  ['wim', 'list jobs@batch in shop', true],
  ['wim', 'get cronjobs/status@batch c in shop', true], // a star for resources is also their subresources
  ['wim', 'delete jobs@batch j in shop', false],
  ['wim', 'create deployments@apps in default', false],
  ['scott', 'update deployments/scale@apps web in shop', true],
  ['scott', 'get replicasets/scale@apps web in default', true],
  ['scott', 'patch things/scale@example.com t in default', true],
  ['scott', 'update deployments@apps web in shop', false],
  ['scott', 'update deployments/status@apps web in shop', false],
  ['scott', 'get scale s in shop', false],
  ['stan', 'update deployments/status@apps web in shop', true],
  ['stan', 'update deployments@apps web in shop', false],
  ['ada+admins', 'delete nodes n', true],
  ['ada+admins', 'escalate clusterroles@rbac.authorization.k8s.io r', true],
  ['ada+admins', 'delete /anything', true],
  ['lara', 'delete pods p in shop', true],
  ['lara', 'create rolebindings@rbac.authorization.k8s.io in shop', true],
  ['lara', 'delete pods p in default', false],
  ['lara', 'get nodes n', false],
  ['lara', 'get /healthz', false],
  // Paths that are no resources.
  ['pat', 'get /healthz', true],
  ['pat', 'post /healthz', true],
  ['pat', 'get /healthz/etcd', true],
  ['pat', 'put /healthz', false],
  ['pat', 'get /health', false],
  ['pat', 'get /logs', true],
  ['pat', 'get /logs/today', true],
  ['pat', 'post /logs', false],
  ['pat', 'get /', false],
  ['paul', 'get /healthz', false], // no namespace has them
  // Resources without namespaces.
  ['noa', 'get nodes n1', true],
  ['noa', 'list nodes', true],
  ['noa', 'delete nodes n1', false],
  ['norm', 'list nodes', false],
  // Verbs of their own.
  ['ira', 'impersonate users bob', true],
  ['ira', 'impersonate groups dev', true],
  ['ira', 'impersonate serviceaccounts robot in default', true],
  ['ira', 'impersonate uids@authentication.k8s.io 7', false],
  ['jane', 'impersonate users bob', false],
  // Service accounts are users, and in groups.
  [ROBOT, 'get pods/log web in default', true],
  [ROBOT, 'get pods/log web in kube-system', false],
  [ROBOT, 'list nodes', true],
  ['system:serviceaccount:other:robot', 'get pods/log web in default', false],
  ['robot', 'get pods/log web in default', false],
  [JANITOR, 'deletecollection pods in default', true],
  [JANITOR, 'deletecollection pods in ci', true],
  [JANITOR, 'deletecollection pods in shop', false],
  [JANITOR, 'delete pods p in default', false],
  ['system:serviceaccount:development:helper', 'get secrets s in development', true],
  ['system:serviceaccount:default:helper', 'get secrets s in development', false],
  // Bindings to nothing.
  ['mia', 'get pods p in default', false],
  ['jack', 'get pods p in default', false],
  ['jack', 'get pods p in kube-system', false],
  ['nobody', 'get pods p in default', false],
  ['stranger', 'get pods p in default', false],
  ['stranger', 'get /version', false],
];

t.test(`${TABLE.length} requests and their answers`, async (t) => {
  const index = indexOf(OBJECTS);
  for (const [who, what, isAllowed] of TABLE) {
    t.equal(index.decide(user(who), request(what)).isAllowed, isAllowed, `${who}: ${what}`);
    t.equal(allowedByRoles(OBJECTS, user(who), request(what)), isAllowed, `the twin: ${who}: ${what}`);
  }
  t.ok(TABLE.length >= 80);
});

t.test('an answer says why', async (t) => {
  const index = indexOf(OBJECTS);
  const why = (who: string, what: string): string => index.decide(user(who), request(what)).reason;
  t.equal(
    why('jane', 'get pods web in default'),
    'RBAC: allowed by RoleBinding "read-pods/default" of Role "pod-reader" to User "jane"',
  );
  t.equal(
    why('mo+manager', 'list secrets'),
    'RBAC: allowed by ClusterRoleBinding "read-secrets-global" of ClusterRole "secret-reader" to Group "manager"',
  );
  t.equal(
    why(ROBOT, 'get pods/log web in default'),
    'RBAC: allowed by RoleBinding "read-logs/default" of Role "logs" to ServiceAccount "robot/default"',
  );
  t.equal(why('stranger', 'list pods'), '');
  t.equal(
    why('mia', 'get pods p in default'),
    'RBAC: [role.rbac.authorization.k8s.io "gone" not found, clusterrole.rbac.authorization.k8s.io "gone" not found]',
  );
});

t.test('a refusal has the words of Kubernetes', async (t) => {
  const index = indexOf(OBJECTS);
  const said = (who: string, what: string) =>
    refusal(user(who), request(what), index.decide(user(who), request(what)));
  for (const [who, what, words] of [
    [
      'x',
      'list pods in default',
      'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"',
    ],
    [
      'x',
      'get deployments/scale@apps web in shop',
      'deployments.apps "web" is forbidden: User "x" cannot get resource "deployments/scale" in API group "apps" in the namespace "shop"',
    ],
    [
      'x',
      'list nodes',
      'nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope',
    ],
    ['x', 'get /metrics', 'forbidden: User "x" cannot get path "/metrics"'],
    [
      'mia',
      'get pods p in default',
      'pods "p" is forbidden: User "mia" cannot get resource "pods" in API group "" in the namespace "default": RBAC: [role.rbac.authorization.k8s.io "gone" not found, clusterrole.rbac.authorization.k8s.io "gone" not found]',
    ],
  ] as const) {
    const error = said(who, what);
    t.equal(error.message, words);
    t.match(error, { code: 403, reason: 'Forbidden' });
  }
});

t.test('what is changed or taken away counts at once', async (t) => {
  const index = indexOf(OBJECTS);
  const may = (who: string, what: string): boolean => index.decide(user(who), request(what)).isAllowed;
  index.set(binding('read-pods', 'Role/pod-reader', ['user:joan'], 'default'));
  t.notOk(may('jane', 'list pods in default'), 'no longer a subject');
  t.ok(may('joan', 'list pods in default'));
  index.set(role('pod-reader', ['get pods'], 'default'));
  t.notOk(may('joan', 'list pods in default'), 'the role has less');
  t.ok(may('joan', 'get pods p in default'));
  index.delete(role('pod-reader', [], 'default'));
  t.notOk(may('joan', 'get pods p in default'), 'the role is gone');
  index.set(role('pod-reader', ['get pods'], 'default'));
  t.ok(may('joan', 'get pods p in default'), 'another of its name');
  index.delete(binding('read-pods', 'Role/pod-reader', [], 'default'));
  t.notOk(may('joan', 'get pods p in default'), 'the binding is gone');
  t.strictSame(index.rulesOf(user('joan'), 'default'), []);
});

t.test('random roles are read as the twin reads them', async (t) => {
  const seed = 20_261;
  const chance = random(seed);
  const { pick, int } = chance;
  const some = (items: readonly string[]): string =>
    chance
      .shuffle(items)
      .slice(0, 1 + int(2))
      .join(',');
  const VERBS = ['get', 'list', 'create', 'delete', '*'];
  const RESOURCES = ['pods', 'pods/log', 'deployments', 'deployments/scale', '*/scale', '*/log', '*'];
  const GROUPS = ['core', 'apps', '*'];
  const PATHS = ['/a', '/a/*', '/a/b', '/*'];
  const SPACES = ['x', 'y', undefined];
  const USERS = ['ann', 'bob', 'system:serviceaccount:x:bot', 'system:serviceaccount:y:bot'];
  const TEAMS = ['red', 'blue'];
  const randomRule = (namespace: string | undefined): string =>
    namespace === undefined && int(4) === 0
      ? `${some(VERBS)} ${some(PATHS)}`
      : `${some(VERBS)} ${some(RESOURCES)}@${some(GROUPS)}${int(3) === 0 ? ` ${some(['n', 'm'])}` : ''}`;
  const randomObject = (): ApiObject => {
    const namespace = pick(SPACES);
    const name = pick(['r', 's', 't']);
    if (int(3) === 0)
      return role(
        name,
        Array.from({ length: 1 + int(4) }, () => randomRule(namespace)),
        namespace,
      );
    const subjects = Array.from({ length: 1 + int(3) }, () =>
      pick(['user:ann', 'user:bob', 'group:red', 'group:blue', 'account:x/bot', 'account:y/bot']),
    );
    const kind = namespace === undefined || int(2) === 0 ? 'ClusterRole' : 'Role';
    return binding(`${name}${int(6)}`, `${kind}/${pick(['r', 's', 't'])}`, subjects, namespace);
  };
  const randomRequest = (): string => {
    const verb = pick(['get', 'list', 'create', 'delete', 'watch']);
    if (int(5) === 0) return `${verb} ${pick(['/a', '/a/b', '/a/b/c', '/b'])}`;
    const what = pick(['pods', 'pods/log', 'deployments@apps', 'deployments/scale@apps', 'things@other']);
    const where = pick(['', ' in x', ' in y', ' in z']);
    return `${verb} ${what}${pick(['', ' n', ' m', ' o'])}${where}`;
  };
  let allowed = 0;
  let asked = 0;
  for (let round = 0; round < 30; round++) {
    const index = new RoleIndex();
    const objects = new Map<string, ApiObject>();
    for (let step = 0; step < 100; step++) {
      const object = randomObject();
      const key = `${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
      if (int(12) === 0) {
        objects.delete(key);
        index.delete(object);
      } else {
        objects.set(key, object);
        index.set(object);
      }
      for (let i = 0; i < 4; i++) {
        const who = user([pick(USERS), ...TEAMS.filter(() => int(3) === 0)].join('+'));
        const text = randomRequest();
        const expected = allowedByRoles([...objects.values()], who, request(text));
        const found = index.decide(who, request(text)).isAllowed;
        asked++;
        if (expected) allowed++;
        if (found !== expected)
          t.equal(
            found,
            expected,
            `seed ${seed}, round ${round}: ${who.username} ${who.groups.join()}: ${text}`,
          );
      }
    }
  }
  t.equal(asked, 12_000);
  t.ok(allowed > 1000 && allowed < 11_000, `${allowed} of ${asked} were allowed: both answers are met`);
});

t.test('among ten thousand bindings a request looks at those of who asks', async (t) => {
  const index = new RoleIndex();
  index.set(role('reader', ['get pods']));
  let looked = 0;
  for (let i = 0; i < 10_000; i++) {
    const one = binding(`b${i}`, 'ClusterRole/reader', [`user:u${i}`]);
    const { roleRef } = one;
    Object.defineProperty(one, 'roleRef', {
      get() {
        looked++;
        return roleRef;
      },
    });
    index.set(one);
  }
  looked = 0;
  t.ok(index.decide(user('u5000+dev+ops'), request('get pods p in default')).isAllowed);
  t.ok(looked > 0 && looked < 5, `${looked} looks at a binding`);
});

t.test('the index is made of the four kinds of roles', async (t) => {
  t.strictSame(
    ROLE_KINDS.map(({ kind }) => kind),
    ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'],
  );
});
