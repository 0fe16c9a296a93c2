/**
 * What the agent of a node needs, wherever it runs: the role `system:node`, which nobody is bound to, and half of what the
 * node authorizer allows. The other half is what depends on the node: see node-authorizer.ts.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, NodeRules; less what our agent does not do,
 * more what it compiles packets' tables from.
 */
import type { PolicyRule } from '../api/types.js';

const READ = ['get', 'list', 'watch'];

/** For all objects: what is no secret, and no other node's to know. */
export const NODE_READ_RULES: readonly PolicyRule[] = [
  {
    verbs: READ,
    apiGroups: [''],
    resources: ['endpoints', 'namespaces', 'nodes', 'pods', 'serviceaccounts', 'services'],
  },
  { verbs: READ, apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'] },
  {
    verbs: READ,
    apiGroups: ['networking.k8s.io'],
    resources: ['ingressclasses', 'ingresses', 'networkpolicies'],
  },
  { verbs: READ, apiGroups: ['gateway.networking.k8s.io'], resources: ['*'] },
  { verbs: READ, apiGroups: ['podwire.dev'], resources: ['*'] },
  { verbs: ['create', 'get', 'patch', 'update'], apiGroups: [''], resources: ['events'] },
  {
    verbs: ['create', ...READ],
    apiGroups: ['certificates.k8s.io'],
    resources: ['certificatesigningrequests'],
  },
];

/** For objects of the node's own. */
export const NODE_OWN_RULES: readonly PolicyRule[] = [
  { verbs: ['create', 'patch', 'update'], apiGroups: [''], resources: ['nodes', 'nodes/status'] },
  { verbs: ['delete'], apiGroups: [''], resources: ['pods'] },
  { verbs: ['patch', 'update'], apiGroups: [''], resources: ['pods/status'] },
  { verbs: READ, apiGroups: [''], resources: ['configmaps', 'secrets'] },
  { verbs: ['create'], apiGroups: [''], resources: ['serviceaccounts/token'] },
  {
    verbs: ['create', 'delete', 'get', 'patch', 'update'],
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
  },
];

export const NODE_RULES: readonly PolicyRule[] = [...NODE_READ_RULES, ...NODE_OWN_RULES];
