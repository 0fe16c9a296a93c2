/** The objects of which the protocol's cases ask. */
import type { ApiObject, EndpointSlice } from '../../../src/api/types.js';
import { objectsOf } from '../../lib/dns.js';

/** The name of the Service that every cluster has. */
export const KUBERNETES = 'kubernetes.default.svc.cluster.local';

/** Headless Services `pods-N` with so many endpoints, each with an IPv4 address, none with a hostname. */
const SIZES = [2, 20, 100, 200];

export function zoneObjects(): ApiObject[] {
  const fixed = objectsOf(`
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{name: https, port: 443, protocol: TCP}]}
---
{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: default}, spec: {type: ExternalName, externalName: www.example.com}}
---
{apiVersion: v1, kind: Service, metadata: {name: ping, namespace: default}, spec: {type: ExternalName, externalName: pong.default.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: pong, namespace: default}, spec: {type: ExternalName, externalName: ping.default.svc.cluster.local}}
`);
  const headless = SIZES.flatMap((size): ApiObject[] => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `pods-${size}`, namespace: 'default' },
      spec: {
        clusterIP: 'None',
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 81 },
        ],
      },
    } as ApiObject,
    // The same endpoints on each port, as control makes slices: one with both.
    slice(size, 'x', [80, 81]),
    // And once more, as hand-made slices may say it.
    slice(size, 'y', [81]),
  ]);
  return [...fixed, ...headless];
}

const slice = (size: number, suffix: string, ports: readonly number[]): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: `pods-${size}-${suffix}`,
    namespace: 'default',
    labels: { 'kubernetes.io/service-name': `pods-${size}` },
  },
  addressType: 'IPv4',
  endpoints: Array.from({ length: size }, (_, i) => ({
    addresses: [`10.244.${1 + (i >> 7)}.${2 + (i & 127)}`],
    conditions: { ready: true },
  })),
  ports: ports.map((port) => ({ name: port === 80 ? 'a' : 'b', port, protocol: 'TCP' })),
});
