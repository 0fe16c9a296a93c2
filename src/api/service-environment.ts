/**
 * The environment variables that tell a container of the Services: `REDIS_SERVICE_HOST` and its like, and those of
 * docker's links. They are taken once, when the container starts.
 *
 * Source: kubernetes.io/docs/concepts/services-networking/service/#environment-variables;
 * k8s.io/kubernetes, pkg/kubelet/envvars/envvars.go, pkg/kubelet/kubelet_pods.go (getServiceEnvVarMap).
 */
import type { Pod, Service } from './types.js';

/** Where the Service of the API is, which every pod is told of. */
const API_NAMESPACE = 'default';
const API_SERVICE = 'kubernetes';

/**
 * The variables for the containers of a pod: of the Services of its namespace, unless `enableServiceLinks` is false,
 * and always of `default/kubernetes`. Services without an address of their own have none.
 *
 * @returns  in the order of the Services' names
 */
export function serviceEnvironment(pod: Pod, services: readonly Service[]): Record<string, string> {
  const { namespace = 'default' } = pod.metadata;
  const areLinked = pod.spec.enableServiceLinks ?? true;
  const chosen = new Map<string, Service>();
  for (const service of services) {
    const { clusterIP, ports = [] } = service.spec;
    if (!clusterIP || clusterIP === 'None' || ports.length === 0) continue;
    const { name } = service.metadata;
    const isOurs = areLinked && (service.metadata.namespace ?? 'default') === namespace;
    const isApi = service.metadata.namespace === API_NAMESPACE && name === API_SERVICE;
    // A Service called `kubernetes` in the pod's own namespace hides that of the API.
    if (isOurs || (isApi && !chosen.has(name))) chosen.set(name, service);
  }
  const names = [...chosen.keys()].sort();
  return Object.assign({}, ...names.map((name) => variablesOf(chosen.get(name)!))) as Record<string, string>;
}

/** The variables of one Service, which has an address and a port. */
function variablesOf({ metadata, spec }: Service): Record<string, string> {
  const { clusterIP = '', ports = [] } = spec;
  const prefix = variableName(metadata.name);
  const env: Record<string, string> = {
    [`${prefix}_SERVICE_HOST`]: clusterIP,
    [`${prefix}_SERVICE_PORT`]: String(ports[0].port),
  };
  for (const { name, port } of ports)
    if (name) env[`${prefix}_SERVICE_PORT_${variableName(name)}`] = String(port);
  const host = clusterIP.includes(':') ? `[${clusterIP}]` : clusterIP;
  ports.forEach(({ port, protocol = 'TCP' }, i) => {
    const word = protocol.toLowerCase();
    const url = `${word}://${host}:${port}`;
    const link = `${prefix}_PORT_${port}_${protocol}`;
    if (i === 0) env[`${prefix}_PORT`] = url;
    env[link] = url;
    env[`${link}_PROTO`] = word;
    env[`${link}_PORT`] = String(port);
    env[`${link}_ADDR`] = clusterIP;
  });
  return env;
}

const variableName = (name: string): string => name.toUpperCase().replaceAll('-', '_');
