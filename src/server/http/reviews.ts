/**
 * Questions to the server that are asked by creating an object nobody stores: who am I, and what may I do. There are no
 * roles: whoever has come in may do everything.
 *
 * Source: k8s.io/api, authorization/v1, authentication/v1.
 */
import { badRequest } from '../../api/error.js';
import { isMap } from '../../api/json.js';
import type { AccountTokens } from '../access/account-tokens.js';
import type { User } from '../access/gate.js';

/** Who asks, and how others are known. */
export interface Asked {
  readonly user: User;
  readonly tokens: AccountTokens;
}

export interface Review {
  readonly group: string;
  readonly versions: readonly string[];
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  /** The status that answers the question. */
  answer(spec: Record<string, unknown>, asked: Asked): object | Promise<object>;
}

const ALL = ['*'];
const REASON = 'whoever has come in may do everything';

export const REVIEWS: readonly Review[] = [
  {
    group: 'authorization.k8s.io',
    versions: ['v1'],
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
    singular: 'selfsubjectaccessreview',
    answer: () => ({ allowed: true, reason: REASON }),
  },
  {
    group: 'authorization.k8s.io',
    versions: ['v1'],
    kind: 'SelfSubjectRulesReview',
    plural: 'selfsubjectrulesreviews',
    singular: 'selfsubjectrulesreview',
    answer: () => ({
      resourceRules: [{ verbs: ALL, apiGroups: ALL, resources: ALL }],
      nonResourceRules: [{ verbs: ALL, nonResourceURLs: ALL }],
      incomplete: false,
    }),
  },
  {
    group: 'authorization.k8s.io',
    versions: ['v1'],
    kind: 'SubjectAccessReview',
    plural: 'subjectaccessreviews',
    singular: 'subjectaccessreview',
    answer: () => ({ allowed: true, reason: REASON }),
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

/** The review that a path asks for, with its group and version. */
export function parseReview(pathname: string): { review: Review; apiVersion: string } | undefined {
  const [, apis, group, version, plural, ...more] = pathname.split('/');
  if (apis !== 'apis' || version === undefined || more.length > 0) return undefined;
  const review = REVIEWS.find(
    (row) => row.group === group && row.plural === plural && row.versions.includes(version),
  );
  return review && { review, apiVersion: `${group}/${version}` };
}

/** The object that was posted, with its answer. @throws ApiError 400 */
export async function answerReview(
  { review, apiVersion }: { review: Review; apiVersion: string },
  body: unknown,
  asked: Asked,
): Promise<object> {
  if (!isMap(body)) throw badRequest(`the body must be an object of kind ${review.kind}`);
  const spec = isMap(body['spec']) ? body['spec'] : {};
  return {
    kind: review.kind,
    apiVersion,
    metadata: { creationTimestamp: null },
    ...(body['spec'] !== undefined && { spec }),
    status: await review.answer(spec, asked),
  };
}
