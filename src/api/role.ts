/**
 * Role and ClusterRole: the rows. What their rules mean is for rbac/; here is what they may look like.
 *
 * Source: k8s.io/kubernetes, pkg/apis/rbac/validation/validation.go.
 */
import { column, NAME_COLUMN, type Column, type Kind } from './kind.js';
import { checkLabelSelector, LABEL_SELECTOR } from './label-selector.js';
import { at, invalid, required, type Problem } from './problem.js';
import { listOf, object, objectSchema, STRINGS } from './schema.js';
import type { ClusterRole, PolicyRule, Role } from './types.js';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';

const RULES = listOf(
  object({
    apiGroups: STRINGS,
    nonResourceURLs: STRINGS,
    resourceNames: STRINGS,
    resources: STRINGS,
    verbs: STRINGS,
  }),
);

const CREATED_COLUMN: Column = column('Created At', ({ metadata }) => metadata.creationTimestamp ?? '');

export const ROLE: Kind<Role> = {
  group: RBAC_GROUP,
  versions: ['v1'],
  kind: 'Role',
  plural: 'roles',
  singular: 'role',
  shortNames: [],
  namespaced: true,
  subresources: [],
  schema: objectSchema({ rules: RULES }),
  columns: [NAME_COLUMN, CREATED_COLUMN],
  selectable: [],
  hasEffect: true,
  defaults() {},
  validate: ({ metadata, rules = [] }) => [
    ...checkPathSegment(metadata.name, 'metadata.name'),
    ...rules.flatMap((rule, i) => checkRule(rule, true, at('rules', i))),
  ],
};

export const CLUSTER_ROLE: Kind<ClusterRole> = {
  group: RBAC_GROUP,
  versions: ['v1'],
  kind: 'ClusterRole',
  plural: 'clusterroles',
  singular: 'clusterrole',
  shortNames: [],
  namespaced: false,
  subresources: [],
  schema: objectSchema({
    aggregationRule: object({ clusterRoleSelectors: listOf(LABEL_SELECTOR) }),
    rules: RULES,
  }),
  columns: [NAME_COLUMN, CREATED_COLUMN],
  selectable: [],
  hasEffect: true,
  defaults() {},
  validate({ metadata, rules = [], aggregationRule }) {
    const problems = [
      ...checkPathSegment(metadata.name, 'metadata.name'),
      ...rules.flatMap((rule, i) => checkRule(rule, false, at('rules', i))),
    ];
    if (!aggregationRule) return problems;
    const field = 'aggregationRule.clusterRoleSelectors';
    const { clusterRoleSelectors: selectors = [] } = aggregationRule;
    if (selectors.length === 0)
      problems.push(
        required(field, 'at least one clusterRoleSelector required if aggregationRule is non-nil'),
      );
    problems.push(...selectors.flatMap((selector, i) => checkLabelSelector(selector, at(field, i))));
    return problems;
  },
};

/** A name of these kinds may be anything that a path can carry, as `system:node`. */
export function checkPathSegment(name: string | undefined, field: string): Problem[] {
  if (!name) return [];
  if (name === '.' || name === '..') return [invalid(field, name, `may not be '${name}'`)];
  return ['/', '%']
    .filter((character) => name.includes(character))
    .map((character) => invalid(field, name, `may not contain '${character}'`));
}

function checkRule(rule: PolicyRule, isNamespaced: boolean, field: string): Problem[] {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  const problems: Problem[] = [];
  if (verbs.length === 0) problems.push(required(`${field}.verbs`, 'verbs must contain at least one value'));
  if (nonResourceURLs.length > 0) {
    const refuse = (why: string) => invalid(`${field}.nonResourceURLs`, nonResourceURLs, why);
    if (isNamespaced) problems.push(refuse('namespaced rules cannot apply to non-resource URLs'));
    if (apiGroups.length + resources.length + resourceNames.length > 0)
      problems.push(refuse('rules cannot apply to both regular resources and non-resource URLs'));
    return problems;
  }
  if (apiGroups.length === 0)
    problems.push(required(`${field}.apiGroups`, 'resource rules must supply at least one api group'));
  if (resources.length === 0)
    problems.push(required(`${field}.resources`, 'resource rules must supply at least one resource'));
  return problems;
}
