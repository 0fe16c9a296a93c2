/**
 * The streams of pods: what goes between a client and a process through the agent of the process's host.
 *
 *     client ── HTTP, WebSocket or SPDY ── server ── HTTP/2 on the agent's link ── agent ── process
 */
import type { Logger } from 'pino';
import { ApiError, badRequest } from '../../api/error.js';
import { AGENT_LINK, nodeOfLinkPath } from '../../client/agent-link.js';
import type { ServeStream } from '../http/exchange.js';
import type { UpgradeRoute } from '../http/upgrade.js';
import type { Registry } from '../registry/registry.js';
import { createAgentLinks, type AgentLinks } from './agent-links.js';
import { serveLog } from './log.js';

export interface Streams {
  readonly serveStream: ServeStream;
  readonly routes: readonly UpgradeRoute[];
  close(): void;
}

export function createStreams(registry: Registry, log: Logger): Streams {
  const links = createAgentLinks(log);
  return {
    async serveStream(target, { request, response, query }) {
      if (target.subresource !== 'log') throw badRequest('Upgrade request required');
      if (request.method !== 'GET') {
        const message = 'the server does not allow this method on the requested resource';
        throw new ApiError(405, 'MethodNotAllowed', message);
      }
      return serveLog(registry, links, target, query, response);
    },
    routes: [linkRoute(links)],
    close: () => links.close(),
  };
}

/** Where agents dial. */
const linkRoute = (links: AgentLinks): UpgradeRoute => ({
  matches: ({ url, headers }) =>
    nodeOfLinkPath(url ?? '') !== undefined && headers.upgrade?.toLowerCase() === AGENT_LINK,
  serve: ({ url }, socket, head) => links.accept(nodeOfLinkPath(url!)!, socket, head),
});
