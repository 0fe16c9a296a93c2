/**
 * A container of an image that is built in: servers of the agent itself, on the pod's sockets, with the container's log and
 * the files of its root.
 */
import type { Container } from '../../api/types.js';
import type { ContainerContext } from './container-context.js';
import { findHtml, type Found } from './html.js';
import type { Listener } from './images.js';
import type { LogWriter } from './log-writer.js';
import { startServers, type Servers } from './servers.js';

/**
 * Open its sockets.
 *
 * @param log  of the run; closed with the servers, or when they cannot be started
 * @throws {Error} when a socket cannot be opened; the log says so too
 */
export async function startBuiltin(
  context: ContainerContext,
  spec: Container,
  listeners: readonly Listener[],
  log: LogWriter,
): Promise<Servers> {
  const write = (line: string) => log.write('stdout', Buffer.from(`${line}\n`));
  const find = (path: string): Found => {
    const holderPid = context.holderPid();
    return holderPid === undefined
      ? 'nothing'
      : findHtml(`/proc/${holderPid}/root`, spec, context.volumes, path);
  };
  try {
    const servers = await startServers({ ...context, image: spec.image ?? '', find }, listeners, write);
    return {
      close: async () => {
        await servers.close();
        log.close();
      },
    };
  } catch (error) {
    write((error as Error).message);
    log.close();
    throw error;
  }
}
