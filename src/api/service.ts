/**
 * Service: the row, its defaults, and what its type means.
 *
 * Here is what an object says by itself. Which addresses and ports it gets is for control/service-allocation.ts, for
 * that depends on the lab and on all other Services.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import {
  BOOLEAN,
  CONDITIONS,
  INT32,
  INT_OR_STRING,
  listOf,
  object,
  objectSchema,
  oneOf,
  STRING,
  STRINGS,
  STRING_MAP,
} from './schema.js';
import { validateService } from './service-rules.js';
import { prepareServiceUpdate, validateServiceUpdate } from './service-update.js';
import { formatSelector, isExternallyAccessible, isLoadBalancer } from './service-type.js';
import type { Service } from './types.js';

/** How long a client sticks to its endpoint, unless the Service says otherwise: three hours. */
const DEFAULT_AFFINITY_SECONDS = 10800;

const PROTOCOL = oneOf('SCTP', 'TCP', 'UDP');
const TRAFFIC_POLICY = oneOf('Cluster', 'Local');

const SPEC = object({
  allocateLoadBalancerNodePorts: BOOLEAN,
  clusterIP: STRING,
  clusterIPs: STRINGS,
  externalIPs: STRINGS,
  externalName: STRING,
  externalTrafficPolicy: TRAFFIC_POLICY,
  healthCheckNodePort: INT32,
  internalTrafficPolicy: TRAFFIC_POLICY,
  ipFamilies: STRINGS,
  ipFamilyPolicy: oneOf('PreferDualStack', 'RequireDualStack', 'SingleStack'),
  loadBalancerClass: STRING,
  loadBalancerIP: STRING,
  loadBalancerSourceRanges: STRINGS,
  ports: listOf(
    object(
      {
        appProtocol: STRING,
        name: STRING,
        nodePort: INT32,
        port: INT32,
        protocol: PROTOCOL,
        targetPort: INT_OR_STRING,
      },
      ['port'],
    ),
    'port',
    { port: undefined, protocol: 'TCP' },
  ),
  publishNotReadyAddresses: BOOLEAN,
  selector: STRING_MAP,
  sessionAffinity: oneOf('ClientIP', 'None'),
  sessionAffinityConfig: object({ clientIP: object({ timeoutSeconds: INT32 }) }),
  trafficDistribution: STRING,
  type: oneOf('ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'),
});

const STATUS = object({
  conditions: CONDITIONS,
  loadBalancer: object({
    ingress: listOf(
      object({
        hostname: STRING,
        ip: STRING,
        ipMode: oneOf('Proxy', 'VIP'),
        ports: listOf(object({ error: STRING, port: INT32, protocol: PROTOCOL }, ['port', 'protocol'])),
      }),
    ),
  }),
});

export const SERVICE: Kind<Service> = {
  group: '',
  versions: ['v1'],
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status'],
  schema: objectSchema({ spec: SPEC, status: STATUS }),
  columns: [
    NAME_COLUMN,
    column('Type', ({ spec }) => spec.type ?? ''),
    column('Cluster-IP', ({ spec }) => spec.clusterIPs?.[0] ?? '<none>'),
    column('External-IP', externalAddresses),
    column('Port(s)', portsText),
    AGE_COLUMN,
    column('Selector', ({ spec }) => formatSelector(spec.selector), { priority: 1 }),
  ],
  selectable: ['spec.clusterIP', 'spec.type'],
  hasEffect: true,
  defaults(service) {
    service.spec ??= {};
    defaultSpec(service.spec);
    service.status ??= {};
    service.status.loadBalancer ??= {};
    for (const ingress of service.status.loadBalancer.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
  },
  validate: validateService,
  prepareCreate(service) {
    service.status = { loadBalancer: {} };
  },
  prepareUpdate: prepareServiceUpdate,
  validateUpdate: validateServiceUpdate,
  warnings: ({ spec }) =>
    (spec.ports ?? []).flatMap(({ protocol, port }, i) =>
      protocol === 'SCTP'
        ? [
            `spec.ports[${i}]: port ${port}/SCTP is stored, but packets to it are dropped: SCTP is not forwarded`,
          ]
        : [],
    ),
};

/** k8s.io/kubernetes, pkg/apis/core/v1/defaults.go, SetDefaults_Service. Zero and '' count as left out. */
function defaultSpec(spec: Service['spec']): void {
  spec.type ||= 'ClusterIP';
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  else {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= DEFAULT_AFFINITY_SECONDS;
  }
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    port.targetPort ||= port.port;
    if (!port.nodePort) delete port.nodePort;
  }
  if (!spec.healthCheckNodePort) delete spec.healthCheckNodePort;
  if (!spec.clusterIP) delete spec.clusterIP;
  if (spec.clusterIPs?.length === 0) delete spec.clusterIPs;
  if (spec.clusterIP) spec.clusterIPs ??= [spec.clusterIP];
  else if (spec.clusterIPs) spec.clusterIP = spec.clusterIPs[0];
  if (!spec.externalTrafficPolicy) delete spec.externalTrafficPolicy;
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ||= 'Cluster';
  if (isLoadBalancer(spec)) spec.allocateLoadBalancerNodePorts ??= true;
}

/** What `kubectl get services` shows as EXTERNAL-IP. k8s.io/kubernetes, pkg/printers/internalversion. */
function externalAddresses({ spec, status }: Service): string {
  if (spec.type === 'ExternalName') return spec.externalName ?? '<none>';
  const addresses = [...(spec.externalIPs ?? [])];
  if (!isLoadBalancer(spec)) return addresses.join(',') || '<none>';
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip || hostname || []);
  return [...new Set(ingress)].sort().concat(addresses).join(',') || '<pending>';
}

function portsText({ spec }: Service): string {
  const text = (spec.ports ?? []).map(
    ({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol ?? 'TCP'}`,
  );
  return text.join(',') || '<none>';
}
