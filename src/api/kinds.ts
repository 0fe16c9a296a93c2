/**
 * All resources, one row each. A row drives routes, discovery, the store's keys, selectors, printers and the names
 * on the command line. To add a kind: a file beside this one, and a line here.
 */
import { CERTIFICATE_SIGNING_REQUEST } from './certificate-signing-request.js';
import { CONFIG_MAP } from './config-map.js';
import { CONTROLLER_REVISION } from './controller-revision.js';
import { DAEMON_SET } from './daemon-set.js';
import { DEPLOYMENT } from './deployment.js';
import { ENDPOINT_SLICE } from './endpoint-slice.js';
import { ENDPOINTS } from './endpoints.js';
import { EVENT } from './event.js';
import { GATEWAY_CLASS } from './gateway-class.js';
import { GATEWAY } from './gateway.js';
import { GRPC_ROUTE, HTTP_ROUTE } from './http-route.js';
import { INGRESS_CLASS } from './ingress-class.js';
import { INGRESS } from './ingress.js';
import type { Kind } from './kind.js';
import { LAB } from './lab.js';
import { LEASE } from './lease.js';
import { NAMESPACE } from './namespace.js';
import { NETWORK_POLICY } from './network-policy.js';
import { NODE } from './node.js';
import { POD } from './pod.js';
import { REFERENCE_GRANT } from './reference-grant.js';
import { REPLICA_SET } from './replica-set.js';
import { CLUSTER_ROLE_BINDING, ROLE_BINDING } from './role-binding.js';
import { CLUSTER_ROLE, ROLE } from './role.js';
import { SECRET } from './secret.js';
import { SERVICE_ACCOUNT } from './service-account.js';
import { SERVICE } from './service.js';
import { STATEFUL_SET } from './stateful-set.js';
import { TCP_ROUTE, TLS_ROUTE, UDP_ROUTE } from './stream-route.js';
import type { ApiObject } from './types.js';

export { apiVersionOf, type Column, type Kind } from './kind.js';
export {
  CERTIFICATE_SIGNING_REQUEST,
  CLUSTER_ROLE,
  CLUSTER_ROLE_BINDING,
  CONFIG_MAP,
  CONTROLLER_REVISION,
  DAEMON_SET,
  DEPLOYMENT,
  ENDPOINTS,
  ENDPOINT_SLICE,
  EVENT,
  GATEWAY,
  GATEWAY_CLASS,
  GRPC_ROUTE,
  HTTP_ROUTE,
  INGRESS,
  INGRESS_CLASS,
  LAB,
  LEASE,
  NAMESPACE,
  NETWORK_POLICY,
  NODE,
  POD,
  REFERENCE_GRANT,
  REPLICA_SET,
  ROLE,
  ROLE_BINDING,
  SECRET,
  SERVICE,
  SERVICE_ACCOUNT,
  STATEFUL_SET,
  TCP_ROUTE,
  TLS_ROUTE,
  UDP_ROUTE,
};

export const KINDS: readonly Kind[] = [
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  ENDPOINTS,
  ENDPOINT_SLICE,
  CONFIG_MAP,
  SECRET,
  SERVICE_ACCOUNT,
  EVENT,
  LEASE,
  DEPLOYMENT,
  REPLICA_SET,
  STATEFUL_SET,
  DAEMON_SET,
  CONTROLLER_REVISION,
  INGRESS,
  INGRESS_CLASS,
  NETWORK_POLICY,
  GATEWAY_CLASS,
  GATEWAY,
  HTTP_ROUTE,
  GRPC_ROUTE,
  TCP_ROUTE,
  UDP_ROUTE,
  TLS_ROUTE,
  REFERENCE_GRANT,
  ROLE,
  ROLE_BINDING,
  CLUSTER_ROLE,
  CLUSTER_ROLE_BINDING,
  CERTIFICATE_SIGNING_REQUEST,
  LAB,
];

/** The row of an object's kind. */
export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  return KINDS.find((row) => row.kind === kind && row.group === group && row.versions.includes(version));
}

/** The row of an object. */
export const kindOf = (object: ApiObject): Kind | undefined => findKind(object.apiVersion, object.kind);

/** The row that a user means by `pods`, `pod`, `po`, `Pod` or `labs.podwire.dev`. */
export function findPlural(name: string): Kind | undefined {
  const lower = name.toLowerCase();
  return KINDS.find(
    (row) =>
      [row.plural, row.singular, ...row.shortNames].includes(lower) ||
      (row.group !== '' && lower === `${row.plural}.${row.group}`),
  );
}
