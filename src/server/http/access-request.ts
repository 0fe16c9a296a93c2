/**
 * A request as roles see it: its verb, and the resource or the path that it is for.
 *
 * What is served is found by target.ts, and that is what is asked about. A path that nothing is served at is read by the same
 * grammar, so that who has no rights learns nothing of what there is.
 *
 * Source: k8s.io/apiserver, pkg/endpoints/request/requestinfo.go.
 */
import { NAMESPACE } from '../../api/kinds.js';
import { verbOf, type AccessRequest } from '../../authorization/request.js';
import { isTrue } from './exchange.js';
import { parseReview } from './reviews.js';
import { parseTarget, splitPath } from './target.js';

/** @throws ApiError 400 when the path is none */
export function accessRequestOf(method: string, { pathname, searchParams: query }: URL): AccessRequest {
  const isWatch = isTrue(query.get('watch'));
  const review = method === 'POST' ? parseReview(pathname) : undefined;
  if (review) {
    const { group, plural } = review.review;
    return {
      verb: 'create',
      group,
      resource: plural,
      subresource: '',
      namespace: review.namespace,
      name: '',
    };
  }
  const target = parseTarget(pathname);
  if (target) {
    const { kind, subresource = '', name = '' } = target;
    // A namespace counts as being in itself, so that a Role in it can be about it.
    const namespace = kind === NAMESPACE ? name : (target.namespace ?? '');
    const verb = verbOf(method, name !== '', isWatch && subresource === '');
    const selected = name === '' ? selectedName(query.get('fieldSelector') ?? '') : name;
    return { verb, group: kind.group, resource: kind.plural, subresource, namespace, name: selected };
  }
  return unknown(method, pathname, isWatch);
}

/** A list of one object: `metadata.name=web` among what a field selector asks for. */
function selectedName(selector: string): string {
  for (const term of selector.includes('\\') ? [] : selector.split(',')) {
    const name = /^metadata\.name==?([A-Za-z0-9.:_-]+)$/.exec(term)?.[1];
    if (name !== undefined) return name;
  }
  return '';
}

/** For a path below `/api` or `/apis` that nothing is served at. */
function unknown(method: string, pathname: string, isWatch: boolean): AccessRequest {
  const parts = splitPath(pathname);
  const group = parts[0] === 'apis' ? (parts[1] ?? '') : '';
  const rest = parts[0] === 'apis' ? parts.slice(3) : parts[0] === 'api' ? parts.slice(2) : [];
  if (rest.length === 0) return { verb: method.toLowerCase(), path: pathname };
  const isInNamespace = rest[0] === NAMESPACE.plural && rest.length > 2;
  const namespace = isInNamespace ? rest[1]! : '';
  const [resource = '', name = '', subresource = ''] = isInNamespace ? rest.slice(2) : rest;
  return { verb: verbOf(method, name !== '', isWatch), group, resource, subresource, namespace, name };
}
