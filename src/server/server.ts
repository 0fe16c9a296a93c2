/**
 * The server: the store, the API on a path socket and over TLS, and control.
 *
 * Whoever can open the socket may do everything; so its mode is 0600. Whoever comes over TLS shows a token or a
 * certificate. There is no other listener.
 */
import { mkdirSync } from 'node:fs';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerOptions as HttpOptions,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { createAccountTokens } from './access/account-tokens.js';
import { createAuthorizer } from './access/authorizer.js';
import { createBootstrapTokens } from './access/bootstrap-tokens.js';
import { createCertificateOwner } from './access/client-certificates.js';
import { openCredentials } from './access/credentials.js';
import { repairRoles } from './access/default-roles.js';
import { createTokenGate, OPEN_GATE, type User } from './access/gate.js';
import { publishClusterInfo } from './access/cluster-info.js';
import { createSigning } from './access/signing.js';
import { createTlsServer } from './access/tls.js';
import { formatKubeconfig } from '../client/kubeconfig.js';
import { writeFileWhole } from '../client/write-file.js';
import { startControlLoop } from './control-loop.js';
import { createHandler, toApiError } from './http/handler.js';
import { tlsRoute } from './http/tls-upgrade.js';
import { serveUpgrades, type UpgradeRoute, type Upgrades } from './http/upgrade.js';
import { advertisedHost, listenPath, listenTcp, urlFor, urlOf, type ListenAddress } from './listen.js';
import { watchAgents } from './liveness.js';
import { Registry } from './registry/registry.js';
import { openLmdbStore } from './store/lmdb-store.js';
import { createStreams } from './streams/streams.js';

export interface ServerOptions {
  /** Folder of the store and of the credentials; made when it is missing. */
  readonly data: string;
  /** A path socket for who may open it. */
  readonly socketPath?: string;
  /** A TCP port for who has a token. */
  readonly listen?: ListenAddress;
  /** Where other hosts reach it, when that is not where it listens. */
  readonly advertise?: Partial<ListenAddress>;
  /** Names and addresses that its certificate has besides. */
  readonly names?: readonly string[];
  /** A kubeconfig to write as soon as requests over TLS are answered. */
  readonly kubeconfig?: { readonly path: string; readonly name: string };
  readonly log: Logger;
  /** Told once of an error after which the server is of no use; default: log it and end the process. */
  readonly fatal?: (error: unknown) => void;
}

export interface Server {
  /** By which it is reached over TLS; undefined when it listens on no port. */
  readonly url: string | undefined;
  /** Stop listening, end all watches, write what was accepted, close the store. */
  close(): Promise<void>;
}

/** A client may be slow to send a request; its answer may take for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than clients keep idle connections (Go: 90 s), so that it is never we who close one that is just used. */
const KEEP_ALIVE_MS = 120_000;
/** Selectors and whole command lines stand in URLs. */
const MAX_HEADER_BYTES = 1 << 20;

/** Characters of a URL in the log: strangers choose them. */
const MAX_LOGGED = 200;

const HTTP_OPTIONS: HttpOptions = {
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  maxHeaderSize: MAX_HEADER_BYTES,
};

/** Start the server. When the promise is fulfilled it answers. */
export async function createServer(options: ServerOptions): Promise<Server> {
  const { data, socketPath, log } = options;
  const fatal =
    options.fatal ??
    ((error: unknown) => {
      log.fatal({ err: error }, 'the server ends itself');
      process.exit(1);
    });
  /** What ends what was begun: last begun, first ended. */
  const endings: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of endings.reverse()) await end();
  };
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 });
    const credentials = openCredentials(data, Date.now());
    const store = openLmdbStore({ path: data });
    endings.push(() => store.close());
    const registry = new Registry(store);
    endings.push(() => registry.close());
    await registry.createStandards();
    await repairRoles(registry);
    const authorizer = await createAuthorizer(registry.objects, log, fatal);
    endings.push(() => authorizer.close());
    const control = await startControlLoop(
      registry,
      credentials.authority,
      createSigning(credentials, log),
      log,
      fatal,
    );
    endings.push(() => control.close());
    const agents = watchAgents(registry, log);
    endings.push(() => agents.close());

    const failed = (cause: unknown, { method, url, socket }: IncomingMessage) => {
      const error = toApiError(cause);
      if (error.code >= 500) log.error({ err: cause, method, url }, 'request failed');
      if (error.code === 401)
        log.warn(
          { why: error.message, method, url: url?.slice(0, MAX_LOGGED), from: from(socket) },
          'refused',
        );
      return error;
    };
    const admitted = (request: IncomingMessage, user: User): void => agents.seen(request, user);
    const streams = createStreams(registry, log);
    endings.push(() => streams.close());
    const { serveStream } = streams;
    /** Connections that become something else, whichever way they come. */
    const upgrades: UpgradeRoute[] = [...streams.routes];

    const { advertise } = options;
    const names = [...(options.names ?? []), ...(advertise?.host === undefined ? [] : [advertise.host])];
    const tls = await createTlsServer(
      credentials,
      registry.objects,
      options.listen?.host,
      names,
      HTTP_OPTIONS,
    );
    endings.push(() => tls.close());
    const tokens = createAccountTokens(credentials.accountKey, registry.objects);
    const gate = createTokenGate({
      token: credentials.token,
      owners: [createBootstrapTokens(registry.objects), tokens.userOf],
      certificateOwner: createCertificateOwner(),
      names: tls.names,
    });
    const answer = { registry, authorizer, tokens, admitted, failed, serveStream };
    tls.server.on('request', createHandler({ ...answer, gate }));
    const overTls = serveUpgrades(tls.server, gate, authorizer, upgrades, failed);

    if (socketPath !== undefined) {
      const http = createHttpServer(HTTP_OPTIONS, createHandler({ ...answer, gate: OPEN_GATE }));
      const routes = [tlsRoute(tls.server), ...upgrades];
      const onPath = serveUpgrades(http, OPEN_GATE, authorizer, routes, failed);
      await listenPath(http, socketPath);
      http.on('error', fatal);
      endings.push(() => stop(http, onPath));
    }
    // Connections over the path socket end with the TLS server too, though it listens nowhere.
    endings.push(() => tls.server.closeAllConnections());
    endings.push(() => overTls.close());
    let url: string | undefined;
    let advertised: string | undefined;
    if (options.listen) {
      const port = await listenTcp(tls.server, options.listen, data);
      tls.server.on('error', fatal);
      endings.push(() => stop(tls.server, overTls));
      const { host } = options.listen;
      url = urlOf({ host, port });
      advertised = urlFor({ host: advertise?.host ?? advertisedHost(host), port: advertise?.port ?? port });
      const cluster = { name: options.kubeconfig?.name ?? 'podwire', url: advertised };
      await publishClusterInfo(registry, { ...cluster, authority: credentials.authority });
      if (options.kubeconfig) {
        const { path, name } = options.kubeconfig;
        const { authority, token } = credentials;
        writeFileWhole(
          path,
          formatKubeconfig({ name, url, authority, user: `${name}-admin`, identity: { token } }),
        );
      }
    }
    log.info({ socketPath, url, advertised, data, revision: store.revision }, 'the API answers');
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Where a request came from, for the log. */
const from = ({ remoteAddress }: Socket): string => remoteAddress ?? 'the path socket';

/** Take no more connections, end those there are; `close` waits for those that became something else as well. */
async function stop(
  server: Pick<HttpServer, 'close' | 'closeAllConnections'>,
  upgrades: Upgrades,
): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  upgrades.close();
  await closed;
}
