/**
 * What a request for a stream asks for, and whether it can be had: Kubernetes' query parameters and its words for what
 * is wrong with them.
 *
 * Source: k8s.io/api/core/v1 PodLogOptions, PodExecOptions, PodAttachOptions; k8s.io/kubernetes
 * pkg/registry/core/pod/strategy.go and pkg/apis/core/validation.
 */
import { allContainers } from '../../api/all-containers.js';
import { badRequest, invalidObject } from '../../api/error.js';
import { POD } from '../../api/kinds.js';
import { forbidden, invalid, type Problem } from '../../api/problem.js';
import type { Pod } from '../../api/types.js';
import type { Target } from '../http/target.js';
import type { Registry } from '../registry/registry.js';

/** Where a pod's stream comes from. */
export interface PodPlace {
  readonly pod: Pod;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly container: string;
}

/** Which container an object's author wants to be the first choice. */
const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';

/** As Kubernetes reads a boolean in a query: whatever is not empty, false or 0 is true, and `?follow` as well. */
export function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text !== null && !/^(0|f|false)$/i.test(text);
}

/**
 * The pod that a path names, the container that is meant, and the node that has both.
 *
 * @throws ApiError 404 or 400 with Kubernetes' words
 */
export async function findPod(registry: Registry, target: Target, container?: string): Promise<PodPlace> {
  const { namespace = 'default', name = '' } = target;
  const pod = (await registry.get({ kind: POD, namespace }, name)) as Pod;
  const chosen = container === undefined ? '' : containerOf(pod, container);
  const node = pod.spec.nodeName;
  if (!node) throw badRequest(`pod ${name} does not have a host assigned`);
  return { pod, namespace, name, node, container: chosen };
}

/** @param asked  '' when the request names none */
function containerOf(pod: Pod, asked: string): string {
  const { name, annotations } = pod.metadata;
  const names = pod.spec.containers.map((container) => container.name);
  const all = allContainers(pod.spec).map((container) => container.name);
  if (asked !== '') {
    if (!all.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  if (names.length === 1) return names[0]!;
  const preferred = annotations?.[DEFAULT_CONTAINER];
  if (preferred !== undefined && all.includes(preferred)) return preferred;
  const init = (pod.spec.initContainers ?? []).map((container) => container.name);
  const more = init.length === 0 ? '' : ` or one of the init containers: [${init.join(' ')}]`;
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]${more}`,
  );
}

/**
 * The query of a request for a log, as the agent is asked: the same parameters, checked, with the container's name.
 *
 * @throws ApiError 400 or 422
 */
export function logQuery(query: URLSearchParams, { name, container }: PodPlace): string {
  const problems: Problem[] = [];
  const asked = new URLSearchParams({ container });
  for (const option of ['follow', 'previous', 'timestamps'])
    if (flag(query, option)) asked.set(option, 'true');
  for (const [option, least] of [
    ['tailLines', 0],
    ['limitBytes', 1],
    ['sinceSeconds', 1],
  ] as const) {
    const text = query.get(option);
    if (text === null || text === '') continue;
    if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`${option} must be a number, not "${text}"`);
    if (Number(text) < least) {
      const rule = least === 0 ? 'must be greater than or equal to 0' : 'must be greater than 0';
      problems.push(invalid(option, Number(text), rule));
    }
    asked.set(option, text);
  }
  const since = query.get('sinceTime');
  if (since) {
    if (!RFC3339.test(since) || Number.isNaN(Date.parse(since)))
      throw badRequest(`parsing time "${since}": expected a time as RFC 3339 has it, 2006-01-02T15:04:05Z`);
    if (asked.has('sinceSeconds'))
      problems.push(forbidden('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
    asked.set('sinceTime', since);
  }
  if (problems.length > 0)
    throw invalidObject({ group: '', kind: 'PodLogOptions', plural: POD.plural }, name, problems);
  return asked.toString();
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** The query of a request for exec or attach, as the agent is asked. @throws ApiError 400 */
export function commandQuery(query: URLSearchParams, { container }: PodPlace, subresource: string): string {
  const asked = new URLSearchParams({ container });
  for (const option of ['stdin', 'tty']) if (flag(query, option)) asked.set(option, 'true');
  if (subresource === 'exec') {
    const words = query.getAll('command');
    if (words.length === 0) throw badRequest('you must specify at least one command for the container');
    for (const word of words) asked.append('command', word);
  }
  return asked.toString();
}

/** Where the agent serves a pod's stream. */
export const agentPath = ({ namespace, name }: PodPlace, subresource: string, query: string): string =>
  `/pods/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/${subresource}?${query}`;
