/**
 * The subresource `scale`: how many replicas an object asks for, in one form for all kinds that have some.
 * autoscaling/v1 Scale.
 */
import { ApiError, badRequest, invalidObject } from '../../api/error.js';
import { isMap, setKey } from '../../api/json.js';
import type { Kind } from '../../api/kinds.js';
import { invalid } from '../../api/problem.js';
import { selectorText } from '../../api/label-selector.js';
import type { ApiObject, LabelSelector } from '../../api/types.js';
import { readBody, sendJson } from './body.js';
import type { Exchange } from './exchange.js';
import { readPatch } from './patch.js';
import { requireBody, writeOptions } from './write.js';

export async function getScale({ registry, target, response }: Exchange): Promise<void> {
  sendJson(response, 200, scaleOf(target.kind, await registry.get(target, target.name!)));
}

export async function updateScale(exchange: Exchange): Promise<void> {
  const body = await requireBody(exchange);
  await change(exchange, () => body);
}

export async function patchScale(exchange: Exchange): Promise<void> {
  await change(exchange, readPatch(exchange.target.kind, await readBody(exchange.request)));
}

async function change(exchange: Exchange, make: (old: object) => unknown): Promise<void> {
  const { registry, target, response } = exchange;
  const { kind } = target;
  const object = await registry.modify(
    target,
    target.name!,
    (old) => withScale(kind, old, make(scaleOf(kind, old))),
    undefined,
    writeOptions(exchange),
  );
  sendJson(response, 200, scaleOf(kind, object));
}

function pathsOf(kind: Kind): NonNullable<Kind['scale']> {
  if (kind.scale) return kind.scale;
  throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
}

function scaleOf(kind: Kind, object: ApiObject): object {
  const { specReplicas, statusReplicas, selector } = pathsOf(kind);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: find(object, specReplicas) ?? 0 },
    status: {
      replicas: find(object, statusReplicas) ?? 0,
      selector: selectorText(find(object, selector) as LabelSelector | undefined),
    },
  };
}

/** The object that a Scale asks for. */
function withScale(kind: Kind, old: ApiObject, scale: unknown): ApiObject {
  if (!isMap(scale) || !isMap(scale['metadata'] ?? {})) throw badRequest('the body must be a Scale');
  const replicas = isMap(scale['spec']) ? (scale['spec']['replicas'] ?? 0) : 0;
  const metadata = (scale['metadata'] ?? {}) as { name?: unknown; uid?: string; resourceVersion?: string };
  if (!Number.isSafeInteger(replicas) || (replicas as number) < 0) {
    const problem = invalid('spec.replicas', replicas, 'must be greater than or equal to 0');
    throw invalidObject({ group: 'autoscaling', plural: 'scales', kind: 'Scale' }, old.metadata.name, [
      problem,
    ]);
  }
  const { uid, resourceVersion } = metadata;
  return {
    ...(put(old, pathsOf(kind).specReplicas, replicas) as ApiObject),
    metadata: { ...old.metadata, ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) },
  };
}

function find(value: unknown, path: readonly string[]): unknown {
  for (const key of path) value = isMap(value) ? value[key] : undefined;
  return value;
}

/** A copy in which another value stands at a path. */
function put(value: unknown, [key, ...rest]: readonly string[], leaf: unknown): unknown {
  if (key === undefined) return leaf;
  const copy: Record<string, unknown> = isMap(value) ? { ...value } : {};
  setKey(copy, key, put(copy[key], rest, leaf));
  return copy;
}
