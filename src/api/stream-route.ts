/**
 * TCPRoute, UDPRoute and TLSRoute: the rows. They are stored; there is no controller for them yet.
 */
import { backendRefs, routeKind } from './gateway-schema.js';
import type { Kind } from './kind.js';
import { object, STRING } from './schema.js';
import type { TCPRoute, TLSRoute, UDPRoute } from './types.js';

const RULE = { rule: object({ backendRefs: backendRefs(), name: STRING }), rules: { most: 16, least: 1 } };

export const TCP_ROUTE: Kind<TCPRoute> = routeKind<TCPRoute>('TCPRoute', ['v1', 'v1alpha2'], {
  ...RULE,
  hasHostnames: false,
});
export const UDP_ROUTE: Kind<UDPRoute> = routeKind<UDPRoute>('UDPRoute', ['v1', 'v1alpha2'], {
  ...RULE,
  hasHostnames: false,
});
export const TLS_ROUTE: Kind<TLSRoute> = routeKind<TLSRoute>('TLSRoute', ['v1', 'v1alpha3', 'v1alpha2'], {
  ...RULE,
  hasHostnames: true,
});
