/**
 * The server: the store, the API on a path socket, and control.
 *
 * Whoever can open the socket may do everything; so its mode is 0600. There is no other listener.
 */
import { lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { connect } from 'node:net';
import type { Logger } from 'pino';
import { startControlLoop } from './control-loop.js';
import { createHandler } from './http/handler.js';
import { watchAgents } from './liveness.js';
import { Registry } from './registry/registry.js';
import { openLmdbStore } from './store/lmdb-store.js';

export interface ServerOptions {
  /** Folder of the store; made when it is missing. */
  readonly data: string;
  readonly socketPath: string;
  readonly log: Logger;
  /** Told once of an error after which the server is of no use; default: log it and end the process. */
  readonly fatal?: (error: unknown) => void;
}

export interface Server {
  /** Stop listening, end all watches, write what was accepted, close the store. */
  close(): Promise<void>;
}

/** A client may be slow to send a request; its answer may take for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than clients keep idle connections (Go: 90 s), so that it is never we who close one that is just used. */
const KEEP_ALIVE_MS = 120_000;
/** Selectors and, later, whole command lines stand in URLs. */
const MAX_HEADER_BYTES = 1 << 18;

/** Start the server. When the promise is fulfilled it answers. */
export async function createServer(options: ServerOptions): Promise<Server> {
  const { data, socketPath, log } = options;
  const fatal =
    options.fatal ??
    ((error: unknown) => {
      log.fatal({ err: error }, 'the server ends itself');
      process.exit(1);
    });
  await makeRoom(socketPath);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const store = openLmdbStore({ path: data });
  const registry = new Registry(store);
  await registry.createStandards();
  const control = await startControlLoop(registry, log, fatal);
  const agents = watchAgents(registry, log);
  const http = createHttpServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: MAX_HEADER_BYTES },
    createHandler(registry, log),
  );
  http.on('request', (request) => agents.seen(request));
  const closeAll = async (): Promise<void> => {
    agents.close();
    await control.close();
    registry.close();
    await store.close();
  };
  try {
    await listen(http, socketPath);
  } catch (error) {
    await closeAll();
    throw error;
  }
  http.on('error', fatal);
  log.info({ socketPath, data, revision: store.revision }, 'the API answers');
  return {
    async close() {
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeAllConnections();
      await closed;
      await closeAll();
    },
  };
}

/** Take away the socket that a server left which was killed. @throws Error when one still answers there */
async function makeRoom(socketPath: string): Promise<void> {
  const stat = lstatSync(socketPath, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket())
    throw new Error(`Cannot listen on "${socketPath}": there is something that is no socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (isAlive) throw new Error(`Cannot listen on "${socketPath}": another server answers there`);
  unlinkSync(socketPath);
}

function listen(http: HttpServer, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', reject);
    // bind() happens inside of listen(), so the socket never has another mode.
    const umask = process.umask(0o177);
    try {
      http.listen(socketPath, () => {
        http.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}
