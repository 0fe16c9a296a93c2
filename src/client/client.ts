/**
 * A client of the Kubernetes API, on a path socket or over TLS: get, list, watch, create, update, apply, delete.
 *
 * Every error is an ApiError: what the server said, or 503 when there is no server to say anything.
 */
import { Agent, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { keepAccountVolume } from '../api/account-volume.js';
import { DEFAULT_NAMESPACE, withDefaults } from '../api/defaults.js';
import { ApiError, errorOf, type Status } from '../api/error.js';
import { applyPatch, clone, equal, isMap, mergePatch } from '../api/json.js';
import { apiVersionOf, findKind, POD, SERVICE_ACCOUNT, type Kind } from '../api/kinds.js';
import type { ApiObject, Pod } from '../api/types.js';
import { explainFailure, nameOf, requestTo, type ServerAddress } from './server-address.js';

/** What `apply` was last given, so that what is no longer there can be taken away. As kubectl calls it. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

export interface ObjectList<T> {
  items: T[];
  resourceVersion: string;
}

export type WatchEvent<T> =
  { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: T } | { type: 'ERROR'; object: Status };

export interface Applied<T> {
  object: T;
  result: 'created' | 'configured' | 'unchanged';
}

export interface Client {
  /** @returns undefined when there is none of that name */
  get<T extends ApiObject>(kind: Kind<T>, name: string, namespace?: string): Promise<T | undefined>;
  list<T extends ApiObject>(kind: Kind<T>, options?: ListOptions): Promise<ObjectList<T>>;
  create<T extends ApiObject>(object: T): Promise<T>;
  /** Replace all but status. With its resourceVersion: only if nobody was faster, else 409. */
  update<T extends ApiObject>(object: T): Promise<T>;
  /** Replace status and nothing else. */
  updateStatus<T extends ApiObject>(object: T): Promise<T>;
  /** Replace what was decided about a request: its conditions. */
  updateApproval<T extends ApiObject>(object: T): Promise<T>;
  /** JSON merge patch. */
  patch<T extends ApiObject>(
    kind: Kind<T>,
    name: string,
    namespace: string | undefined,
    patch: object,
  ): Promise<T>;
  remove(
    kind: Kind,
    name: string,
    namespace?: string,
    options?: { gracePeriodSeconds?: number; uid?: string },
  ): Promise<void>;
  /** Create, or bring to what `object` says and leave what others have added, as `kubectl apply` does. */
  apply<T extends ApiObject>(object: T): Promise<Applied<T>>;
  /**
   * Be told of all changes after `resourceVersion`, in order, until the connection ends or `signal` aborts.
   *
   * @throws ApiError 410 when that version is no longer known: list again
   */
  watch<T extends ApiObject>(
    kind: Kind<T>,
    options: ListOptions & {
      resourceVersion: string;
      signal: AbortSignal;
      /** Told when the server has accepted. */
      opened?(): void;
      event(event: WatchEvent<T>): void;
    },
  ): Promise<void>;
  /** A token of a service account. authentication.k8s.io/v1 TokenRequest; the answer's `status.token`. */
  requestToken(namespace: string, account: string, spec: object): Promise<string>;
  /** Make watches and coming calls use new connections, by which the server knows us anew: our certificate has changed. */
  reconnect(): void;
  /** End all connections, also those of watches. */
  close(): void;
}

/** Calls that run at once; more would overrun the server's queue of connections (EAGAIN on a path socket). */
const MAX_CONNECTIONS = 32;

/**
 * Over a network a host can vanish without a word. A call that nothing comes of for so long has failed; and so has a watch,
 * for a server that lives sends bookmarks, at least one a minute.
 */
const CALL_SILENCE_MS = 60_000;
const WATCH_SILENCE_MS = 150_000;

export type ClientOptions = ServerAddress & {
  /** Who asks, for the server to know: `podwire-agent/node1`. */
  readonly userAgent?: string;
};

/** A client; it connects when it is first used. */
export function createClient(options: ClientOptions): Client {
  const { userAgent } = options;
  const isRemote = 'url' in options;
  const agent = isRemote
    ? // A session that is resumed is one of the certificate it began with.
      new TlsAgent({ keepAlive: true, maxSockets: MAX_CONNECTIONS, maxCachedSessions: 0 })
    : new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  // Watches never end, so they must not use up the connections of calls.
  const watchAgent = isRemote ? new TlsAgent({ maxCachedSessions: 0 }) : new Agent();
  /** Watches, to be ended when they shall begin anew. */
  const watches = new Set<IncomingMessage>();

  const open = (method: string, path: string, body?: unknown, type?: string, signal?: AbortSignal) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers: Record<string, string | number> = { accept: 'application/json' };
      if (userAgent !== undefined) headers['user-agent'] = userAgent;
      if (text !== undefined) {
        headers['content-type'] = type ?? 'application/json';
        headers['content-length'] = Buffer.byteLength(text);
      }
      const request = requestTo(
        options,
        { agent: signal ? watchAgent : agent, method, path, headers, signal },
        resolve,
      );
      if (isRemote)
        request.setTimeout(signal ? WATCH_SILENCE_MS : CALL_SILENCE_MS, () =>
          request.destroy(new Error('it does not answer')),
        );
      request.once('error', (error: NodeJS.ErrnoException) => {
        // The server had closed an idle connection when we took it. EPIPE: it has not seen the request. ECONNRESET: it
        // may have, so what would do harm twice is not repeated.
        const isUnseen = error.code === 'EPIPE' || (error.code === 'ECONNRESET' && method !== 'POST');
        if (request.reusedSocket && isUnseen) {
          open(method, path, body, type, signal).then(resolve, reject);
        } else reject(unreachable(error));
      });
      request.end(text);
    });
  const unreachable = (error: NodeJS.ErrnoException): ApiError =>
    new ApiError(
      503,
      'ServiceUnavailable',
      `Cannot reach the server at "${nameOf(options)}": ${explainFailure(error)}`,
    );

  const call = async <T>(method: string, path: string, body?: unknown, type?: string): Promise<T> => {
    const response = await open(method, path, body, type);
    let text = '';
    try {
      response.setEncoding('utf8');
      for await (const chunk of response) text += chunk as string;
    } catch (error) {
      throw unreachable(error as NodeJS.ErrnoException);
    }
    return answer(response, text) as T;
  };

  const write = <T extends ApiObject>(method: string, object: T, subresource?: string): Promise<T> => {
    const kind = kindOfObject(object);
    const namespace = kind.namespaced ? object.metadata.namespace || DEFAULT_NAMESPACE : undefined;
    const name = method === 'POST' ? undefined : object.metadata.name;
    return call<T>(method, `${pathOf(kind, namespace, name, subresource)}?fieldValidation=Strict`, object);
  };

  const client: Client = {
    async get<T extends ApiObject>(kind: Kind<T>, name: string, namespace?: string) {
      try {
        return await call<T>('GET', pathOf(kind, inNamespace(kind, namespace), name));
      } catch (error) {
        if (error instanceof ApiError && error.code === 404) return undefined;
        throw error;
      }
    },
    async list<T extends ApiObject>(kind: Kind<T>, options: ListOptions = {}) {
      type Answer = { items: T[]; metadata: { resourceVersion: string } };
      const { items, metadata } = await call<Answer>('GET', pathOf(kind, options.namespace) + query(options));
      // Items of a list need not say what they are.
      const type = { apiVersion: apiVersionOf(kind), kind: kind.kind };
      return {
        items: items.map((item) => ({ ...type, ...item })),
        resourceVersion: metadata.resourceVersion,
      };
    },
    create: (object) => write('POST', object),
    update: (object) => write('PUT', object),
    updateStatus: (object) => write('PUT', object, 'status'),
    updateApproval: (object) => write('PUT', object, 'approval'),
    patch: (kind, name, namespace, patch) =>
      call('PATCH', pathOf(kind, inNamespace(kind, namespace), name), patch, 'application/merge-patch+json'),
    async remove(kind, name, namespace, { gracePeriodSeconds, uid } = {}) {
      await call('DELETE', pathOf(kind, inNamespace(kind, namespace), name), {
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        gracePeriodSeconds,
        preconditions: uid === undefined ? undefined : { uid },
      });
    },
    async apply<T extends ApiObject>(object: T): Promise<Applied<T>> {
      const kind = kindOfObject(object) as unknown as Kind<T>;
      const { name, namespace } = object.metadata;
      const wanted = clone(object);
      wanted.metadata.annotations = {
        ...wanted.metadata.annotations,
        [LAST_APPLIED]: JSON.stringify(object),
      };
      const live = await client.get(kind, name, namespace);
      if (!live) return { object: await client.create(wanted), result: 'created' };
      const whole =
        kind === (POD as unknown)
          ? keepAccountVolume(wanted as ApiObject as Pod, live as ApiObject as Pod)
          : wanted;
      const patch = applyPatch(lastApplied(live), whole as unknown as Record<string, unknown>, live);
      // A list is replaced whole, and gets its defaults again: only then does it show whether anything has changed.
      const next = withDefaults(mergePatch(live, patch) as T);
      if (equal(next, live)) return { object: live, result: 'unchanged' };
      return { object: await client.patch(kind, name, namespace, patch), result: 'configured' };
    },
    async watch(kind, { resourceVersion, signal, opened, event, ...selection }) {
      const path = pathOf(kind, selection.namespace);
      const extra = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion };
      const response = await open(
        'GET',
        path + query({ ...selection, ...extra }),
        undefined,
        undefined,
        signal,
      );
      response.setEncoding('utf8');
      watches.add(response);
      let rest = '';
      try {
        if (response.statusCode !== 200) {
          for await (const chunk of response) rest += chunk as string;
          answer(response, rest);
        }
        opened?.();
        for await (const chunk of response) {
          const lines = (rest + (chunk as string)).split('\n');
          rest = lines.pop()!;
          for (const line of lines) if (line) event(JSON.parse(line));
        }
      } catch (error) {
        if (error instanceof ApiError) throw error;
        // One that was ended by us has ended as if the server had done it.
        if (!signal.aborted && watches.has(response)) throw unreachable(error as NodeJS.ErrnoException);
      } finally {
        watches.delete(response);
      }
    },
    async requestToken(namespace, account, spec) {
      const path = pathOf(SERVICE_ACCOUNT, namespace, account, 'token');
      const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
      return (await call<{ status: { token: string } }>('POST', path, request)).status.token;
    },
    reconnect() {
      for (const response of watches) {
        watches.delete(response);
        response.destroy();
      }
    },
    close() {
      agent.destroy();
      watchAgent.destroy();
    },
  };
  return client;
}

function answer(response: IncomingMessage, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const code = response.statusCode ?? 500;
  if (code < 400 && value !== undefined) return value;
  if (isMap(value) && value['kind'] === 'Status') throw errorOf(value as unknown as Status);
  throw new ApiError(code, 'InternalError', `The server answered ${code} with something that is no JSON`);
}

function kindOfObject(object: ApiObject): Kind {
  const kind = findKind(object.apiVersion, object.kind);
  if (!kind)
    throw new TypeError(`Cannot send an object of ${object.apiVersion}, kind ${object.kind}: unknown kind`);
  return kind;
}

const inNamespace = (kind: Kind<never>, namespace: string | undefined): string | undefined =>
  kind.namespaced ? namespace || DEFAULT_NAMESPACE : undefined;

/** The path of a kind, or of one object of it. */
function pathOf(kind: Kind<never>, namespace?: string, name?: string, subresource?: string): string {
  const parts = kind.group ? ['apis', kind.group] : ['api'];
  parts.push(kind.versions[0]!);
  if (kind.namespaced && namespace !== undefined) parts.push('namespaces', namespace);
  parts.push(kind.plural);
  if (name !== undefined) parts.push(name);
  if (subresource !== undefined) parts.push(subresource);
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

function query(options: Readonly<Record<string, string | undefined>> | ListOptions): string {
  const entries = Object.entries(options).filter(
    ([key, value]) => key !== 'namespace' && value !== undefined,
  );
  const text = new URLSearchParams(entries as [string, string][]).toString();
  return text ? `?${text}` : '';
}

function lastApplied(live: ApiObject): unknown {
  try {
    return JSON.parse(live.metadata.annotations?.[LAST_APPLIED] ?? 'null');
  } catch {
    return undefined;
  }
}
