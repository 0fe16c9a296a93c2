/**
 * ClusterRoles that are made of others: their rules are those of all ClusterRoles that their selectors match, in the order of
 * names, each rule once.
 *
 * Source: k8s.io/kubernetes, pkg/controller/clusterroleaggregation.
 */
import { canonical, equal } from '../api/json.js';
import { matchesLabels } from '../api/label-selector.js';
import type { ClusterRole, PolicyRule } from '../api/types.js';

/** The aggregates whose rules are not what they should be, with those that they should have. */
export function aggregate(roles: readonly ClusterRole[]): ClusterRole[] {
  const sorted = roles.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return sorted.flatMap((role) => {
    const selectors = role.aggregationRule?.clusterRoleSelectors;
    if (!selectors || role.metadata.deletionTimestamp) return [];
    const rules = new Map<string, PolicyRule>();
    for (const part of sorted)
      if (
        part.metadata.name !== role.metadata.name &&
        selectors.some((selector) => matchesLabels(selector, part.metadata.labels))
      )
        for (const rule of part.rules ?? []) rules.set(canonical(rule), rule);
    const next = [...rules.values()];
    return equal(next, role.rules ?? []) ? [] : [{ ...role, rules: next }];
  });
}
