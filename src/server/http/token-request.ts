/**
 * `POST …/serviceaccounts/NAME/token`: a token for an account. authentication.k8s.io/v1 TokenRequest.
 */
import { badRequest, conflict, invalidObject } from '../../api/error.js';
import { isMap } from '../../api/json.js';
import { POD } from '../../api/kinds.js';
import { invalid, type Problem } from '../../api/problem.js';
import type { Pod } from '../../api/types.js';
import { sendJson } from './body.js';
import type { Exchange } from './exchange.js';
import { requireBody } from './write.js';

const DEFAULT_SECONDS = 3600;
const SHORTEST_SECONDS = 600;
const LONGEST_SECONDS = 2 ** 32;

export async function requestToken(exchange: Exchange): Promise<void> {
  const { registry, target, tokens, response } = exchange;
  const { kind, name = '', namespace = '' } = target;
  const body = await requireBody(exchange);
  if (!isMap(body) || !isMap(body['spec'] ?? {})) throw badRequest('the body must be a TokenRequest');
  const spec = (body['spec'] ?? {}) as Record<string, unknown>;
  const account = await registry.get({ kind, namespace }, name);
  const audiences = spec['audiences'] ?? [];
  const expirationSeconds = spec['expirationSeconds'] ?? DEFAULT_SECONDS;
  if (!Array.isArray(audiences) || !audiences.every((one) => typeof one === 'string'))
    throw badRequest('spec.audiences must be a list of texts');
  if (!Number.isSafeInteger(expirationSeconds)) throw badRequest('spec.expirationSeconds must be a number');
  const problems: Problem[] = [];
  const field = 'spec.expirationSeconds';
  if ((expirationSeconds as number) < SHORTEST_SECONDS)
    problems.push(invalid(field, expirationSeconds, 'may not specify a duration less than 10 minutes'));
  if ((expirationSeconds as number) > LONGEST_SECONDS)
    problems.push(invalid(field, expirationSeconds, 'may not specify a duration larger than 2^32 seconds'));
  const bound = spec['boundObjectRef'] ?? undefined;
  if (bound !== undefined && (!isMap(bound) || bound['kind'] !== POD.kind))
    problems.push(invalid('spec.boundObjectRef', bound, 'a token can be bound to a Pod only'));
  if (problems.length > 0)
    throw invalidObject({ group: 'authentication.k8s.io', plural: '', kind: 'TokenRequest' }, name, problems);
  const pod = isMap(bound) ? await boundPod(exchange, bound) : undefined;
  exchange.guard.token(name, pod);
  const status = tokens.make({
    namespace,
    account: { name, uid: account.metadata.uid! },
    ...(pod && { pod: { name: pod.metadata.name, uid: pod.metadata.uid! } }),
    audiences: audiences as string[],
    expirationSeconds: expirationSeconds as number,
  });
  sendJson(response, 201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: account.metadata.creationTimestamp },
    spec: { ...spec, audiences, expirationSeconds },
    status,
  });
}

async function boundPod(
  { registry, target: { namespace } }: Exchange,
  { name, uid: asked }: Record<string, unknown>,
): Promise<Pod> {
  const pod = (await registry.get({ kind: POD, namespace }, String(name))) as Pod;
  const { metadata } = pod;
  const { uid } = metadata;
  if (asked && asked !== uid) {
    const why = `the UID in the bound object reference (${String(asked)}) does not match the UID in record (${uid})`;
    throw conflict(POD, metadata.name, why);
  }
  return pod;
}
