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

/** Before the name of a node: the user that is its agent. */
export const NODE_USER = 'system:node:';
/** The group of all agents. */
export const NODES_GROUP = 'system:nodes';
