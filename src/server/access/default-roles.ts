/**
 * The roles that are there before anybody asks: made, or made whole again, each time the server starts.
 */
import { CLUSTER_ROLE, CLUSTER_ROLE_BINDING, type Kind } from '../../api/kinds.js';
import type { ApiObject, ClusterRole, ClusterRoleBinding } from '../../api/types.js';
import { aggregate } from '../../authorization/aggregate.js';
import { repairDefaults } from '../../authorization/default-roles.js';
import type { Registry } from '../registry/registry.js';

/** Aggregates of aggregates get their rules one after the other; control does what is left. */
const MOST_TURNS = 5;

export async function repairRoles(registry: Registry): Promise<void> {
  const list = async <T extends ApiObject>(kind: Kind<T>): Promise<T[]> =>
    (await registry.objects.list({ kind: kind as Kind, namespace: undefined })).items as T[];
  const [roles, bindings] = await Promise.all([
    list<ClusterRole>(CLUSTER_ROLE),
    list<ClusterRoleBinding>(CLUSTER_ROLE_BINDING),
  ]);
  // Together, so that they are one flush to disk.
  await Promise.all(repairDefaults(roles, bindings).map((change) => registry.apply(change)));
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const changed = aggregate(await list<ClusterRole>(CLUSTER_ROLE));
    if (changed.length === 0) return;
    await Promise.all(changed.map((object) => registry.apply({ type: 'update', object })));
  }
}
