/**
 * RoleBinding and ClusterRoleBinding: the rows. Who a subject is, is for rbac/; here is what it may look like.
 *
 * Source: k8s.io/kubernetes, pkg/apis/rbac/validation/validation.go, pkg/apis/rbac/v1/defaults.go.
 */
import { equal } from './json.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Column, type Kind } from './kind.js';
import { at, invalid, notSupported, required, type Problem } from './problem.js';
import { checkPathSegment, CLUSTER_ROLE, RBAC_GROUP, ROLE } from './role.js';
import { checkDnsSubdomain } from './rules.js';
import { listOf, object, objectSchema, STRING } from './schema.js';
import type { ClusterRoleBinding, RoleBinding, RoleRef, Subject } from './types.js';

type Binding = RoleBinding | ClusterRoleBinding;

const SCHEMA = objectSchema({
  roleRef: object({ apiGroup: STRING, kind: STRING, name: STRING }),
  subjects: listOf(object({ apiGroup: STRING, kind: STRING, name: STRING, namespace: STRING })),
});

const subjectsColumn = (name: string, kind: string, text: (subject: Subject) => string): Column =>
  column<Binding>(
    name,
    ({ subjects = [] }) =>
      subjects
        .filter((subject) => subject.kind === kind)
        .map(text)
        .join(', '),
    { priority: 1 },
  ) as Column;

const COLUMNS: readonly Column[] = [
  NAME_COLUMN,
  column<Binding>('Role', ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`) as Column,
  AGE_COLUMN,
  subjectsColumn('Users', 'User', ({ name }) => name),
  subjectsColumn('Groups', 'Group', ({ name }) => name),
  subjectsColumn('ServiceAccounts', 'ServiceAccount', ({ name, namespace = '' }) => `${namespace}/${name}`),
];

const SHARED = {
  group: RBAC_GROUP,
  versions: ['v1'],
  shortNames: [],
  subresources: [],
  schema: SCHEMA,
  columns: COLUMNS,
  selectable: [],
  hasEffect: true,
  defaults(binding: Binding): void {
    if (binding.roleRef) binding.roleRef.apiGroup ||= RBAC_GROUP;
    for (const subject of binding.subjects ?? [])
      if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= RBAC_GROUP;
  },
  validateUpdate: (next: Binding, old: Binding): Problem[] =>
    equal(next.roleRef, old.roleRef) ? [] : [invalid('roleRef', next.roleRef, 'cannot change roleRef')],
};

export const ROLE_BINDING: Kind<RoleBinding> = {
  ...SHARED,
  kind: 'RoleBinding',
  plural: 'rolebindings',
  singular: 'rolebinding',
  namespaced: true,
  validate: (binding) => checkBinding(binding, [ROLE.kind, CLUSTER_ROLE.kind], true),
};

export const CLUSTER_ROLE_BINDING: Kind<ClusterRoleBinding> = {
  ...SHARED,
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  singular: 'clusterrolebinding',
  namespaced: false,
  validate: (binding) => checkBinding(binding, [CLUSTER_ROLE.kind], false),
};

function checkBinding(
  { metadata, roleRef = { kind: '', name: '' }, subjects = [] }: Binding,
  roleKinds: readonly string[],
  isNamespaced: boolean,
): Problem[] {
  return [
    ...checkPathSegment(metadata.name, 'metadata.name'),
    ...checkRoleRef(roleRef, roleKinds),
    ...subjects.flatMap((subject, i) => checkSubject(subject, isNamespaced, at('subjects', i))),
  ];
}

function checkRoleRef({ apiGroup, kind, name }: RoleRef, kinds: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  if (apiGroup !== undefined && apiGroup !== RBAC_GROUP)
    problems.push(notSupported('roleRef.apiGroup', apiGroup, [RBAC_GROUP]));
  if (!kinds.includes(kind)) problems.push(notSupported('roleRef.kind', kind ?? '', kinds));
  problems.push(...(name ? checkPathSegment(name, 'roleRef.name') : [required('roleRef.name')]));
  return problems;
}

function checkSubject(
  { kind = '', apiGroup = '', name, namespace }: Subject,
  isNamespaced: boolean,
  field: string,
): Problem[] {
  const problems: Problem[] = name ? [] : [required(`${field}.name`)];
  if (kind === 'ServiceAccount') {
    if (name) problems.push(...checkDnsSubdomain(name, `${field}.name`));
    if (apiGroup !== '') problems.push(notSupported(`${field}.apiGroup`, apiGroup, ['']));
    if (!isNamespaced && !namespace) problems.push(required(`${field}.namespace`));
  } else if (kind === 'User' || kind === 'Group') {
    if (apiGroup !== RBAC_GROUP) problems.push(notSupported(`${field}.apiGroup`, apiGroup, [RBAC_GROUP]));
  } else problems.push(notSupported(`${field}.kind`, kind, ['ServiceAccount', 'User', 'Group']));
  return problems;
}
