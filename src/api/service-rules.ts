/**
 * The rules for a Service, in Kubernetes' own sentences and in its order. They hold for an object before control has
 * given it addresses: what is left out is not missed here.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go, ValidateService.
 */
import { parseAddress, parseCidr } from '../wire/address.js';
import { SCHEDULERS } from './lab.js';
import { at, duplicate, forbidden, invalid, notSupported, required, type Problem } from './problem.js';
import {
  checkAddress,
  checkDns1035Label,
  checkDnsLabel,
  checkDnsSubdomain,
  checkLabels,
  checkNonSpecialAddress,
  checkPort,
  checkPortName,
  checkQualifiedName,
} from './rules.js';
import {
  HEADLESS,
  hasNodePorts,
  isExternallyAccessible,
  isExternalName,
  isHeadless,
  isLoadBalancer,
  needsHealthCheck,
} from './service-type.js';
import {
  SCHEDULER_ANNOTATION,
  type IpFamily,
  type Service,
  type ServicePort,
  type ServiceSpec,
} from './types.js';

/** The longest time a client may stick to its endpoint: a day. */
const MAX_AFFINITY_SECONDS = 86400;
const KUBELET_PORT = 10250;
const IP_FAMILIES: readonly IpFamily[] = ['IPv4', 'IPv6'];
const TRAFFIC_DISTRIBUTIONS = ['PreferClose', 'PreferSameNode', 'PreferSameZone'];

const ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'";

export function validateService(service: Service): Problem[] {
  const { metadata, spec } = service;
  const scheduler = metadata.annotations?.[SCHEDULER_ANNOTATION];
  return [
    ...(metadata.name ? checkDns1035Label(metadata.name, 'metadata.name') : []),
    ...(scheduler !== undefined && !(SCHEDULERS as readonly string[]).includes(scheduler)
      ? [notSupported(at('metadata.annotations', SCHEDULER_ANNOTATION), scheduler, SCHEDULERS)]
      : []),
    ...checkType(spec),
    ...(spec.ports ?? []).flatMap((port, i) => checkServicePort(port, i, spec)),
    ...checkLabels(spec.selector ?? {}, 'spec.selector'),
    ...checkAffinity(spec),
    ...checkClusterIPs(spec),
    ...(spec.externalIPs ?? []).flatMap((ip, i) => checkNonSpecialAddress(ip, at('spec.externalIPs', i))),
    ...checkRepeatedPorts(spec),
    ...checkLoadBalancer(spec),
    ...checkExternalTraffic(spec),
    ...(spec.trafficDistribution && !TRAFFIC_DISTRIBUTIONS.includes(spec.trafficDistribution)
      ? [notSupported('spec.trafficDistribution', spec.trafficDistribution, TRAFFIC_DISTRIBUTIONS)]
      : []),
  ];
}

function checkType(spec: ServiceSpec): Problem[] {
  const problems: Problem[] = [];
  if (!spec.ports?.length && !isHeadless(spec) && !isExternalName(spec)) {
    problems.push(required('spec.ports'));
  }
  if (hasNodePorts(spec) && isHeadless(spec)) {
    problems.push(
      invalid(at('spec.clusterIPs', 0), HEADLESS, `may not be set to 'None' for ${spec.type} services`),
    );
  }
  if (isLoadBalancer(spec)) {
    spec.ports?.forEach(({ port }, i) => {
      if (port === KUBELET_PORT) {
        const detail = `may not expose port ${port} externally since it is used by kubelet`;
        problems.push(invalid(at('spec.ports', i), port, detail));
      }
    });
  }
  if (!isExternalName(spec)) return problems;
  const detail = 'may not be set for ExternalName services';
  if (spec.clusterIPs?.length) problems.push(forbidden('spec.clusterIPs', detail));
  if (spec.ipFamilies?.length) problems.push(forbidden('spec.ipFamilies', detail));
  if (spec.ipFamilyPolicy) problems.push(forbidden('spec.ipFamilyPolicy', detail));
  // A trailing dot says that the name is complete.
  const name = (spec.externalName ?? '').replace(/\.$/, '');
  problems.push(...(name ? checkDnsSubdomain(name, 'spec.externalName') : [required('spec.externalName')]));
  return problems;
}

function checkServicePort(port: ServicePort, i: number, spec: ServiceSpec): Problem[] {
  const field = at('spec.ports', i);
  const problems: Problem[] = [];
  if (port.name) {
    problems.push(...checkDnsLabel(port.name, `${field}.name`));
    if (spec.ports!.slice(0, i).some(({ name }) => name === port.name)) {
      problems.push(duplicate(`${field}.name`, port.name));
    }
  } else if (spec.ports!.length > 1) problems.push(required(`${field}.name`));
  problems.push(...checkPort(port.port, `${field}.port`));
  const { targetPort } = port;
  if (typeof targetPort === 'string') problems.push(...checkPortName(targetPort, `${field}.targetPort`));
  else if (targetPort !== undefined) problems.push(...checkPort(targetPort, `${field}.targetPort`));
  if (port.appProtocol) problems.push(...checkQualifiedName(port.appProtocol, `${field}.appProtocol`));
  if (port.nodePort !== undefined && spec.type === 'ClusterIP') {
    problems.push(forbidden(`${field}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
  }
  return problems;
}

/** Two ports may have one number only with different protocols. */
function checkRepeatedPorts({ ports = [] }: ServiceSpec): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  ports.forEach(({ protocol, nodePort }, i) => {
    if (nodePort === undefined) return;
    const key = `node ${protocol} ${nodePort}`;
    if (seen.has(key)) problems.push(duplicate(`${at('spec.ports', i)}.nodePort`, nodePort));
    seen.add(key);
  });
  ports.forEach(({ protocol, port }, i) => {
    const key = `${protocol} ${port}`;
    if (seen.has(key)) problems.push(duplicate(at('spec.ports', i), { protocol, port }));
    seen.add(key);
  });
  return problems;
}

function checkAffinity({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): Problem[] {
  if (sessionAffinity !== 'ClientIP') return [];
  const seconds = sessionAffinityConfig!.clientIP!.timeoutSeconds!;
  if (seconds > 0 && seconds <= MAX_AFFINITY_SECONDS) return [];
  const detail = `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`;
  return [invalid('spec.sessionAffinityConfig.clientIP.timeoutSeconds', seconds, detail)];
}

/** clusterIP, clusterIPs and ipFamilies must agree. */
function checkClusterIPs(spec: ServiceSpec): Problem[] {
  if (isExternalName(spec)) return [];
  const field = 'spec.clusterIPs';
  const { clusterIP, clusterIPs = [], ipFamilies = [] } = spec;
  const problems: Problem[] = [];
  if (clusterIPs.length > 0 && clusterIPs[0] !== clusterIP) {
    problems.push(invalid(field, clusterIPs, 'first value must match `clusterIP`'));
  }
  ipFamilies.forEach((family, i) => {
    if (!IP_FAMILIES.includes(family))
      problems.push(notSupported(at('spec.ipFamilies', i), family, IP_FAMILIES));
    if (ipFamilies.indexOf(family) < i) problems.push(duplicate(at('spec.ipFamilies', i), family));
  });
  if (clusterIPs[0] === HEADLESS) {
    return clusterIPs.length > 1
      ? [...problems, invalid(field, clusterIPs, "'None' must be the first and only value")]
      : problems;
  }
  const wrong = clusterIPs.flatMap((ip, i) => checkAddress(ip, at(field, i)));
  if (clusterIPs.length > 2) wrong.push(invalid(field, clusterIPs, 'may only hold up to 2 values'));
  if (wrong.length > 0) return problems.concat(wrong);
  const families = clusterIPs.map(familyOf);
  if (families.length === 2 && families[0] === families[1]) {
    problems.push(invalid(field, clusterIPs, 'may specify no more than one IP for each IP family'));
  }
  clusterIPs.forEach((ip, i) => {
    const expected = ipFamilies[i];
    if (expected === undefined || expected === families[i]) return;
    const detail = `expected an ${expected} value as indicated by \`ipFamilies[${i}]\``;
    problems.push(invalid(at(field, i), ip, detail));
  });
  return problems;
}

/** @param ip  a valid address */
export const familyOf = (ip: string): IpFamily => (ip.includes(':') ? 'IPv6' : 'IPv4');

function checkLoadBalancer(spec: ServiceSpec): Problem[] {
  const problems: Problem[] = [];
  const { loadBalancerSourceRanges: ranges = [], loadBalancerIP: ip } = spec;
  const field = 'spec.loadBalancerSourceRanges';
  if (ranges.length > 0 && !isLoadBalancer(spec)) problems.push(forbidden(field, ONLY_LOAD_BALANCER));
  ranges.forEach((text, i) => {
    // Kubernetes has always taken blanks around them.
    if (!isPrefix(text.trim())) {
      const detail = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
      problems.push(invalid(at(field, i), text, detail));
    }
  });
  if (ip && isLoadBalancer(spec)) problems.push(...checkAddress(ip, 'spec.loadBalancerIP'));
  if (isLoadBalancer(spec)) {
    if (spec.loadBalancerClass)
      problems.push(...checkQualifiedName(spec.loadBalancerClass, 'spec.loadBalancerClass'));
    return problems;
  }
  if (spec.allocateLoadBalancerNodePorts !== undefined)
    problems.push(forbidden('spec.allocateLoadBalancerNodePorts', ONLY_LOAD_BALANCER));
  if (spec.loadBalancerClass !== undefined)
    problems.push(forbidden('spec.loadBalancerClass', ONLY_LOAD_BALANCER));
  return problems;
}

function isPrefix(text: string): boolean {
  if (!text.includes(':')) return parseCidr(text) !== undefined;
  const [address, bits, ...more] = text.split('/');
  return (
    parseAddress(address!) !== undefined &&
    /^(0|[1-9][0-9]{0,2})$/.test(bits ?? '') &&
    Number(bits) <= 128 &&
    more.length === 0
  );
}

function checkExternalTraffic(spec: ServiceSpec): Problem[] {
  const problems: Problem[] = [];
  if (spec.externalTrafficPolicy && !isExternallyAccessible(spec)) {
    const detail = 'may only be set for externally-accessible services';
    problems.push(invalid('spec.externalTrafficPolicy', spec.externalTrafficPolicy, detail));
  }
  if (spec.healthCheckNodePort === undefined) return problems;
  const field = 'spec.healthCheckNodePort';
  if (!needsHealthCheck(spec)) {
    const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    return [...problems, invalid(field, spec.healthCheckNodePort, detail)];
  }
  return [...problems, ...checkPort(spec.healthCheckNodePort, field)];
}
