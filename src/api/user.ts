/**
 * Who asks. authentication.k8s.io/v1 UserInfo, as far as it is known of anybody here.
 */
export interface User {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

/** The group of everybody whom a server has recognised. */
export const AUTHENTICATED = 'system:authenticated';
/** The group of everybody else. */
export const UNAUTHENTICATED = 'system:unauthenticated';

/** Who is in it may do everything, whatever the roles say. */
export const MASTERS = 'system:masters';

/** Before `NAMESPACE:NAME`: the user that a service account is. */
export const ACCOUNT_USER = 'system:serviceaccount:';

/** The groups of all service accounts of a namespace. */
export const accountGroups = (namespace: string): string[] => [
  'system:serviceaccounts',
  `system:serviceaccounts:${namespace}`,
];

/** Before the name of a node: the user that is its agent. */
export const NODE_USER = 'system:node:';
/** The group of all agents. */
export const NODES_GROUP = 'system:nodes';
