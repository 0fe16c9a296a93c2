/**
 * gateway.networking.k8s.io: Gateways and the routes behind them.
 */
import type { ApiObject, Condition } from './object-meta.js';
import type { LabelSelector } from './workload-types.js';

export interface GatewayClass extends ApiObject {
  spec: { controllerName: string; description?: string };
  status?: { conditions?: Condition[] };
}

export interface Listener {
  name: string;
  hostname?: string;
  port: number;
  protocol: string;
  tls?: { mode?: string; certificateRefs?: Omit<BackendReference, 'port'>[] };
  allowedRoutes?: {
    namespaces?: { from?: string; selector?: LabelSelector };
    kinds?: { group?: string; kind: string }[];
  };
}

export interface Gateway extends ApiObject {
  spec: {
    gatewayClassName: string;
    listeners: Listener[];
    addresses?: { type?: string; value?: string }[];
  };
  status?: {
    addresses?: { type?: string; value: string }[];
    conditions?: Condition[];
    listeners?: { name: string; attachedRoutes: number; conditions: Condition[] }[];
  };
}

/** Where a route hangs. */
export interface ParentReference {
  group?: string;
  kind?: string;
  namespace?: string;
  name: string;
  sectionName?: string;
  port?: number;
}

/** Another object, a Service unless it says otherwise. */
export interface BackendReference {
  group?: string;
  kind?: string;
  namespace?: string;
  name: string;
  port?: number;
}

export interface WeightedBackend extends BackendReference {
  weight?: number;
}

interface RouteStatus {
  parents?: { parentRef: ParentReference; controllerName: string; conditions: Condition[] }[];
}

export interface HTTPRouteMatch {
  path?: { type?: string; value?: string };
  headers?: { type?: string; name: string; value: string }[];
  queryParams?: { type?: string; name: string; value: string }[];
  method?: string;
}

export interface HTTPRoute extends ApiObject {
  spec: {
    parentRefs?: ParentReference[];
    hostnames?: string[];
    rules?: {
      name?: string;
      matches?: HTTPRouteMatch[];
      backendRefs?: WeightedBackend[];
      filters?: { type: string }[];
    }[];
  };
  status?: RouteStatus;
}

export interface GRPCRoute extends ApiObject {
  spec: {
    parentRefs?: ParentReference[];
    hostnames?: string[];
    rules?: {
      name?: string;
      matches?: {
        method?: { type?: string; service?: string; method?: string };
        headers?: { type?: string; name: string; value: string }[];
      }[];
      backendRefs?: WeightedBackend[];
      filters?: { type: string }[];
    }[];
  };
  status?: RouteStatus;
}

/** A route that looks at no more than ports. */
interface StreamRoute extends ApiObject {
  spec: {
    parentRefs?: ParentReference[];
    rules: { name?: string; backendRefs?: WeightedBackend[] }[];
  };
  status?: RouteStatus;
}

export interface TCPRoute extends StreamRoute {}
export interface UDPRoute extends StreamRoute {}

export interface TLSRoute extends StreamRoute {
  spec: StreamRoute['spec'] & { hostnames?: string[] };
}

/** Allows references from other namespaces into its own. */
export interface ReferenceGrant extends ApiObject {
  spec: {
    from: { group: string; kind: string; namespace: string }[];
    to: { group: string; kind: string; name?: string }[];
  };
}
