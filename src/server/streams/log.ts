/**
 * `GET …/pods/NAME/log`: what a container wrote, from its agent to the client as it comes.
 */
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Target } from '../http/target.js';
import type { Registry } from '../registry/registry.js';
import { statusOfAnswer, type AgentLinks } from './agent-links.js';
import { agentPath, findPod, logQuery } from './options.js';

/** @throws ApiError before any answer: the registry's, ours, or the agent's own */
export async function serveLog(
  registry: Registry,
  links: AgentLinks,
  target: Target,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const place = await findPod(registry, target, query.get('container') ?? '');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const path = agentPath(place, 'log', logQuery(query, place));
  const answer = await links.request(place.node, 'GET', path, gone.signal);
  if (answer.code !== 200) throw await statusOfAnswer(answer);
  response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, private' });
  response.flushHeaders(); // a log that is followed may stay silent for long
  await pipeline(answer.stream, response);
}
