/**
 * Role, ClusterRole, RoleBinding, ClusterRoleBinding: defaults, rules, columns.
 */
import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { kindOf } from '../../src/api/kinds.js';
import type { ApiObject, ClusterRole, PolicyRule, RoleBinding, Subject } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const apiVersion = 'rbac.authorization.k8s.io/v1';
const wrong = (object: unknown): string[] => validate(object).map(describeProblem);
const role = (rules: unknown, kind = 'Role', name = 'r'): ApiObject =>
  ({ apiVersion, kind, metadata: { name }, rules }) as ApiObject;
const binding = (parts: object, kind = 'RoleBinding'): RoleBinding =>
  ({
    apiVersion,
    kind,
    metadata: { name: 'b' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
    ...parts,
  }) as RoleBinding;
const pods: PolicyRule = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };

t.test('rules of roles', async (t) => {
  for (const [rules, kind, expected] of [
    [[pods], 'Role', []],
    [undefined, 'Role', []],
    [
      [{ ...pods, verbs: [] }],
      'Role',
      ['rules[0].verbs: Required value: verbs must contain at least one value'],
    ],
    [
      [pods, { verbs: ['*'] }],
      'ClusterRole',
      [
        'rules[1].apiGroups: Required value: resource rules must supply at least one api group',
        'rules[1].resources: Required value: resource rules must supply at least one resource',
      ],
    ],
    [[{ verbs: ['get'], nonResourceURLs: ['/version'] }], 'ClusterRole', []],
    [
      [{ verbs: ['get'], nonResourceURLs: ['/version'] }],
      'Role',
      [
        'rules[0].nonResourceURLs: Invalid value: ["/version"]: namespaced rules cannot apply to non-resource URLs',
      ],
    ],
    [
      [{ ...pods, nonResourceURLs: ['/version'] }],
      'ClusterRole',
      [
        'rules[0].nonResourceURLs: Invalid value: ["/version"]: rules cannot apply to both regular resources and non-resource URLs',
      ],
    ],
    [[{ ...pods, resourceNames: ['web'], verbs: ['create'] }], 'Role', []],
  ] as const)
    t.strictSame(wrong(role(rules, kind)), expected, JSON.stringify(rules));
  t.strictSame(wrong(role([pods], 'Role', 'system:podwire:reader')), [], 'a colon is part of a name');
  t.strictSame(wrong(role([pods], 'Role', 'a%b')), [
    'metadata.name: Invalid value: "a%b": may not contain \'%\'',
  ]);
});

t.test('a ClusterRole that is an aggregate says of what', async (t) => {
  const of = (clusterRoleSelectors: object[]): ClusterRole =>
    ({ ...role([], 'ClusterRole'), aggregationRule: { clusterRoleSelectors } }) as ClusterRole;
  t.strictSame(wrong(of([{ matchLabels: { a: 'b' } }])), []);
  t.strictSame(wrong(of([])), [
    'aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil',
  ]);
  t.match(wrong(of([{ matchExpressions: [{ key: 'a', operator: 'Like' }] }])), [
    /^aggregationRule\.clusterRoleSelectors\[0\]\.matchExpressions\[0\]\.operator: /,
  ]);
});

t.test('rules of bindings', async (t) => {
  const user: Subject = { kind: 'User', name: 'jane' };
  const account: Subject = { kind: 'ServiceAccount', name: 'robot', namespace: 'default' };
  for (const [parts, kind, expected] of [
    [{}, 'RoleBinding', []],
    [{ subjects: [user, account, { kind: 'Group', name: 'dev' }] }, 'ClusterRoleBinding', []],
    [
      { subjects: [{ kind: 'Users', name: 'x' }] },
      'RoleBinding',
      ['subjects[0].kind: Unsupported value: "Users": supported values: "ServiceAccount", "User", "Group"'],
    ],
    [{ subjects: [{ kind: 'User' }] }, 'RoleBinding', ['subjects[0].name: Required value']],
    [
      { subjects: [{ ...user, apiGroup: 'apps' }] },
      'RoleBinding',
      ['subjects[0].apiGroup: Unsupported value: "apps": supported values: "rbac.authorization.k8s.io"'],
    ],
    [
      { subjects: [{ ...account, apiGroup: 'apps' }] },
      'RoleBinding',
      ['subjects[0].apiGroup: Unsupported value: "apps": supported values: ""'],
    ],
    [{ subjects: [{ ...account, namespace: undefined }] }, 'RoleBinding', []],
    [
      { subjects: [{ ...account, namespace: undefined }] },
      'ClusterRoleBinding',
      ['subjects[0].namespace: Required value'],
    ],
    [
      { roleRef: { kind: 'Role', name: 'r' } },
      'ClusterRoleBinding',
      ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'],
    ],
    [{ roleRef: { kind: 'Role' } }, 'RoleBinding', ['roleRef.name: Required value']],
    [
      { roleRef: { apiGroup: 'apps', kind: 'Role', name: 'a/b' } },
      'RoleBinding',
      [
        'roleRef.apiGroup: Unsupported value: "apps": supported values: "rbac.authorization.k8s.io"',
        'roleRef.name: Invalid value: "a/b": may not contain \'/\'',
      ],
    ],
    [
      { roleRef: undefined },
      'RoleBinding',
      [
        'roleRef.kind: Unsupported value: "": supported values: "Role", "ClusterRole"',
        'roleRef.name: Required value',
      ],
    ],
  ] as const)
    t.strictSame(wrong(binding(parts, kind)), expected, JSON.stringify(parts));
});

t.test('groups that are left out are filled in, and a roleRef stays', async (t) => {
  const full = withDefaults(
    binding({
      roleRef: { kind: 'Role', name: 'r' },
      subjects: [
        { kind: 'User', name: 'jane' },
        { kind: 'ServiceAccount', name: 'robot', namespace: 'default' },
      ],
    }),
  );
  t.equal(full.roleRef.apiGroup, 'rbac.authorization.k8s.io');
  t.equal(full.subjects![0]!.apiGroup, 'rbac.authorization.k8s.io');
  t.equal(full.subjects![1]!.apiGroup, undefined);
  const other = { ...full, roleRef: { ...full.roleRef, name: 'other' } };
  t.match(kindOf(full)!.validateUpdate!(other, full).map(describeProblem), [
    /^roleRef: .*cannot change roleRef$/,
  ]);
  t.strictSame(kindOf(full)!.validateUpdate!(full, full), []);
});

t.test('columns', async (t) => {
  const cells = (object: ApiObject): unknown[] =>
    kindOf(object)!.columns.map((column) => column.value(object, Date.parse('2026-01-01T01:00:00Z')));
  const metadata = { name: 'b', namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' };
  t.strictSame(cells({ ...role([pods]), metadata }), ['b', '2026-01-01T00:00:00Z']);
  const subjects = [
    { kind: 'User', name: 'jane' },
    { kind: 'User', name: 'joe' },
    { kind: 'Group', name: 'dev' },
    { kind: 'ServiceAccount', name: 'robot', namespace: 'ns' },
  ];
  t.strictSame(cells(binding({ metadata, subjects })), [
    'b',
    'ClusterRole/view',
    '60m',
    'jane, joe',
    'dev',
    'ns/robot',
  ]);
});
