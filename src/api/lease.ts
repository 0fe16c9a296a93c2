/**
 * Lease: the row. An agent renews the one of its node's name in `kube-node-lease`, which tells that it lives.
 *
 * Source: k8s.io/kubernetes, pkg/apis/coordination/validation.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { invalid } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { INT32, object, objectSchema, STRING, TIME } from './schema.js';
import type { Lease } from './types.js';

/** Where agents renew theirs. */
export const LEASE_NAMESPACE = 'kube-node-lease';

export const LEASE: Kind<Lease> = {
  group: 'coordination.k8s.io',
  versions: ['v1'],
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  shortNames: [],
  namespaced: true,
  subresources: [],
  schema: objectSchema({
    spec: object({
      acquireTime: TIME,
      holderIdentity: STRING,
      leaseDurationSeconds: INT32,
      leaseTransitions: INT32,
      preferredHolder: STRING,
      renewTime: TIME,
      strategy: STRING,
    }),
  }),
  columns: [NAME_COLUMN, column('Holder', ({ spec }) => spec?.holderIdentity ?? ''), AGE_COLUMN],
  selectable: [],
  hasEffect: true,
  defaults() {},
  validate({ metadata, spec = {} }) {
    const problems = metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : [];
    const { leaseDurationSeconds: duration, leaseTransitions: transitions } = spec;
    if (duration !== undefined && duration <= 0)
      problems.push(invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
    if (transitions !== undefined && transitions < 0)
      problems.push(invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
    return problems;
  },
};
