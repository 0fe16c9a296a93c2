/**
 * Where `podwire agent` gets its objects from, by its flags: files, a server on this machine's path socket, or a server
 * elsewhere, which the host joins first.
 */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import type { RequestListener } from 'node:http';
import { dialServer, type Line } from '../agent/api/dial.js';
import { JoinRefused } from '../agent/join/first-contact.js';
import { readIdentity } from '../agent/join/identity.js';
import { joinCluster } from '../agent/join/join.js';
import { createMembership } from '../agent/join/membership.js';
import type { Logger } from '../agent/log.js';
import { agentPaths, identityPath } from '../agent/paths.js';
import { preflight } from '../agent/preflight.js';
import { createFilesSource } from '../agent/source/files.js';
import { withLastView, type ViewOwner } from '../agent/source/last-view.js';
import { createServerSource, type ServerSourceOptions } from '../agent/source/server.js';
import type { ClusterSource } from '../agent/source/source.js';
import { findUnderlay } from '../agent/underlay.js';
import { AGENT_USER } from '../api/types.js';
import { createClient } from '../client/client.js';
import { hashAuthority, parseJoinToken, type JoinToken } from '../client/join-token.js';
import { connectToPort, connectToTls } from '../client/relay.js';
import { hostAndPort } from '../client/server-address.js';
import { CommandError, UsageError } from './verb.js';

export interface SourceFlags {
  readonly server?: string;
  readonly token?: string;
  readonly 'token-file'?: string;
  readonly iface?: string;
  readonly 'iface-can-reach'?: string;
}

export interface AgentPlace {
  readonly lab: string;
  readonly node: string;
  readonly netns: string | undefined;
  readonly log: Logger;
  /** Aborted when the agent shall end. */
  stop(): AbortSignal;
}

export interface AgentSource {
  readonly source: ClusterSource;
  readonly dial?: (listener: RequestListener) => Line;
  /** The address of a server elsewhere. */
  readonly serverAddress?: string;
}

/** @throws UsageError for flags that do not go together, CommandError when the host cannot join */
export async function openSource(
  flags: SourceFlags,
  files: readonly string[] | undefined,
  place: AgentPlace,
): Promise<AgentSource> {
  const { lab, node, log } = place;
  const { server } = flags;
  if (server !== undefined && files) throw new UsageError('Give either --server or --objects, not both');
  const token = readToken(flags);
  if (files) {
    if (token) throw new UsageError('--token goes with --server, not with --objects');
    return { source: createFilesSource({ paths: files, lab, log }) };
  }
  const isUrl = server !== undefined && /^[a-z]+:\/\//i.test(server);
  if (server !== undefined && !isUrl) {
    if (token) throw new UsageError('--token goes with --server https://HOST:PORT; a path socket needs none');
    return fromPath(server, place);
  }
  if (server !== undefined) checkUrl(server);
  if (server === undefined && !hasJoined(identityPath(lab, node)))
    throw new UsageError(
      'Say where the objects come from: --server SOCKET or --objects FILE…, or --server https://HOST:PORT --token TOKEN',
    );
  return fromCluster(server, token, flags, place);
}

function readToken({ token, 'token-file': file }: SourceFlags): JoinToken | undefined {
  if (token !== undefined && file !== undefined)
    throw new UsageError('Give either --token or --token-file, not both');
  let text = token;
  if (file !== undefined)
    try {
      text = readFileSync(file, 'utf8').trim();
    } catch (error) {
      throw new CommandError(`Cannot read the join token: ${(error as Error).message}`);
    }
  if (text === undefined) return undefined;
  try {
    return parseJoinToken(text);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function checkUrl(url: string): void {
  try {
    hostAndPort(url);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** A file that is there and wrong counts: whoever reads it then says what is wrong. */
function hasJoined(path: string): boolean {
  try {
    return readIdentity(path) !== undefined;
  } catch {
    return true;
  }
}

function fromPath(socketPath: string, { lab, node, log }: AgentPlace): AgentSource {
  return {
    source: fromServer({ lab, node, cluster: socketPath }, log, {
      client: createClient({ socketPath, userAgent: AGENT_USER + node }),
      connectToApi: () => connectToTls(socketPath),
      name: `server ${socketPath}`,
    }),
    dial: (listener) => dialServer({ server: { socketPath }, node, listener, log }),
  };
}

async function fromCluster(
  url: string | undefined,
  token: JoinToken | undefined,
  flags: SourceFlags,
  { lab, node, netns, log, stop }: AgentPlace,
): Promise<AgentSource> {
  const [problem] = preflight({ netns });
  if (problem !== undefined) throw new CommandError(problem);
  const path = identityPath(lab, node);
  const wish = { iface: flags.iface, canReach: flags['iface-can-reach'] };
  try {
    const identity = await joinCluster({
      node,
      path,
      url,
      token,
      address: async (place) =>
        (await findUnderlay({ ...wish, server: await addressOf(place) }, netns)).address,
      log,
      stop: stop(),
    });
    const membership = createMembership({ identity, path, log });
    const { address } = membership;
    const client = createClient({ ...address, userAgent: AGENT_USER + node });
    return {
      source: fromServer({ lab, node, cluster: hashAuthority(identity.authority) }, log, {
        client,
        connectToApi: () => connectToPort(identity.url),
        name: `server ${identity.url}`,
        membership,
      }),
      dial: (listener) => dialServer({ server: address, node, listener, log }),
      serverAddress: await addressOf(identity.url),
    };
  } catch (error) {
    if (error instanceof JoinRefused) throw new CommandError(error.message);
    throw error;
  }
}

/** A server's objects, or, while it is away, those that were known last. */
const fromServer = (
  owner: ViewOwner,
  log: Logger,
  options: Omit<ServerSourceOptions, 'lab' | 'node' | 'log'>,
): ClusterSource => {
  const { lab, node } = owner;
  const source = createServerSource({ ...options, lab, node, log });
  return withLastView(source, { owner, paths: agentPaths(lab, node), log });
};

/** The IPv4 address of a server elsewhere; undefined: it is on this host's loopback, or its name says nothing now. */
async function addressOf(url: string): Promise<string | undefined> {
  const { host } = hostAndPort(url);
  const address = isIPv4(host)
    ? host
    : await lookup(host, 4).then(
        (found) => found.address,
        () => undefined,
      );
  return address?.startsWith('127.') ? undefined : address;
}
