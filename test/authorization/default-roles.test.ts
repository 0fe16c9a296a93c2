/**
 * The roles that are there from the beginning: made, made whole, and what they allow.
 */
import t from 'tap';
import type { ApiObject, ClusterRole, ClusterRoleBinding } from '../../src/api/types.js';
import { validate } from '../../src/api/validate.js';
import { aggregate } from '../../src/authorization/aggregate.js';
import { DEFAULT_BINDINGS, DEFAULT_ROLES, repairDefaults } from '../../src/authorization/default-roles.js';
import { RoleIndex } from '../../src/authorization/role-index.js';
import { binding, request, role, rule, user } from '../lib/roles.js';

/** All roles with what aggregates get. */
function settled(roles: readonly ClusterRole[]): ClusterRole[] {
  let now = [...roles];
  for (;;) {
    const changed = aggregate(now);
    if (changed.length === 0) return now;
    now = now.map((one) => changed.find(({ metadata }) => metadata.name === one.metadata.name) ?? one);
  }
}

t.test('all are what the API would take, and carry the label', async (t) => {
  for (const object of [...DEFAULT_ROLES, ...DEFAULT_BINDINGS]) {
    t.strictSame(validate(object), [], object.metadata.name);
    t.equal(object.metadata.labels?.['kubernetes.io/bootstrapping'], 'rbac-defaults');
  }
  const names = DEFAULT_ROLES.map(({ metadata }) => metadata.name);
  for (const { roleRef } of DEFAULT_BINDINGS) t.ok(names.includes(roleRef.name), roleRef.name);
});

t.test('what they allow', async (t) => {
  const index = new RoleIndex();
  for (const one of settled(DEFAULT_ROLES)) index.set(one);
  for (const one of DEFAULT_BINDINGS) index.set(one);
  for (const name of ['view', 'edit', 'admin'])
    index.set(binding(name, `ClusterRole/${name}`, [`user:${name}er`], 'shop'));
  const may = (who: string, what: string): boolean => index.decide(user(who), request(what)).isAllowed;
  const IN = 'system:authenticated';
  for (const [who, what, isAllowed] of [
    ['root+system:masters', 'delete nodes n', true],
    ['root+system:masters', 'put /x', true],
    [`u+${IN}`, 'get /apis/apps/v1', true],
    [`u+${IN}`, 'get /openapi/v3', true],
    [`u+${IN}`, 'create selfsubjectaccessreviews@authorization.k8s.io', true],
    [`u+${IN}`, 'create selfsubjectreviews@authentication.k8s.io', true],
    [`u+${IN}`, 'create subjectaccessreviews@authorization.k8s.io', false],
    [`u+${IN}`, 'list pods in shop', false],
    ['u', 'get /apis', false],
    ['u+system:unauthenticated', 'get /healthz', true],
    ['u+system:unauthenticated', 'get /version', true],
    ['u+system:unauthenticated', 'get /api', false],
    ['b+system:bootstrappers:podwire', 'create certificatesigningrequests@certificates.k8s.io', true],
    ['b+system:bootstrappers:podwire', 'get nodes n', true],
    ['b+system:bootstrappers:podwire', 'list nodes', false],
    ['b+system:bootstrappers:podwire', 'list secrets in kube-system', false],
    ['b+system:bootstrappers', 'get nodes n', false],
    ['viewer', 'get pods p in shop', true],
    ['viewer', 'get pods/log p in shop', true],
    ['viewer', 'watch endpointslices@discovery.k8s.io in shop', true],
    ['viewer', 'list httproutes@gateway.networking.k8s.io in shop', true],
    ['viewer', 'get labs@podwire.dev l in shop', true],
    ['viewer', 'get deployments/scale@apps d in shop', true],
    ['viewer', 'get secrets s in shop', false],
    ['viewer', 'create pods/exec p in shop', false],
    ['viewer', 'delete pods p in shop', false],
    ['viewer', 'list roles@rbac.authorization.k8s.io in shop', false],
    ['viewer', 'get pods p in default', false],
    ['editer', 'delete pods p in shop', true],
    ['editer', 'create pods/exec p in shop', true],
    ['editer', 'get secrets s in shop', true],
    ['editer', 'get pods p in shop', true],
    ['editer', 'patch deployments@apps d in shop', true],
    ['editer', 'update deployments/scale@apps d in shop', true],
    ['editer', 'create gateways@gateway.networking.k8s.io in shop', true],
    ['editer', 'patch labs@podwire.dev l in shop', true],
    ['editer', 'create rolebindings@rbac.authorization.k8s.io in shop', false],
    ['editer', 'update endpoints e in shop', false],
    ['admines', 'get pods p in shop', false],
    ['adminer', 'create rolebindings@rbac.authorization.k8s.io in shop', true],
    ['adminer', 'create localsubjectaccessreviews@authorization.k8s.io in shop', true],
    ['adminer', 'delete pods p in shop', true],
    ['adminer', 'get pods/log p in shop', true],
    ['adminer', 'delete namespaces shop in shop', false],
    ['adminer', 'escalate roles@rbac.authorization.k8s.io in shop', false],
  ] as const)
    t.equal(may(who, what), isAllowed, `${who}: ${what}`);
});

t.test('they are made once, and made whole again', async (t) => {
  const first = repairDefaults([], []);
  t.equal(first.length, DEFAULT_ROLES.length + DEFAULT_BINDINGS.length);
  t.ok(first.every(({ type }) => type === 'create'));
  const roles = settled(DEFAULT_ROLES);
  t.strictSame(repairDefaults(roles, DEFAULT_BINDINGS), []);

  const changed = (name: string, change: Partial<ClusterRole>): ClusterRole[] =>
    roles.map((one) => (one.metadata.name === name ? { ...one, ...change } : one));
  const [less] = repairDefaults(
    changed('podwire:node-getter', { rules: [rule('list services')] }),
    DEFAULT_BINDINGS,
  );
  t.match(less, { type: 'update', object: { metadata: { name: 'podwire:node-getter' } } });
  t.strictSame(
    (less!.object as ClusterRole).rules,
    [rule('list services'), rule('get nodes')],
    'additions stay',
  );
  const annotations = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' };
  t.strictSame(
    repairDefaults(
      changed('podwire:node-getter', { rules: [], metadata: { name: 'podwire:node-getter', annotations } }),
      DEFAULT_BINDINGS,
    ),
    [],
    'unless it says to leave it alone',
  );
  const [again] = repairDefaults(
    changed('view', { aggregationRule: { clusterRoleSelectors: [] } }),
    DEFAULT_BINDINGS,
  );
  t.match(again!.object, { aggregationRule: { clusterRoleSelectors: [{ matchLabels: {} }] } });

  const bound = (parts: Partial<ClusterRoleBinding>): ClusterRoleBinding[] =>
    DEFAULT_BINDINGS.map((one) => (one.metadata.name === 'system:discovery' ? { ...one, ...parts } : one));
  const [subjects] = repairDefaults(roles, bound({ subjects: [{ kind: 'User', name: 'me' }] }));
  t.strictSame(
    (subjects!.object as ClusterRoleBinding).subjects!.map(({ name }) => name),
    ['me', 'system:authenticated'],
  );
  const [ref] = repairDefaults(roles, bound({ roleRef: { kind: 'ClusterRole', name: 'other' } }));
  t.match(ref, { type: 'update', object: { roleRef: { name: 'system:discovery' } } });
});

t.test('an aggregate is the rules of its parts, each once', async (t) => {
  const labelled = (name: string, rules: string[], value: string): ClusterRole => ({
    ...(role(name, rules) as ClusterRole),
    metadata: { name, labels: { part: value } },
  });
  const sum = (rules: string[]): ClusterRole => ({
    ...(role('sum', rules) as ClusterRole),
    metadata: { name: 'sum', labels: { part: 'a' } },
    aggregationRule: {
      clusterRoleSelectors: [
        { matchLabels: { part: 'a' } },
        { matchExpressions: [{ key: 'part', operator: 'In', values: ['b'] }] },
      ],
    },
  });
  const parts: ApiObject[] = [
    labelled('z', ['get pods'], 'a'),
    labelled('a', ['get services', 'get pods'], 'b'),
    labelled('n', ['get nodes'], 'c'),
  ];
  const [made] = aggregate([sum(['get secrets']), ...(parts as ClusterRole[])]);
  t.strictSame(made!.rules, [rule('get services'), rule('get pods')]);
  t.strictSame(aggregate([made!, ...(parts as ClusterRole[])]), [], 'and then rests');
});
