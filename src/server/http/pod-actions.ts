/**
 * Things one can do to a pod by posting an object at it: bind it to a node, evict it.
 */
import { badRequest, conflict } from '../../api/error.js';
import { isMap } from '../../api/json.js';
import type { Pod } from '../../api/types.js';
import { sendJson } from './body.js';
import type { Exchange } from './exchange.js';
import { deleteOptions } from './remove.js';
import { requireBody, writeOptions } from './write.js';

const CREATED = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** Place a pod on a node. What a scheduler does. */
export async function binding(exchange: Exchange): Promise<void> {
  const { registry, target, response } = exchange;
  const body = await requireBody(exchange);
  const node = isMap(body) && isMap(body['target']) ? body['target']['name'] : undefined;
  if (typeof node !== 'string' || node === '')
    throw badRequest('a Binding needs target.name, the name of a node');
  const place = (old: Pod): Pod => {
    if (old.spec.nodeName) {
      const why = `pod ${old.metadata.name} is already assigned to node "${old.spec.nodeName}"`;
      throw conflict(target.kind, old.metadata.name, why);
    }
    return { ...old, spec: { ...old.spec, nodeName: node } };
  };
  await registry.modify(target, target.name!, (old) => place(old as Pod), 'binding', writeOptions(exchange));
  sendJson(response, 201, CREATED);
}

/**
 * Delete a pod the way `kubectl drain` does. There are no disruption budgets, so nothing stands against it.
 */
export async function eviction(exchange: Exchange): Promise<void> {
  const { registry, target, query, response, guard } = exchange;
  const body = await requireBody(exchange);
  if (!isMap(body)) throw badRequest('the body must be an Eviction');
  const options = deleteOptions(body['deleteOptions'] ?? {}, query);
  await registry.remove(target, target.name!, { ...options, guard: guard.remove });
  sendJson(response, 201, CREATED);
}
