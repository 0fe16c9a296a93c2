/**
 * The Lease by which an agent says that it lives: `kube-node-lease/NODE`, renewed with every heartbeat. The server gives
 * the node up when it has not been for {@link LEASE_SECONDS}.
 */
import { ApiError } from '../../api/error.js';
import { LEASE } from '../../api/kinds.js';
import { LEASE_NAMESPACE } from '../../api/lease.js';
import type { Lease } from '../../api/types.js';
import type { Client } from '../../client/client.js';

/** As long as kubelets have. */
const LEASE_SECONDS = 40;

/** @param now  the current time, RFC 3339 */
export async function renewLease(client: Client, node: string, now: string): Promise<void> {
  const spec: Lease['spec'] = {
    holderIdentity: node,
    leaseDurationSeconds: LEASE_SECONDS,
    renewTime: now,
  };
  const current = await client.get<Lease>(LEASE, node, LEASE_NAMESPACE);
  if (current) {
    await client.update<Lease>({ ...current, spec: { ...current.spec, ...spec } });
    return;
  }
  try {
    await client.create<Lease>({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: node, namespace: LEASE_NAMESPACE },
      spec,
    });
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
  }
}
