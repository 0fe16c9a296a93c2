/**
 * One rule of a role: what it allows, and what of it others allow too.
 *
 * Source: k8s.io/kubernetes, pkg/apis/rbac/v1/evaluation_helpers.go; k8s.io/component-helpers,
 * auth/rbac/validation/policy_comparator.go and policy_compact.go.
 */
import type { PolicyRule } from '../api/types.js';
import { isPathRequest, resourceText, type AccessRequest, type ResourceRequest } from './request.js';

const ALL = '*';
const NONE: string[] = [];

/**
 * More than a person writes into one rule. One that says more is not taken apart: it is held by nobody who does not hold
 * it whole, which errs on the side of refusing.
 */
const MOST_PARTS = 100_000;

/** Whether a rule allows a request. */
export function ruleAllows(rule: PolicyRule, request: AccessRequest): boolean {
  if (!rule.verbs.includes(ALL) && !rule.verbs.includes(request.verb)) return false;
  if (isPathRequest(request))
    return (rule.nonResourceURLs ?? NONE).some((pattern) => pathMatches(pattern, request.path));
  const { apiGroups = NONE, resourceNames = NONE } = rule;
  return (
    (apiGroups.includes(ALL) || apiGroups.includes(request.group)) &&
    resourceMatches(rule.resources ?? NONE, request) &&
    (resourceNames.length === 0 || resourceNames.includes(request.name))
  );
}

function resourceMatches(resources: readonly string[], request: ResourceRequest): boolean {
  const whole = resourceText(request);
  return resources.some(
    (one) =>
      one === ALL || one === whole || (request.subresource !== '' && one === `${ALL}/${request.subresource}`),
  );
}

/** A star at the end stands for anything. */
const pathMatches = (pattern: string, path: string): boolean =>
  pattern === path || (pattern.endsWith(ALL) && path.startsWith(pattern.replace(/\*+$/, '')));

/**
 * What of `wanted` is not in `held`: the rights that somebody would give away without having them.
 *
 * @returns rules of one resource and one group each, verbs together; empty when all is held
 */
export function missingRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  const missing = wanted.flatMap((rule) => {
    if (held.some((one) => covers(one, rule))) return [];
    if (partsOf(rule) > MOST_PARTS) return [rule];
    return takeApart(rule).filter((part) => !held.some((one) => covers(one, part)));
  });
  return putTogether(missing);
}

function partsOf({
  verbs,
  apiGroups = NONE,
  resources = NONE,
  resourceNames = NONE,
  nonResourceURLs = NONE,
}: PolicyRule): number {
  const names = Math.max(1, resourceNames.length);
  return verbs.length * (apiGroups.length * resources.length * names + nonResourceURLs.length);
}

/** One verb, one group, one resource and one name each; or one verb and one path. */
function takeApart(rule: PolicyRule): PolicyRule[] {
  const { verbs, apiGroups = NONE, resources = NONE, resourceNames = NONE, nonResourceURLs = NONE } = rule;
  const names: (string | undefined)[] = resourceNames.length > 0 ? [...resourceNames] : [undefined];
  const parts: PolicyRule[] = [];
  for (const group of apiGroups)
    for (const resource of resources)
      for (const verb of verbs)
        for (const name of names)
          parts.push({
            verbs: [verb],
            apiGroups: [group],
            resources: [resource],
            ...(name !== undefined && { resourceNames: [name] }),
          });
  for (const url of nonResourceURLs)
    for (const verb of verbs) parts.push({ verbs: [verb], nonResourceURLs: [url] });
  return parts;
}

/** Parts that differ in their verb alone, as one rule. */
function putTogether(parts: readonly PolicyRule[]): PolicyRule[] {
  const rules = new Map<string, PolicyRule>();
  for (const { verbs, ...about } of parts) {
    const key = JSON.stringify(about);
    const known = rules.get(key);
    if (known) known.verbs = [...new Set([...known.verbs, ...verbs])];
    else rules.set(key, { ...about, verbs });
  }
  return [...rules.values()];
}

function covers(held: PolicyRule, wanted: PolicyRule): boolean {
  const names = wanted.resourceNames ?? NONE;
  const heldNames = held.resourceNames ?? NONE;
  return (
    hasAll(held.verbs, wanted.verbs) &&
    hasAll(held.apiGroups ?? NONE, wanted.apiGroups ?? NONE) &&
    (wanted.resources ?? NONE).every((resource) => coversResource(held.resources ?? NONE, resource)) &&
    (heldNames.length === 0 || (names.length > 0 && names.every((name) => heldNames.includes(name)))) &&
    (wanted.nonResourceURLs ?? NONE).every((path) =>
      (held.nonResourceURLs ?? NONE).some((pattern) => pathMatches(pattern, path)),
    )
  );
}

const hasAll = (held: readonly string[], wanted: readonly string[]): boolean =>
  held.includes(ALL) || wanted.every((one) => held.includes(one));

function coversResource(held: readonly string[], resource: string): boolean {
  const slash = resource.indexOf('/');
  return (
    held.includes(ALL) ||
    held.includes(resource) ||
    (slash >= 0 && held.includes(`${ALL}${resource.slice(slash)}`))
  );
}

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}` */
export function ruleText(rule: PolicyRule): string {
  const fields: [string, readonly string[] | undefined][] = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ];
  const texts = fields.flatMap(([name, list = NONE]) =>
    list.length > 0 ? [`${name}:${listText(list)}`] : [],
  );
  return `{${texts.join(', ')}}`;
}

/** `["a" "b"]` */
export const listText = (list: readonly string[]): string =>
  `[${list.map((one) => JSON.stringify(one)).join(' ')}]`;
