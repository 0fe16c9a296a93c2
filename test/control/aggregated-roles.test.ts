import t from 'tap';
import type { ClusterRole } from '../../src/api/types.js';
import { reconcileAggregates } from '../../src/control/aggregated-roles.js';
import { role, rule } from '../lib/roles.js';

const part: ClusterRole = {
  ...(role('part', ['get pods']) as ClusterRole),
  metadata: { name: 'part', labels: { a: 'b' } },
};
const sum: ClusterRole = {
  ...(role('sum', []) as ClusterRole),
  aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] },
};
const view = (clusterRoles: readonly ClusterRole[]) => ({ clusterRoles }) as never;

t.test('an aggregate is brought up to date, and then left alone', async (t) => {
  t.match(reconcileAggregates(view([part, sum])), [
    { type: 'update', object: { metadata: { name: 'sum' }, rules: [rule('get pods')] } },
  ]);
  const roles = [part, { ...sum, rules: [rule('get pods')] }];
  t.strictSame(reconcileAggregates(view(roles)), []);
  t.strictSame(reconcileAggregates(view(roles)), [], 'the same list again');
  t.equal(reconcileAggregates(view([part, sum])).length, 1, 'another one');
  t.strictSame(reconcileAggregates(view([])), []);
});
