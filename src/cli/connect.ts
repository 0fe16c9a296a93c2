/** Which server a verb is about: `--socket PATH`, `--kubeconfig FILE`, a lab, or the file that KUBECONFIG names. */

import { delimiter } from 'node:path';
import { CLUSTER_INFO } from '../api/cluster-info.js';
import { CONFIG_MAP } from '../api/kinds.js';
import { createClient, type Client } from '../client/client.js';
import { readCluster, readKubeconfig, type KnownCluster } from '../client/kubeconfig.js';
import type { ServerAddress } from '../client/server-address.js';
import { LAB_FLAG, pickLab, serverSocketOf } from './pick-lab.js';
import { CommandError, type Io } from './verb.js';

/** Flags of verbs that speak to any server. */
export const SERVER_FLAGS = {
  socket: { type: 'string', value: 'PATH', help: "the server's path socket" },
  kubeconfig: {
    type: 'string',
    value: 'FILE',
    help: 'how to come in over TLS (default: the file that KUBECONFIG names)',
  },
  lab: { ...LAB_FLAG, help: 'the server of a lab; default, without KUBECONFIG: the only one running' },
} as const;

export interface ServerFlags {
  readonly socket?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly lab?: string | undefined;
}

/** A client of the server that is meant. Whoever has it closes it. */
export const connect = (flags: ServerFlags, io: Io): Client => createClient(addressOf(flags, io));

function addressOf({ socket, kubeconfig, lab }: ServerFlags, io: Io): ServerAddress {
  if (socket !== undefined) return { socketPath: socket };
  if (kubeconfig !== undefined) return readKubeconfig(kubeconfig);
  const named = (io.env['KUBECONFIG'] ?? '').split(delimiter).find((path) => path !== '');
  if (lab === undefined && named !== undefined) return readKubeconfig(named);
  return { socketPath: serverSocketOf(pickLab(lab)) };
}

/** Where other hosts reach the server, and by which authority they know it. */
export async function findCluster(client: Client): Promise<KnownCluster> {
  const { name, namespace, key } = CLUSTER_INFO;
  const info = await client.get(CONFIG_MAP, name, namespace);
  const text = info?.data?.[key];
  if (text === undefined)
    throw new CommandError(
      'The server listens on no port, so no other host reaches it; start it with --listen, for example :6443',
    );
  try {
    return readCluster(text);
  } catch (error) {
    const why = (error as Error).message;
    throw new CommandError(
      `Cannot read the ConfigMap ${namespace}/${name}: ${why}; delete it and restart the server`,
    );
  }
}
