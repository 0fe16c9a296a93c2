/**
 * POST, PUT, PATCH of whole objects and of their status.
 */
import { badRequest, invalidObject, methodNotAllowed } from '../../api/error.js';
import { notSupported } from '../../api/problem.js';
import type { ApiObject } from '../../api/types.js';
import type { WriteOptions } from '../registry/decode-body.js';
import { readBody, readObject } from './body.js';
import type { Exchange } from './exchange.js';

import { readPatch } from './patch.js';
import { sendObject } from './read.js';

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
  await modify(exchange, readPatch(exchange.target.kind, await readBody(exchange.request)));
}

async function modify(exchange: Exchange, change: (old: ApiObject) => unknown): Promise<void> {
  const { registry, target } = exchange;
  const subresource = target.subresource === 'status' ? 'status' : undefined;
  const object = await registry.modify(target, target.name!, change, subresource, writeOptions(exchange));
  sendObject(exchange, 200, object);
}

/** @throws ApiError 400 when there is none */
export async function requireBody({ request }: Exchange): Promise<unknown> {
  const body = await readObject(request);
  if (body === undefined) throw badRequest('the request has no body');
  return body;
}

export function writeOptions({ query, response }: Exchange): WriteOptions {
  const fieldValidation = query.get('fieldValidation') || 'Warn';
  if (fieldValidation !== 'Ignore' && fieldValidation !== 'Warn' && fieldValidation !== 'Strict') {
    throw badRequest(`fieldValidation must be Ignore, Warn or Strict, not "${fieldValidation}"`);
  }
  const warnings = new Set<string>();
  return {
    dryRun: isDryRun(query.getAll('dryRun')),
    fieldValidation,
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
