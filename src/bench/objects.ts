/** Services of a benchmark: one endpoint each, on another node. */
import { SERVICE_NAME, type EndpointSlice, type Service } from '../api/types.js';

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly nodePort?: number;
}

const NAMESPACE = 'default';

export const serviceOf = (name: string, clusterIP: string, ports: readonly NamedPort[]): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: NAMESPACE, name },
  spec: {
    type: ports.some(({ nodePort }) => nodePort !== undefined) ? 'NodePort' : 'ClusterIP',
    clusterIP,
    clusterIPs: [clusterIP],
    ports: ports.map((port) => ({ ...port, protocol: 'TCP' })),
  },
  status: {},
});

export const sliceOf = (
  service: string,
  address: string,
  nodeName: string,
  ports: readonly NamedPort[],
): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { namespace: NAMESPACE, name: `${service}-1`, labels: { [SERVICE_NAME]: service } },
  addressType: 'IPv4',
  endpoints: [
    { addresses: [address], nodeName, conditions: { ready: true, serving: true, terminating: false } },
  ],
  ports: ports.map(({ name, port }) => ({ name, port, protocol: 'TCP' })),
});
