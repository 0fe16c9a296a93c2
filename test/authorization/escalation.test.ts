/**
 * Nobody gives rights that he does not have.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
 */
import t from 'tap';
import { kindOf } from '../../src/api/kinds.js';
import type { ApiObject, ClusterRole, PolicyRule } from '../../src/api/types.js';
import { checkEscalation } from '../../src/authorization/escalation.js';
import { RoleIndex } from '../../src/authorization/role-index.js';
import { missingRules, ruleText } from '../../src/authorization/rule.js';
import { random } from '../lib/random.js';
import { allowedByRoles, binding, role, rule, user } from '../lib/roles.js';

/** Rules held, rules wanted, and what is missing of them. */
const COVER: readonly (readonly [string[], string[], string[]])[] = [
  [['get,list pods'], ['get pods'], []],
  [['get pods'], ['get,list pods'], ['{APIGroups:[""], Resources:["pods"], Verbs:["list"]}']],
  [['get pods', 'list pods'], ['get,list pods'], []],
  [['* *@*'], ['get,list pods,pods/log@core,apps'], []],
  [['* *@*'], ['get /version'], ['{NonResourceURLs:["/version"], Verbs:["get"]}']],
  [['get *'], ['get pods/log'], []],
  [['get pods'], ['get *'], ['{APIGroups:[""], Resources:["*"], Verbs:["get"]}']],
  [['get pods'], ['* pods'], ['{APIGroups:[""], Resources:["pods"], Verbs:["*"]}']],
  [['get */log'], ['get pods/log'], []],
  [['get */log'], ['get pods/exec'], ['{APIGroups:[""], Resources:["pods/exec"], Verbs:["get"]}']],
  [['get pods a'], ['get pods a'], []],
  [['get pods'], ['get pods a'], []],
  [['get pods a'], ['get pods'], ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']],
  [
    ['get pods a,b'],
    ['get pods b,c'],
    ['{APIGroups:[""], Resources:["pods"], ResourceNames:["c"], Verbs:["get"]}'],
  ],
  [['get /a/*'], ['get /a/b'], []],
  [['get /a/*'], ['get /a'], ['{NonResourceURLs:["/a"], Verbs:["get"]}']],
  [['get %'], ['get /a,/b*'], []],
  [['get pods@apps'], ['get pods'], ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']],
  [
    ['get pods'],
    ['get,list pods,services'],
    [
      '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
      '{APIGroups:[""], Resources:["services"], Verbs:["get" "list"]}',
    ],
  ],
  [[], [], []],
];

t.test('what of some rules is not in others', async (t) => {
  for (const [held, wanted, missing] of COVER)
    t.strictSame(
      missingRules(held.map(rule), wanted.map(rule)).map(ruleText),
      missing,
      `${held.join('; ')} ⊇ ${wanted.join('; ')}`,
    );
});

t.test('what is not missing allows no request that what is held refuses', async (t) => {
  const seed = 77;
  const { int, pick } = random(seed);
  const VERBS = ['get', 'list', '*'];
  const RESOURCES = ['pods', 'pods/log', '*/log', '*'];
  const some = (items: readonly string[]): string => `${pick(items)},${pick(items)}`;
  const randomRule = (): PolicyRule =>
    rule(`${some(VERBS)} ${some(RESOURCES)}@${pick(['core', 'apps', '*'])}${int(3) === 0 ? ' n' : ''}`);
  const requests = ['get', 'list', 'create'].flatMap((verb) =>
    ['pods', 'pods/log', 'services'].flatMap((what) =>
      ['', 'n', 'm'].flatMap((name) =>
        ['', 'apps'].map((group) => {
          const [resource, subresource = ''] = what.split('/') as [string, string?];
          return { verb, group, resource, subresource, namespace: '', name };
        }),
      ),
    ),
  );
  const objectsOf = (rules: PolicyRule[]): ApiObject[] => [
    { ...role('r', []), rules } as ClusterRole,
    binding('b', 'ClusterRole/r', ['user:u']),
  ];
  let covered = 0;
  for (let round = 0; round < 2000; round++) {
    const held = Array.from({ length: 1 + int(3) }, randomRule);
    const wanted = [randomRule()];
    if (missingRules(held, wanted).length > 0) continue;
    covered++;
    for (const asked of requests)
      if (
        allowedByRoles(objectsOf(wanted), user('u'), asked) &&
        !allowedByRoles(objectsOf(held), user('u'), asked)
      )
        t.fail(
          `seed ${seed}: ${JSON.stringify(asked)} is not held: ${held.map(ruleText).join()} ⊉ ${ruleText(wanted[0]!)}`,
        );
  }
  t.ok(covered > 100 && covered < 1900, `${covered} of 2000 were covered`);
});

t.test('a rule of a million parts is refused, not taken apart', async (t) => {
  const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `x${i}`);
  const huge: PolicyRule = { verbs: many(200), apiGroups: many(200), resources: many(200) };
  t.strictSame(missingRules([rule('get pods')], [huge]), [huge]);
  t.strictSame(missingRules([rule('* *@*')], [huge]), [], 'who may do everything may give it all the same');
});

const OBJECTS: readonly ApiObject[] = [
  role('reader', ['get,list pods']),
  role('local', ['get pods'], 'default'),
  role('writer', [
    'create,update roles,clusterroles,rolebindings,clusterrolebindings@rbac.authorization.k8s.io',
  ]),
  role('all', ['* *@*', '* %']),
  role('escalator', ['escalate roles,clusterroles@rbac.authorization.k8s.io']),
  role('binder', ['bind clusterroles@rbac.authorization.k8s.io all']),
  binding('readers', 'ClusterRole/reader', ['user:rita', 'user:bea']),
  binding('writers', 'ClusterRole/writer', ['user:rita', 'user:bea', 'user:esko']),
  binding('alls', 'ClusterRole/all', ['user:ada']),
  binding('escalators', 'ClusterRole/escalator', ['user:esko']),
  binding('binders', 'ClusterRole/binder', ['user:bea']),
  binding('locals', 'Role/local', ['user:leo'], 'default'),
];

const index = new RoleIndex();
for (const object of OBJECTS) index.set(object);
const context = { roles: index, decide: index.decide.bind(index) };
const check = (who: string, next: ApiObject, old?: ApiObject): void =>
  checkEscalation(context, user(who), kindOf(next)!, next, old);

t.test('roles', async (t) => {
  check('rita', role('x', ['get pods'], 'default'));
  check('rita', role('x', ['get pods']));
  t.throws(
    () => check('rita+team+system:authenticated', role('x', ['get,delete pods', 'get secrets'], 'default')),
    {
      code: 403,
      message:
        'roles.rbac.authorization.k8s.io "x" is forbidden: user "rita" (groups=["team" "system:authenticated"]) is ' +
        'attempting to grant RBAC permissions not currently held:\n' +
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    },
  );
  check('leo', role('x', ['get pods'], 'default'));
  t.throws(
    () => check('leo', role('x', ['get pods'], 'kube-system')),
    /not currently held/,
    'held elsewhere',
  );
  t.throws(() => check('leo', role('x', ['get pods'])), /not currently held/, 'held in one namespace only');
  check('ada', role('x', ['* *@*', '* %']));
  check('esko', role('x', ['* *@*']), undefined);
  check('anybody+system:masters', role('x', ['* *@*']));
});

t.test('an aggregate takes in what is yet to come', async (t) => {
  const aggregate: ClusterRole = {
    ...(role('x', []) as ClusterRole),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] },
  };
  t.throws(() => check('rita', aggregate), {
    code: 403,
    message: /must have cluster-admin privileges to use an aggregationRule/,
  });
  check('ada', aggregate);
  check('esko', aggregate);
});

t.test('bindings', async (t) => {
  check('rita', binding('b', 'ClusterRole/reader', ['user:new']));
  check('rita', binding('b', 'ClusterRole/reader', ['user:new'], 'default'));
  t.throws(() => check('rita', binding('b', 'ClusterRole/all', ['user:new'])), {
    code: 403,
    message:
      /^clusterrolebindings\.rbac\.authorization\.k8s\.io "b" is forbidden: user "rita" .*not currently held:/,
  });
  t.throws(() => check('rita', binding('b', 'ClusterRole/gone', ['user:new'])), {
    code: 404,
    message: 'clusterroles.rbac.authorization.k8s.io "gone" not found',
  });
  check('bea', binding('b', 'ClusterRole/all', ['user:new']), undefined);
  t.throws(() => check('esko', binding('b', 'ClusterRole/all', ['user:new'])), /not currently held/);
  check('leo', binding('b', 'Role/local', ['user:new'], 'default'));
  check('anybody+system:masters', binding('b', 'ClusterRole/gone', ['user:new']));
});

t.test('a change that only the garbage collector cares for is no grant', async (t) => {
  const old = role('x', ['delete secrets'], 'default');
  const orphan = { ...old, metadata: { ...old.metadata, finalizers: ['orphan'] } };
  check('rita', orphan, old);
  const labelled = { ...old, metadata: { ...old.metadata, labels: { a: 'b' } } };
  t.throws(() => check('rita', labelled, old), /not currently held/);
});

t.test('other kinds are nobody’s to check here', async () => {
  check('stranger', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } });
});
