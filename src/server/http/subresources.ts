/**
 * What stands behind an object's name in a path: `/pods/web/eviction`. One row each; which kinds have which, their own rows
 * say.
 */
import type { Serve } from './exchange.js';
import { binding, eviction } from './pod-actions.js';
import { get } from './read.js';
import { getScale, patchScale, updateScale } from './scale.js';
import { requestToken } from './token-request.js';
import { patch, update } from './write.js';

export interface Subresource {
  /** The kind of its objects; undefined: that of the object it belongs to. */
  readonly type?: { readonly group: string; readonly version: string; readonly kind: string };
  /** As discovery lists them. */
  readonly verbs: readonly string[];
  /** It is no object but a stream from and to a pod's host. */
  readonly isStream?: boolean;
  /** By method. */
  readonly serve: Readonly<Record<string, Serve | undefined>>;
}

export const SUBRESOURCES: Readonly<Record<string, Subresource | undefined>> = {
  status: { verbs: ['get', 'patch', 'update'], serve: { GET: get, PUT: update, PATCH: patch } },
  approval: { verbs: ['get', 'patch', 'update'], serve: { GET: get, PUT: update, PATCH: patch } },
  ephemeralcontainers: { verbs: ['get', 'patch', 'update'], serve: { GET: get, PUT: update, PATCH: patch } },
  scale: {
    type: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
    verbs: ['get', 'patch', 'update'],
    serve: { GET: getScale, PUT: updateScale, PATCH: patchScale },
  },
  binding: {
    type: { group: '', version: 'v1', kind: 'Binding' },
    verbs: ['create'],
    serve: { POST: binding },
  },
  eviction: {
    type: { group: 'policy', version: 'v1', kind: 'Eviction' },
    verbs: ['create'],
    serve: { POST: eviction },
  },
  token: {
    type: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
    verbs: ['create'],
    serve: { POST: requestToken },
  },
  log: { verbs: ['get'], isStream: true, serve: {} },
  exec: { verbs: ['create', 'get'], isStream: true, serve: {} },
  attach: { verbs: ['create', 'get'], isStream: true, serve: {} },
  proxy: {
    type: { group: '', version: 'v1', kind: 'NodeProxyOptions' },
    verbs: ['get'],
    isStream: true,
    serve: {},
  },
  portforward: { verbs: ['create', 'get'], isStream: true, serve: {} },
};
