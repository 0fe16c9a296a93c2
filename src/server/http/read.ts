/**
 * GET: one object, a list, a watch.
 */
import { ApiError, badRequest, invalidObject } from '../../api/error.js';
import { forbidden } from '../../api/problem.js';
import { parseFieldSelector, parseLabelSelector, type Selector } from '../../api/selector.js';
import type { ApiObject } from '../../api/types.js';
import { negotiate } from './accept.js';
import { sendJson } from './body.js';
import { integerText, isTrue, type Exchange } from './exchange.js';
import { createRenderer, type Renderer } from './render.js';
import { serveWatch } from './watch.js';

/** Answer with one object, in the form the client wants. */
export function sendObject(exchange: Exchange, code: number, object: ApiObject): void {
  sendJson(exchange.response, code, rendererOf(exchange).object(object));
}

export function rendererOf({ request, target, query }: Exchange): Renderer {
  return createRenderer(target, negotiate(request.headers.accept), query, Date.now);
}

export async function get(exchange: Exchange): Promise<void> {
  const { registry, target, query } = exchange;
  if (!target.subresource && isTrue(query.get('watch'))) return listOrWatch(exchange);
  sendObject(exchange, 200, await registry.get(target, target.name!));
}

export async function listOrWatch(exchange: Exchange): Promise<void> {
  const { registry, target, response, query } = exchange;
  const selector = selectorOf(exchange);
  const renderer = rendererOf(exchange);
  checkListOptions(query);
  if (isTrue(query.get('watch'))) {
    const initial = query.get('sendInitialEvents');
    return serveWatch({
      registry,
      target,
      response,
      renderer,
      selector,
      resourceVersion: integerText(query, 'resourceVersion'),
      bookmarks: isTrue(query.get('allowWatchBookmarks')),
      initialEvents: initial === null ? undefined : isTrue(initial),
      timeoutSeconds: Number(integerText(query, 'timeoutSeconds') || 0),
    });
  }
  const page = await readPage(exchange, selector);
  sendJson(response, 200, renderer.list(page.items, page.metadata));
}

/** Labels, fields, and the name where the path has one. */
export function selectorOf({ target, query }: Exchange): Selector {
  const ofLabels = parseLabelSelector(query.get('labelSelector') ?? '');
  const ofFields = parseFieldSelector(query.get('fieldSelector') ?? '', target.kind);
  return (object) =>
    (target.name === undefined || object.metadata.name === target.name) &&
    ofLabels(object) &&
    ofFields(object);
}

/** Rules about options that only mean something together. k8s.io/apimachinery, pkg/apis/meta/internalversion/validation. */
function checkListOptions(query: URLSearchParams): void {
  const match = query.get('resourceVersionMatch') ?? '';
  const isWatch = isTrue(query.get('watch'));
  const refuse = (field: string, detail: string): ApiError =>
    invalidObject({ group: 'meta.k8s.io', plural: '', kind: 'ListOptions' }, '', [forbidden(field, detail)]);
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan')
    throw badRequest(`resourceVersionMatch must be Exact or NotOlderThan, not "${match}"`);
  if (query.has('sendInitialEvents')) {
    if (!isWatch) throw refuse('sendInitialEvents', 'sendInitialEvents is forbidden for list');
    if (match !== 'NotOlderThan') {
      const why = 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
      throw refuse('resourceVersionMatch', why);
    }
  } else if (match !== '' && isWatch) {
    const why = 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided';
    throw refuse('resourceVersionMatch', why);
  } else if (match !== '' && !query.get('resourceVersion')) {
    const why = 'resourceVersionMatch is forbidden unless resourceVersion is provided';
    throw refuse('resourceVersionMatch', why);
  }
}

interface Page {
  readonly items: ApiObject[];
  readonly metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}

/** One page of a list: all of it when there is no limit, else as many as the limit says, if there are as many. */
async function readPage({ registry, target, query }: Exchange, selector: Selector): Promise<Page> {
  const limit = Number(integerText(query, 'limit') || 0);
  const token = parseContinue(query.get('continue'));
  const exact = query.get('resourceVersionMatch') === 'Exact';
  const asked = Number(integerText(query, 'resourceVersion') || 0);
  const newest = registry.store.revision;
  if (asked > newest) {
    const why = `Too large resource version: ${asked}, current: ${newest}`;
    throw new ApiError(504, 'Timeout', why, { retryAfterSeconds: 1 });
  }
  const hasSelector = Boolean(query.get('labelSelector') || query.get('fieldSelector'));
  const items: ApiObject[] = [];
  let { after } = token;
  let revision = token.revision ?? (exact && asked > 0 ? asked : undefined);
  for (;;) {
    const missing = limit > 0 ? limit - items.length : undefined;
    const part = await registry.objects.list(target, { revision, after, limit: missing });
    revision = part.revision;
    items.push(...part.items.filter(selector));
    const last = part.items.at(-1)?.metadata;
    if (last) {
      after = target.namespace === undefined && last.namespace ? `${last.namespace}/${last.name}` : last.name;
    }
    const resourceVersion = String(revision);
    if (!part.more) return { items, metadata: { resourceVersion } };
    if (limit > 0 && items.length >= limit) {
      const next = Buffer.from(JSON.stringify({ revision, after })).toString('base64url');
      if (hasSelector) return { items, metadata: { resourceVersion, continue: next } };
      // Of the present, though the page may be of the past: Kubernetes calls it an estimate too.
      const remainingItemCount = await registry.objects.count(target, after!);
      return { items, metadata: { resourceVersion, continue: next, remainingItemCount } };
    }
  }
}

/** Where a list that was cut goes on: the last key it had, and the revision it was of. */
function parseContinue(text: string | null): { revision?: number; after?: string } {
  if (!text) return {};
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as {
      revision: unknown;
      after: unknown;
    };
    if (Number.isSafeInteger(token.revision) && typeof token.after === 'string') {
      return { revision: token.revision as number, after: token.after };
    }
  } catch {
    // Said below.
  }
  throw badRequest('continue key is not valid');
}
