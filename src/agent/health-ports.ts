/**
 * Health-check node ports: a load balancer in front of a cluster asks each host whether it has endpoints of a Service with
 * `externalTrafficPolicy: Local`, by HTTP on the Service's `healthCheckNodePort`. The answer is kube-proxy's: 200 with the
 * number of ready endpoints on this host, 503 when there are none.
 *
 * The port is in the range that goes to the router; the router has no Service there and hands it up again.
 */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { keyOf, SERVICE_NAME } from '../api/types.js';
import type { ClusterView, Service } from '../api/types.js';
import { bindTcp } from '../sys/listen.js';
import type { Logger } from './log.js';

export interface HealthPorts {
  /** Bring the listeners in step with the Services. A port that cannot be had is tried again each time. */
  sync(view: Pick<ClusterView, 'services' | 'endpointSlices'>): void;
  /** Ports on which we listen, in order. */
  ports(): number[];
  problems(): string[];
  close(): void;
}

interface HealthPort {
  readonly server: Server;
  readonly namespace: string;
  readonly name: string;
  localEndpoints: number;
}

/** Whether hosts have a health-check node port for a Service. */
export const wantsHealthPort = ({ spec }: Service): boolean =>
  spec.type === 'LoadBalancer' &&
  spec.externalTrafficPolicy === 'Local' &&
  (spec.healthCheckNodePort ?? 0) > 0;

/** How many ready endpoints are on `node`, of each of some Services: by the Service's key. */
export const localEndpoints = (
  services: readonly Service[],
  slices: ClusterView['endpointSlices'],
  node: string,
): ReadonlyMap<string, number> => {
  const addresses = new Map<string, Set<string>>();
  const names = new Set(services.map(({ metadata }) => metadata.name));
  for (const { metadata, endpoints, addressType } of services.length > 0 ? slices : []) {
    const service = metadata.labels?.[SERVICE_NAME];
    if (service === undefined || !names.has(service) || addressType === 'FQDN') continue;
    const key = `${metadata.namespace ?? 'default'}/${service}`;
    const found = addresses.get(key) ?? new Set();
    addresses.set(key, found);
    // A pod has an endpoint in the slices of each address family, and of each port: it counts once.
    for (const { nodeName, conditions, addresses: own, targetRef } of endpoints)
      if (nodeName === node && conditions?.ready !== false) found.add(targetRef?.uid ?? own[0]!);
  }
  return new Map([...addresses].map(([key, found]) => [key, found.size]));
};

/** The status of a host with so many ready endpoints. */
export const healthCode = (count: number): 200 | 503 => (count > 0 ? 200 : 503);

const serve = (fd: number, port: HealthPort): void => {
  port.server.on('request', (_request, response) => {
    const { namespace, name, localEndpoints: count } = port;
    response.writeHead(healthCode(count), {
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      'x-load-balancing-endpoint-weight': String(count),
      connection: 'close',
    });
    response.end(`${JSON.stringify({ service: { namespace, name }, localEndpoints: count })}\n`);
  });
  port.server.listen({ fd });
  port.server.unref();
};

export const openHealthPorts = (node: string, netns: string | undefined, log: Logger): HealthPorts => {
  const open = new Map<number, HealthPort>();
  const problems = new Map<number, string>();

  const listen = (number: number, namespace: string, name: string, count: number): void => {
    try {
      const fd = bindTcp(netns, number);
      const port: HealthPort = { server: createServer(), namespace, name, localEndpoints: count };
      port.server.on('error', (error) =>
        log.error({ err: error }, `Health-check node port ${number} failed`),
      );
      serve(fd, port);
      open.set(number, port);
      problems.delete(number);
    } catch (error) {
      const text = `Cannot serve the health checks of Service "${namespace}/${name}": ${error instanceof Error ? error.message : String(error)}`;
      if (problems.get(number) !== text) log.warn(text);
      problems.set(number, text);
    }
  };

  const end = (number: number): void => {
    const port = open.get(number);
    open.delete(number);
    port?.server.close();
    port?.server.closeAllConnections();
  };

  return {
    sync({ services, endpointSlices }) {
      const wanting = services.filter(wantsHealthPort);
      const counts = localEndpoints(wanting, endpointSlices, node);
      const wanted = new Map(wanting.map((service) => [service.spec.healthCheckNodePort!, service]));
      for (const number of problems.keys()) if (!wanted.has(number)) problems.delete(number);
      for (const number of [...open.keys()]) if (!wanted.has(number)) end(number);
      for (const [number, service] of wanted) {
        const { name, namespace = 'default' } = service.metadata;
        const count = counts.get(keyOf(service)) ?? 0;
        const port = open.get(number);
        if (port?.name === name && port.namespace === namespace) port.localEndpoints = count;
        else {
          end(number);
          listen(number, namespace, name, count);
        }
      }
    },
    ports: () => [...open.keys()].sort((a, b) => a - b),
    problems: () => [...problems.values()],
    close() {
      for (const number of [...open.keys()]) end(number);
    },
  };
};
