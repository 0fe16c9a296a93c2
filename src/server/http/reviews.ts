/**
 * Questions to the server that are asked by creating an object nobody stores: who am I, and what may I, or somebody else, do.
 *
 * Source: k8s.io/api, authorization/v1, authentication/v1; k8s.io/kubernetes, pkg/apis/authorization/validation.
 */
import { badRequest, invalidObject } from '../../api/error.js';
import { isMap } from '../../api/json.js';
import { forbidden, invalid, required, type Problem } from '../../api/problem.js';
import type { PolicyRule } from '../../api/types.js';
import type { User } from '../../api/user.js';
import { nodeOf } from '../../authorization/node-authorizer.js';
import type { AccessRequest, Requester } from '../../authorization/request.js';
import type { AccountTokens } from '../access/account-tokens.js';
import type { Authorizer } from '../access/authorizer.js';

/** Who asks, how others are known, and what they may do. */
export interface Asked {
  readonly user: User;
  readonly tokens: AccountTokens;
  readonly authorizer: Authorizer;
  /** Of the path; '' for kinds without one. */
  readonly namespace: string;
}

type Spec = Record<string, unknown>;

export interface Review {
  readonly group: string;
  readonly versions: readonly string[];
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced?: boolean;
  /** What is wrong with the question. */
  check?(spec: Spec, namespace: string): Problem[];
  /** The status that answers the question. */
  answer(spec: Spec, asked: Asked): object | Promise<object>;
}

const AUTHORIZATION = 'authorization.k8s.io';

export const REVIEWS: readonly Review[] = [
  {
    group: AUTHORIZATION,
    versions: ['v1'],
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
    singular: 'selfsubjectaccessreview',
    check: checkAttributes,
    answer: (spec, { user, authorizer }) => decisionOn(authorizer, user, spec),
  },
  {
    group: AUTHORIZATION,
    versions: ['v1'],
    kind: 'SelfSubjectRulesReview',
    plural: 'selfsubjectrulesreviews',
    singular: 'selfsubjectrulesreview',
    check: ({ namespace }) => (namespace ? [] : [required('spec.namespace', 'no namespace on request')]),
    answer: ({ namespace }, { user, authorizer }) =>
      rulesStatus(user, authorizer.rulesOf(user, String(namespace))),
  },
  {
    group: AUTHORIZATION,
    versions: ['v1'],
    kind: 'SubjectAccessReview',
    plural: 'subjectaccessreviews',
    singular: 'subjectaccessreview',
    check: (spec) => [...checkAttributes(spec), ...checkSubject(spec)],
    answer: (spec, { authorizer }) => decisionOn(authorizer, subjectOf(spec), spec),
  },
  {
    group: AUTHORIZATION,
    versions: ['v1'],
    kind: 'LocalSubjectAccessReview',
    plural: 'localsubjectaccessreviews',
    singular: 'localsubjectaccessreview',
    namespaced: true,
    check: (spec, namespace) => [
      ...checkAttributes(spec),
      ...checkSubject(spec),
      ...checkLocal(spec, namespace),
    ],
    answer: (spec, { authorizer }) => decisionOn(authorizer, subjectOf(spec), spec),
  },
  {
    group: 'authentication.k8s.io',
    versions: ['v1', 'v1beta1', 'v1alpha1'],
    kind: 'SelfSubjectReview',
    plural: 'selfsubjectreviews',
    singular: 'selfsubjectreview',
    answer: (_, { user: { username, uid, groups } }) => ({ userInfo: { username, uid, groups } }),
  },
  {
    group: 'authentication.k8s.io',
    versions: ['v1'],
    kind: 'TokenReview',
    plural: 'tokenreviews',
    singular: 'tokenreview',
    async answer({ token }, { tokens }) {
      const user = typeof token === 'string' ? await tokens.userOf(token) : undefined;
      return user ? { authenticated: true, user } : { authenticated: false, error: 'invalid bearer token' };
    },
  },
];

/** A review that a path asks for. */
export interface AskedReview {
  readonly review: Review;
  readonly apiVersion: string;
  /** '' for kinds without namespaces. */
  readonly namespace: string;
}

/** The review that a path asks for, with its group and version. */
export function parseReview(pathname: string): AskedReview | undefined {
  const match = /^\/apis\/([^/]+)\/([^/]+)(?:\/namespaces\/([a-z0-9-]+))?\/([^/]+)$/.exec(pathname);
  if (!match) return undefined;
  const [, group, version, namespace = '', plural] = match;
  const review = REVIEWS.find(
    (row) =>
      row.group === group &&
      row.plural === plural &&
      row.versions.includes(version!) &&
      (row.namespaced ?? false) === (namespace !== ''),
  );
  return review && { review, apiVersion: `${group}/${version}`, namespace };
}

/** The object that was posted, with its answer. @throws ApiError 400, 422 */
export async function answerReview(
  { review, apiVersion, namespace }: AskedReview,
  body: unknown,
  asked: Omit<Asked, 'namespace'>,
): Promise<object> {
  if (!isMap(body)) throw badRequest(`the body must be an object of kind ${review.kind}`);
  const spec = isMap(body['spec']) ? body['spec'] : {};
  const problems = review.check?.(spec, namespace) ?? [];
  if (problems.length > 0) throw invalidObject(review, '', problems);
  return {
    kind: review.kind,
    apiVersion,
    metadata: { creationTimestamp: null, ...(namespace && { namespace }) },
    ...(body['spec'] !== undefined && { spec }),
    status: await review.answer(spec, { ...asked, namespace }),
  };
}

function decisionOn(authorizer: Authorizer, user: Requester, spec: Spec): object {
  const { isAllowed, reason } = authorizer.decide(user, requestOf(spec));
  return { allowed: isAllowed, ...(reason && { reason }) };
}

function requestOf({ resourceAttributes, nonResourceAttributes }: Spec): AccessRequest {
  const attributes = (resourceAttributes ?? nonResourceAttributes) as Spec;
  const text = (name: string): string => String(attributes[name] ?? '');
  if (nonResourceAttributes) return { verb: text('verb'), path: text('path') };
  return {
    verb: text('verb'),
    group: text('group'),
    resource: text('resource'),
    subresource: text('subresource'),
    namespace: text('namespace'),
    name: text('name'),
  };
}

const subjectOf = ({ user, groups }: Spec): Requester => ({
  username: String(user ?? ''),
  groups: Array.isArray(groups) ? groups.map(String) : [],
});

function checkAttributes({ resourceAttributes: resource, nonResourceAttributes: path }: Spec): Problem[] {
  if (isMap(resource) && isMap(path)) {
    const why = 'cannot be specified in combination with resourceAttributes';
    return [invalid('spec.nonResourceAttributes', path, why)];
  }
  if (isMap(resource) || isMap(path)) return [];
  const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
  return [invalid('spec.resourceAttributes', resource ?? null, why)];
}

const checkSubject = ({ user, groups }: Spec): Problem[] =>
  user || (Array.isArray(groups) && groups.length > 0)
    ? []
    : [invalid('spec.user', user ?? '', 'at least one of user or group must be specified')];

function checkLocal({ resourceAttributes, nonResourceAttributes }: Spec, namespace: string): Problem[] {
  if (isMap(nonResourceAttributes))
    return [forbidden('spec.nonResourceAttributes', 'disallowed on this kind of request')];
  const asked = isMap(resourceAttributes) ? resourceAttributes['namespace'] : undefined;
  const why = 'must match metadata.namespace';
  return asked === namespace ? [] : [invalid('spec.resourceAttributes.namespace', asked ?? '', why)];
}

function rulesStatus(user: User, rules: readonly PolicyRule[]): object {
  const isNode = nodeOf(user) !== undefined;
  return {
    resourceRules: rules
      .filter(({ nonResourceURLs = [] }) => nonResourceURLs.length === 0)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames && { resourceNames }),
      })),
    nonResourceRules: rules
      .filter(({ nonResourceURLs = [] }) => nonResourceURLs.length > 0)
      .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
    incomplete: isNode,
    ...(isNode && { evaluationError: 'node authorizer does not support user rule resolution' }),
  };
}
