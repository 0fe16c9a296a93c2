/**
 * What a Service's type entitles it to.
 *
 * Source: k8s.io/kubernetes, pkg/api/service/util.go.
 */
import type { ServiceSpec } from './types.js';

/** `clusterIP` of a Service whose name stands for its endpoints, without an address of its own. */
export const HEADLESS = 'None';

type Typed = Pick<ServiceSpec, 'type'>;

export const isExternalName = (spec: Typed): boolean => spec.type === 'ExternalName';

export const isLoadBalancer = (spec: Typed): boolean => spec.type === 'LoadBalancer';

export const isHeadless = (spec: Pick<ServiceSpec, 'clusterIP'>): boolean => spec.clusterIP === HEADLESS;

/** Whether this type has ports on every node. */
export const hasNodePorts = (spec: Typed): boolean => spec.type === 'NodePort' || isLoadBalancer(spec);

/** The ports of every host that NodePorts and health checks are taken from. */
export const NODE_PORTS = { first: 30000, last: 32767 } as const;

/** Whether somebody outside of the cluster can be its client. */
export const isExternallyAccessible = (spec: ServiceSpec): boolean =>
  hasNodePorts(spec) || (!isExternalName(spec) && (spec.externalIPs ?? []).length > 0);

/** Whether load balancers must ask each node if it has an endpoint. */
export const needsHealthCheck = (spec: ServiceSpec): boolean =>
  isLoadBalancer(spec) && spec.externalTrafficPolicy === 'Local';

/** Whether control finds its endpoints; if not, somebody writes them by hand. */
export const hasSelector = (spec: ServiceSpec): boolean =>
  Object.keys(spec.selector ?? {}).length > 0 && !isExternalName(spec);

/** `app=web,tier=front`, or `<none>`. */
export const formatSelector = (selector: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(selector ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',') || '<none>';
