/**
 * Label selectors as they stand in objects: which labels match, how they are written, what they may not be. The text
 * form of URLs is in selector.ts.
 *
 * Source: k8s.io/apimachinery, pkg/apis/meta/v1/helpers.go and validation/validation.go.
 */
import { equal } from './json.js';
import { at, forbidden, invalid, required, type Problem } from './problem.js';
import { checkLabels, checkQualifiedName } from './rules.js';
import { listOf, named, object, STRING, STRINGS, STRING_MAP } from './schema.js';
import type { LabelSelector, LabelSelectorRequirement } from './types.js';

export const LABEL_SELECTOR = named('io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector', {
  matchExpressions: listOf(object({ key: STRING, operator: STRING, values: STRINGS }, ['key', 'operator'])),
  matchLabels: STRING_MAP,
});

type Labels = Readonly<Record<string, string>>;

/** Whether labels match a selector. An absent selector matches nothing, an empty one everything. */
export function matchesLabels(selector: LabelSelector | undefined, labels: Labels = {}): boolean {
  if (!selector) return false;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {}))
    if (labels[key] !== value) return false;
  return (selector.matchExpressions ?? []).every((requirement) => matchesRequirement(requirement, labels));
}

function matchesRequirement(
  { key, operator, values = [] }: LabelSelectorRequirement,
  labels: Labels,
): boolean {
  const has = Object.hasOwn(labels, key);
  switch (operator) {
    case 'In':
      return has && values.includes(labels[key]!);
    case 'NotIn':
      return !has || !values.includes(labels[key]!);
    case 'Exists':
      return has;
    case 'DoesNotExist':
      return !has;
    default:
      return false;
  }
}

export const isEmptySelector = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0;

/** `app=web,tier in (a,b),!old`, as a URL may carry it; '' for an empty selector. */
export function selectorText(selector: LabelSelector | undefined): string {
  const terms = [
    ...Object.entries(selector?.matchLabels ?? {}).map(([key, value]): [string, string] => [
      key,
      `${key}=${value}`,
    ]),
    ...(selector?.matchExpressions ?? []).map((requirement): [string, string] => [
      requirement.key,
      requirementText(requirement),
    ]),
  ];
  return terms
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, text]) => text)
    .join(',');
}

/** The same for people: `<none>` for an empty selector. */
export const formatLabelSelector = (selector: LabelSelector | undefined): string =>
  selectorText(selector) || '<none>';

function requirementText({ key, operator, values = [] }: LabelSelectorRequirement): string {
  switch (operator) {
    case 'In':
      return `${key} in (${[...values].sort().join(',')})`;
    case 'NotIn':
      return `${key} notin (${[...values].sort().join(',')})`;
    case 'DoesNotExist':
      return `!${key}`;
    default:
      return key;
  }
}

export function checkLabelSelector(selector: LabelSelector | undefined, field: string): Problem[] {
  if (!selector) return [];
  return [
    ...checkLabels(selector.matchLabels ?? {}, `${field}.matchLabels`),
    ...(selector.matchExpressions ?? []).flatMap(({ key, operator, values = [] }, i) => {
      const path = at(`${field}.matchExpressions`, i);
      return [...checkOperator(operator, values, path), ...checkQualifiedName(key, `${path}.key`)];
    }),
  ];
}

function checkOperator(operator: string, values: readonly string[], path: string): Problem[] {
  switch (operator) {
    case 'In':
    case 'NotIn':
      return values.length > 0
        ? []
        : [required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'")];
    case 'Exists':
    case 'DoesNotExist':
      return values.length === 0
        ? []
        : [forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")];
    default:
      return [invalid(`${path}.operator`, operator, 'not a valid selector operator')];
  }
}

/** A selector of a workload: it may not be empty, must match what it makes, and stays as it is. */
export function checkWorkloadSelector(
  selector: LabelSelector,
  templateLabels: Labels | undefined,
  kind: string,
): Problem[] {
  const problems = checkLabelSelector(selector, 'spec.selector');
  if (isEmptySelector(selector))
    problems.push(invalid('spec.selector', selector, `empty selector is invalid for ${kind}`));
  else if (problems.length === 0 && !matchesLabels(selector, templateLabels))
    problems.push(
      invalid(
        'spec.template.metadata.labels',
        templateLabels ?? {},
        '`selector` does not match template `labels`',
      ),
    );
  return problems;
}

export const checkSelectorUpdate = (next: LabelSelector, old: LabelSelector): Problem[] =>
  equal(next, old) ? [] : [invalid('spec.selector', next, 'field is immutable')];
