/**
 * POST, PUT, PATCH of whole objects and of their status.
 */
import { badRequest, invalidObject, methodNotAllowed } from '../../api/error.js';
import type { Manager } from '../../api/managed-fields.js';
import { notSupported, required } from '../../api/problem.js';
import { AGENT_USER, type ApiObject } from '../../api/types.js';
import type { WriteOptions } from '../registry/decode-body.js';
import { readBody, readObject, readYaml, type Body } from './body.js';
import { isTrue, type Exchange } from './exchange.js';

import { APPLY_PATCH, readPatch } from './patch.js';
import { sendObject } from './read.js';
import { versionOf } from './render.js';

export async function create(exchange: Exchange): Promise<void> {
  const { registry, target } = exchange;
  if (target.kind.namespaced && target.namespace === undefined) throw methodNotAllowed();
  const body = await requireBody(exchange);
  sendObject(exchange, 201, await registry.create(target, body, writeOptions(exchange)));
}

export async function update(exchange: Exchange): Promise<void> {
  const body = await requireBody(exchange);
  await modify(exchange, () => body);
}

export async function patch(exchange: Exchange): Promise<void> {
  const body = await readBody(exchange.request);
  if (body.type === APPLY_PATCH) await apply(exchange, body);
  else await modify(exchange, readPatch(exchange.target.kind, body));
}

/** Server-side apply. */
async function apply(exchange: Exchange, { bytes }: Body): Promise<void> {
  const { registry, target, query } = exchange;
  const manager = managerOf(exchange);
  if (!manager || !query.get('fieldManager')) {
    const options = { group: 'meta.k8s.io', plural: '', kind: 'PatchOptions' };
    throw invalidObject(options, '', [required('fieldManager', 'is required for apply patch')]);
  }
  const { manager: _, ...options } = writeOptions(exchange);
  const force = isTrue(query.get('force'));
  const request = { manager, force, subresource: partOf(exchange), creates: exchange.requireCreate };
  const { object, isNew } = await registry.applyConfiguration(
    target,
    target.name!,
    readYaml(bytes),
    request,
    options,
  );
  sendObject(exchange, isNew ? 201 : 200, object);
}

async function modify(exchange: Exchange, change: (old: ApiObject) => unknown): Promise<void> {
  const { registry, target } = exchange;
  const object = await registry.modify(
    target,
    target.name!,
    change,
    partOf(exchange),
    writeOptions(exchange),
  );
  sendObject(exchange, 200, object);
}

/** The subresources that are a part of the object itself. */
const PARTS = ['status', 'approval', 'ephemeralcontainers'] as const;

const partOf = ({ target }: Pick<Exchange, 'target'>): (typeof PARTS)[number] | undefined =>
  PARTS.find((part) => part === target.subresource);

/**
 * Who writes, for managedFields: the manager the query names, else the client. An agent reports what is, it manages nothing;
 * nor does a client that does not say who it is.
 */
function managerOf({ request, target, query }: Exchange): Manager | undefined {
  const agent = request.headers['user-agent'] ?? '';
  const name = query.get('fieldManager') || (agent.startsWith(AGENT_USER) ? '' : agent.split('/')[0]!);
  if (name === '') return undefined;
  const part = partOf({ target });
  return {
    name,
    apiVersion: versionOf(target),
    ...(part && { subresource: part }),
  };
}

/** @throws ApiError 400 when there is none */
export async function requireBody({ request }: Exchange): Promise<unknown> {
  const body = await readObject(request);
  if (body === undefined) throw badRequest('the request has no body');
  return body;
}

export function writeOptions(exchange: Exchange): WriteOptions {
  const { query, response, user, guard } = exchange;
  const manager = managerOf(exchange);
  const fieldValidation = query.get('fieldValidation') || 'Warn';
  if (fieldValidation !== 'Ignore' && fieldValidation !== 'Warn' && fieldValidation !== 'Strict') {
    throw badRequest(`fieldValidation must be Ignore, Warn or Strict, not "${fieldValidation}"`);
  }
  const warnings = new Set<string>();
  return {
    dryRun: isDryRun(query.getAll('dryRun')),
    fieldValidation,
    user,
    ...(manager && { manager }),
    guard: guard.write,
    warn: (text) => {
      warnings.add(`299 - ${JSON.stringify(text.replace(/[^\x20-\x7e]/g, '?'))}`);
      response.setHeader('warning', [...warnings]);
    },
  };
}

/** @throws ApiError 422 when it says something else than All */
export function isDryRun(values: readonly unknown[]): boolean {
  const other = values.find((value) => value !== 'All' && value !== '');
  if (other !== undefined) {
    const options = { group: 'meta.k8s.io', plural: '', kind: 'Options' };
    throw invalidObject(options, '', [notSupported('dryRun', other, ['All'])]);
  }
  return values.includes('All');
}
