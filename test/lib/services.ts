/**
 * Service and EndpointSlice objects for tests, with little to say.
 */
import {
  SERVICE_NAME,
  type Endpoint,
  type EndpointSlice,
  type Service,
  type ServiceSpec,
} from '../../src/api/types.js';

/** A Service `default/name` with one TCP port 80 unless `spec` says otherwise. */
export function serviceObject(
  name: string,
  spec: Partial<ServiceSpec> & { annotations?: Record<string, string>; loadBalancer?: string },
): Service {
  const { annotations, loadBalancer, ...rest } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name, annotations },
    spec: {
      type: 'ClusterIP',
      ports: [{ port: 80, protocol: 'TCP' }],
      clusterIPs: rest.clusterIP ? [rest.clusterIP] : [],
      ...rest,
    },
    status: loadBalancer === undefined ? {} : { loadBalancer: { ingress: [{ ip: loadBalancer }] } },
  };
}

export interface SliceEndpoint {
  ip: string;
  node?: string;
  ready?: boolean;
  serving?: boolean;
  terminating?: boolean;
  hints?: Endpoint['hints'];
}

/** The slice of a Service with one unnamed TCP port 8080 unless said otherwise. */
export function sliceObject(
  service: string,
  endpoints: readonly SliceEndpoint[],
  ports: EndpointSlice['ports'] = [{ name: '', port: 8080, protocol: 'TCP' }],
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'default', name: `${service}-1`, labels: { [SERVICE_NAME]: service } },
    addressType: 'IPv4',
    endpoints: endpoints.map(({ ip, node, ready = true, serving = ready, terminating = false, hints }) => ({
      addresses: [ip],
      nodeName: node,
      conditions: { ready, serving, terminating },
      hints,
    })),
    ports,
  };
}
