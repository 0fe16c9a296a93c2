/**
 * `GET /api/v1/nodes/NODE/proxy/PATH`: what the agent of a node answers at PATH, as Kubernetes leads to kubelets. Only reading:
 * what an agent does for a pod has its own subresources.
 */
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { NODE } from '../../api/kinds.js';
import type { Target } from '../http/target.js';
import type { Registry } from '../registry/registry.js';
import { statusOfAnswer, type AgentLinks } from './agent-links.js';

/** @throws ApiError before any answer: 404 without such a node, 503 without its agent, or the agent's own */
export async function serveNodeProxy(
  registry: Registry,
  links: AgentLinks,
  { name = '' }: Target,
  path: string,
  response: ServerResponse,
): Promise<void> {
  await registry.get({ kind: NODE, namespace: undefined }, name);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const answer = await links.request(name, 'GET', path, gone.signal);
  if (answer.code !== 200) throw await statusOfAnswer(answer);
  const type = answer.type ?? 'text/plain';
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache, private' });
  response.flushHeaders(); // a log that is followed may stay silent for long
  await pipeline(answer.stream, response);
}
