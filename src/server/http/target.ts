/**
 * A request's path, taken apart. The grammar is that of Kubernetes:
 *
 *     /api/v1 | /apis/GROUP/VERSION, then
 *     /PLURAL[/NAME[/SUBRESOURCE]] | /namespaces/NAMESPACE/PLURAL[/NAME[/SUBRESOURCE]]
 *
 * Behind the subresource `proxy` stands a path of somebody else's, see {@link proxiedPath}.
 */
import { badRequest } from '../../api/error.js';
import { KINDS, NAMESPACE, type Kind } from '../../api/kinds.js';

/** The subresource that leads to what an object stands for: a node's agent. */
export const PROXY = 'proxy';

/** What a path names. */
export interface Target {
  readonly kind: Kind;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** @returns undefined when there is nothing at this path. @throws ApiError 400 when it is no path at all */
export function parseTarget(pathname: string): Target | undefined {
  const parts = splitPath(pathname);
  let group = '';
  if (parts[0] === 'apis') group = parts[1] ?? '';
  else if (parts[0] !== 'api') return undefined;
  const rest = parts.slice(parts[0] === 'apis' ? 2 : 1);
  const version = rest.shift() ?? '';
  let namespace: string | undefined;
  // /namespaces/x and /namespaces/x/status are about the namespace; anything else is about what is in it.
  if (rest[0] === NAMESPACE.plural && rest.length > 2 && !NAMESPACE.subresources.includes(rest[2]!)) {
    namespace = rest[1];
    rest.splice(0, 2);
  }
  const [plural, name, subresource, ...more] = rest;
  const kind = KINDS.find(
    (row) => row.plural === plural && row.group === group && row.versions.includes(version),
  );
  if (!kind || (more.length > 0 && subresource !== PROXY) || name === '' || namespace === '')
    return undefined;
  if (!kind.namespaced && namespace !== undefined) return undefined;
  // One object of a kind that has namespaces is never named without its own.
  if (kind.namespaced && name !== undefined && namespace === undefined) return undefined;
  if (subresource !== undefined && !kind.subresources.includes(subresource)) return undefined;
  return { kind, version, namespace, name, subresource };
}

/**
 * The path behind `/proxy` of a node's path, with its query, as it was sent: `/api/v1/nodes/NAME/proxy`, then the rest. Counted by
 * slashes, for a node may be named `proxy`, and each part may be percent-encoded.
 */
export function proxiedPath({ pathname, search }: URL): string {
  const rest = pathname.split('/').slice(6).join('/');
  return `/${rest}${search}`;
}

/** The parts of a path. @throws ApiError 400 when it is none */
export function splitPath(pathname: string): string[] {
  const parts = pathname.split('/').slice(1).map(decode);
  if (parts.at(-1) === '') parts.pop();
  return parts;
}

function decode(part: string): string {
  let text: string;
  try {
    text = decodeURIComponent(part);
  } catch {
    throw badRequest(`Cannot decode "${part}": not percent-encoded UTF-8`);
  }
  // A slash or a control character would reach another key of the store.
  if (/[/\u0000-\u001f\uffff]/.test(text)) throw badRequest(`"${part}" cannot be part of a name`);
  return text;
}
