/**
 * The streams of pods: what goes between a client and a process through the agent of the process's host.
 *
 *     client ── HTTP, WebSocket or SPDY ── server ── HTTP/2 on the agent's link ── agent ── process
 */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { badRequest, methodNotAllowed } from '../../api/error.js';
import { AGENT_LINK, nodeOfLinkPath } from '../../client/agent-link.js';
import { POD } from '../../api/kinds.js';
import type { ServeStream } from '../http/exchange.js';
import { parseUrl } from '../http/handler.js';
import { parseTarget, PROXY, proxiedPath, type Target } from '../http/target.js';
import type { UpgradeRoute } from '../http/upgrade.js';
import type { Registry } from '../registry/registry.js';
import { createAgentLinks, type AgentLinks } from './agent-links.js';
import { serveCommand, wantedStreams } from './command.js';
import { serveLog } from './log.js';
import { serveNodeProxy } from './node-proxy.js';
import { agentPath, commandQuery, findPod } from './options.js';
import { servePortForward } from './port-forward.js';

export interface Streams {
  readonly serveStream: ServeStream;
  readonly routes: readonly UpgradeRoute[];
  close(): void;
}

export function createStreams(registry: Registry, log: Logger): Streams {
  const links = createAgentLinks(log);
  return {
    async serveStream(target, { request, response, query }) {
      if (target.subresource === PROXY) {
        if (request.method !== 'GET') throw methodNotAllowed();
        return serveNodeProxy(registry, links, target, proxiedPath(parseUrl(request.url!)), response);
      }
      if (target.subresource !== 'log') throw badRequest('Upgrade request required');
      if (request.method !== 'GET') {
        throw methodNotAllowed();
      }
      return serveLog(registry, links, target, query, response);
    },
    routes: [linkRoute(links), podRoute(registry, links)],
    close: () => links.close(),
  };
}

/** Where agents dial. */
const linkRoute = (links: AgentLinks): UpgradeRoute => ({
  matches: ({ url, headers }) =>
    nodeOfLinkPath(url ?? '') !== undefined && headers.upgrade?.toLowerCase() === AGENT_LINK,
  serve: ({ url }, socket, head) => links.accept(nodeOfLinkPath(url!)!, socket, head),
});

/** Streams of pods. */
const podRoute = (registry: Registry, links: AgentLinks): UpgradeRoute => ({
  matches: (request) => targetOf(request) !== undefined,
  async serve(request, socket, head) {
    const target = targetOf(request)!;
    const { searchParams: query } = parseUrl(request.url!);
    if (target.subresource === 'portforward') {
      const place = await findPod(registry, target);
      return servePortForward(links, place, query, request, socket, head);
    }
    const place = await findPod(registry, target, query.get('container') ?? '');
    const wanted = wantedStreams(query);
    const path = agentPath(place, target.subresource!, commandQuery(query, place, target.subresource!));
    await serveCommand(links, place, path, wanted, { request, socket, head });
  },
});

/** The pod's stream that a path names. */
function targetOf({ url }: IncomingMessage): Target | undefined {
  const target = parseTarget(parseUrl(url ?? '/').pathname);
  return target?.kind === POD && ['exec', 'attach', 'portforward'].includes(target.subresource ?? '')
    ? target
    : undefined;
}
