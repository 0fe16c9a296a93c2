/**
 * Label and field selectors as they stand in URLs and on command lines.
 *
 * Source: k8s.io/apimachinery, pkg/labels/selector.go, pkg/fields/selector.go.
 */
import { ApiError, badRequest } from './error.js';
import { isMap } from './json.js';
import type { Kind } from './kind.js';
import type { ApiObject } from './types.js';

export type Selector = (object: ApiObject) => boolean;

const KEY = '[A-Za-z0-9]([-A-Za-z0-9_.]*/?[-A-Za-z0-9_.]*[A-Za-z0-9])?';
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);
const EQUALS = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*([-A-Za-z0-9_.]*)$`);
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);

/**
 * Parse a label selector: `app=web,tier!=db,env in (a, b),!old`.
 *
 * @throws ApiError 400 when it is none
 */
export function parseLabelSelector(text: string): Selector {
  const tests = splitOutsideParentheses(text).map(labelTest);
  return (object) => {
    const labels = object.metadata.labels ?? {};
    return tests.every((test) => test(labels));
  };
}

type LabelTest = (labels: Readonly<Record<string, string>>) => boolean;

function labelTest(term: string): LabelTest {
  const exists = EXISTS.exec(term);
  if (exists) {
    const [, not, key] = exists;
    return (labels) => Object.hasOwn(labels, key!) === !not;
  }
  const equals = EQUALS.exec(term);
  const set = SET.exec(term);
  const [, key] = equals ?? set ?? [];
  if (key === undefined) {
    throw badRequest(
      `unable to parse requirement: "${term}" is no label selector (e.g. app=web, app in (a,b), !app)`,
    );
  }
  const operator = equals ? equals[3]! : set![3]!;
  const values = equals ? [equals[4]!] : set![4]!.split(',').map((value) => value.trim());
  const negated = operator === '!=' || operator === 'notin';
  // A label that is missing differs from every value.
  return (labels) => (Object.hasOwn(labels, key) && values.includes(labels[key]!)) !== negated;
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

/**
 * Parse a field selector: `spec.nodeName=node1,status.phase!=Failed`. An empty value means that the field is absent.
 *
 * @throws ApiError 400 when it is none, or names a field that objects of this kind cannot be selected by
 */
export function parseFieldSelector(text: string, kind: Kind): Selector {
  const fields = ['metadata.name', 'metadata.namespace', ...kind.selectable];
  const tests = text
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
      if (!match) throw badRequest(`invalid field selector: "${term}" (e.g. spec.nodeName=node1)`);
      const [, field, operator, value] = match;
      if (!fields.includes(field!)) {
        throw new ApiError(
          400,
          'BadRequest',
          `field label not supported: ${field} (supported: ${fields.join(', ')})`,
        );
      }
      const path = field!.split('.');
      return (object: ApiObject) => (fieldText(object, path) === value) === (operator !== '!=');
    });
  return (object) => tests.every((test) => test(object));
}

function fieldText(object: unknown, path: readonly string[]): string {
  let value = object;
  for (const key of path) value = isMap(value) ? value[key] : undefined;
  return value === undefined || value === null ? '' : String(value);
}
