/**
 * HTTPRoute and GRPCRoute: the rows. They are stored; there is no controller for them yet.
 */
import {
  atMost,
  backendRefs,
  GRPC_FILTERS,
  HTTP_FILTERS,
  NAMED_MATCHES,
  routeKind,
  SESSION_PERSISTENCE,
  withDefault,
} from './gateway-schema.js';
import type { Kind } from './kind.js';
import { at, invalid } from './problem.js';
import { ANY, listOf, object, oneOf, STRING } from './schema.js';
import type { GRPCRoute, HTTPRoute } from './types.js';

const ROOT = { type: 'PathPrefix', value: '/' };
const METHODS = ['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE'];

const HTTP_RULE = object({
  backendRefs: backendRefs(HTTP_FILTERS),
  filters: HTTP_FILTERS,
  matches: withDefault(
    atMost(
      64,
      listOf(
        object({
          headers: NAMED_MATCHES,
          method: oneOf(...METHODS),
          path: withDefault(
            object({
              type: withDefault(oneOf('Exact', 'PathPrefix', 'RegularExpression'), 'PathPrefix'),
              value: withDefault(STRING, '/'),
            }),
            ROOT,
          ),
          queryParams: NAMED_MATCHES,
        }),
      ),
    ),
    [{ path: ROOT }],
  ),
  name: STRING,
  retry: ANY,
  sessionPersistence: SESSION_PERSISTENCE,
  timeouts: object({ backendRequest: STRING, request: STRING }),
});

export const HTTP_ROUTE: Kind<HTTPRoute> = routeKind<HTTPRoute>(
  'HTTPRoute',
  ['v1', 'v1beta1'],
  {
    rule: HTTP_RULE,
    rules: { most: 16, least: 1, default: [{ matches: [{ path: ROOT }] }] },
    hasHostnames: true,
  },
  ({ spec }) =>
    (spec.rules ?? []).flatMap(({ matches = [] }, i) =>
      matches.flatMap(({ path }, j) =>
        path && path.type !== 'RegularExpression' && !path.value?.startsWith('/')
          ? [
              invalid(
                `${at(`${at('spec.rules', i)}.matches`, j)}.path`,
                'object',
                "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']",
              ),
            ]
          : [],
      ),
    ),
);

const GRPC_RULE = object({
  backendRefs: backendRefs(GRPC_FILTERS),
  filters: GRPC_FILTERS,
  matches: atMost(
    64,
    listOf(
      object({
        headers: NAMED_MATCHES,
        method: object({
          method: STRING,
          service: STRING,
          type: withDefault(oneOf('Exact', 'RegularExpression'), 'Exact'),
        }),
      }),
    ),
  ),
  name: STRING,
  sessionPersistence: SESSION_PERSISTENCE,
});

export const GRPC_ROUTE: Kind<GRPCRoute> = routeKind<GRPCRoute>('GRPCRoute', ['v1'], {
  rule: GRPC_RULE,
  rules: { most: 16 },
  hasHostnames: true,
});
