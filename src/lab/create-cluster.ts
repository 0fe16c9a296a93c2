/**
 * The first objects of a lab: the Lab and a Node for each host. They are made before any agent starts, one after the other,
 * because nodes get their pod CIDRs in the order in which they appear: node1 always has the first.
 */

import type { ApiError } from '../api/error.js';
import type { ApiObject, Node } from '../api/types.js';
import { createClient } from '../client/client.js';
import type { PlannedNode } from './plan.js';
import { labPaths, type LabRecord } from './record.js';

const POLL_MS = 20;

/**
 * Wait for the server, then create what it does not have yet.
 *
 * @param signal  aborted: give up
 */
export async function createCluster(record: LabRecord, signal: AbortSignal): Promise<void> {
  const client = createClient({ socketPath: labPaths(record.name).serverSocket });
  for (const object of [record.lab, ...record.nodes.map(nodeObject)])
    for (;;)
      try {
        await client.create<ApiObject>(object);
        break;
      } catch (error) {
        const { reason } = error as ApiError;
        if (reason === 'AlreadyExists') break;
        if (reason !== 'ServiceUnavailable' || signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
  client.close();
}

/** The Node of a host of ours, as far as the lab knows it. */
const nodeObject = ({ name, address }: PlannedNode): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: {
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: name },
    ],
  },
});
