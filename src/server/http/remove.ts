/**
 * DELETE: one object, or all that a selector matches. Options stand in the body, or, where there is none, in the query.
 */
import { ApiError, badRequest, invalidObject, type Status } from '../../api/error.js';
import { isMap } from '../../api/json.js';
import { invalid, notSupported } from '../../api/problem.js';
import type { ApiObject } from '../../api/types.js';
import { PROPAGATION_POLICIES, type DeleteOptions, type PropagationPolicy } from '../registry/deletion.js';
import { readObject, sendJson } from './body.js';
import type { Exchange } from './exchange.js';
import { rendererOf, selectorOf, sendObject } from './read.js';
import type { Target } from './target.js';
import { isDryRun } from './write.js';

export async function remove(exchange: Exchange): Promise<void> {
  const { registry, target, response } = exchange;
  const options = await readOptions(exchange);
  const { object, isGone } = await registry.remove(target, target.name!, options);
  if (isGone) sendJson(response, 200, removed(target, object));
  else sendObject(exchange, 200, object);
}

/** What a client is told of an object that is gone. */
export function removed({ kind }: Target, { metadata }: ApiObject): Omit<Status, 'code'> {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: metadata.name,
      group: kind.group || undefined,
      kind: kind.plural,
      uid: metadata.uid,
    },
  };
}

/** Objects of a collection that are deleted together, so that they are one flush to disk. */
const TOGETHER = 200;

/** Delete all that a selector matches; what somebody else deletes meanwhile is no error. */
export async function removeCollection(exchange: Exchange): Promise<void> {
  const { registry, target, response } = exchange;
  const { kind } = target;
  const selector = selectorOf(exchange);
  const renderer = rendererOf(exchange);
  const options = await readOptions(exchange);
  const { items, revision } = await registry.objects.list(target);
  const removeOne = async ({ metadata: { name, namespace } }: ApiObject): Promise<ApiObject | undefined> => {
    try {
      return (await registry.remove({ kind, namespace }, name, options)).object;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  };
  const chosen = items.filter(selector);
  const gone: ApiObject[] = [];
  for (let i = 0; i < chosen.length; i += TOGETHER) {
    const removed = await Promise.all(chosen.slice(i, i + TOGETHER).map(removeOne));
    gone.push(...removed.flatMap((object) => object ?? []));
  }
  sendJson(response, 200, renderer.list(gone, { resourceVersion: String(revision) }));
}

async function readOptions({ request, query, guard }: Exchange): Promise<DeleteOptions> {
  const options = deleteOptions((await readObject(request)) ?? queryOptions(query), query);
  return { ...options, guard: guard.remove };
}

function queryOptions(query: URLSearchParams): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  const seconds = query.get('gracePeriodSeconds');
  if (seconds !== null)
    options['gracePeriodSeconds'] = /^-?[0-9]{1,15}$/.test(seconds) ? Number(seconds) : seconds;
  const policy = query.get('propagationPolicy');
  if (policy !== null) options['propagationPolicy'] = policy;
  return options;
}

/** DeleteOptions, checked. @throws ApiError 400, 422 */
export function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  if (!isMap(body)) throw badRequest('the body must be DeleteOptions');
  const { gracePeriodSeconds: seconds, propagationPolicy: policy, orphanDependents, preconditions } = body;
  const refuse = (problem: ReturnType<typeof invalid>): ApiError =>
    invalidObject({ group: 'meta.k8s.io', plural: '', kind: 'DeleteOptions' }, '', [problem]);
  if (seconds !== undefined && seconds !== null && !Number.isSafeInteger(seconds))
    throw badRequest(`gracePeriodSeconds must be a number of seconds, not ${JSON.stringify(seconds)}`);
  if (policy !== undefined && policy !== null && !PROPAGATION_POLICIES.includes(policy as PropagationPolicy))
    throw refuse(notSupported('propagationPolicy', policy, PROPAGATION_POLICIES));
  if (policy && orphanDependents !== undefined && orphanDependents !== null) {
    const why = 'orphanDependents and deletionPropagation cannot be both set';
    throw refuse(invalid('propagationPolicy', policy, why));
  }
  const older = orphanDependents === true ? 'Orphan' : orphanDependents === false ? 'Background' : undefined;
  const inBody = Array.isArray(body['dryRun']) ? (body['dryRun'] as unknown[]) : [];
  return {
    dryRun: isDryRun([...query.getAll('dryRun'), ...inBody]),
    // As in Kubernetes a negative one means one second.
    gracePeriodSeconds: typeof seconds === 'number' ? (seconds < 0 ? 1 : seconds) : undefined,
    propagationPolicy: (policy as PropagationPolicy | null | undefined) ?? older,
    preconditions: isMap(preconditions) ? preconditions : undefined,
  };
}
