/**
 * An update of a Service: what it keeps although the new object does not say so, what it loses because its type has no
 * use for it any more, and what may not change.
 *
 * Source: k8s.io/kubernetes, pkg/registry/core/service/strategy.go and storage/storage.go (patchAllocatedValues,
 * dropTypeDependentFields); pkg/apis/core/validation, validateUpgradeDowngradeClusterIPs.
 */
import { equal } from './json.js';
import { at, invalid, type Problem } from './problem.js';
import {
  hasNodePorts,
  isExternallyAccessible,
  isExternalName,
  isHeadless,
  isLoadBalancer,
  needsHealthCheck,
} from './service-type.js';
import type { Service, ServiceSpec } from './types.js';

/** Make a new Service ready to be given its defaults; changes `next`. */
export function prepareServiceUpdate(next: Service, old: Service): void {
  next.spec ??= {};
  dropPointless(next.spec, old.spec);
  followClusterIP(next.spec, old.spec);
  keepAllocated(next.spec, old.spec);
}

/** Somebody who has changed only one of clusterIP and clusterIPs meant both. */
function followClusterIP(next: ServiceSpec, old: ServiceSpec): void {
  const isSame = next.clusterIP === old.clusterIP;
  if (!isSame && equal(next.clusterIPs, old.clusterIPs)) {
    if (!next.clusterIP) delete next.clusterIPs;
    else next.clusterIPs = [next.clusterIP, ...(next.clusterIPs ?? []).slice(1)];
  } else if (isSame && !equal(next.clusterIPs, old.clusterIPs) && next.clusterIPs?.length) {
    next.clusterIP = next.clusterIPs[0];
  }
}

/** Addresses and ports that were given to a Service stay its own, also when a manifest does not name them. */
function keepAllocated(next: ServiceSpec, old: ServiceSpec): void {
  if (!isExternalName(next) && !isExternalName(old)) {
    next.clusterIP ||= old.clusterIP;
    if (!next.clusterIPs?.length && next.clusterIP === old.clusterIP) next.clusterIPs = old.clusterIPs;
    next.ipFamilyPolicy ??= old.ipFamilyPolicy;
    if (!next.ipFamilies?.length && next.ipFamilyPolicy === old.ipFamilyPolicy)
      next.ipFamilies = old.ipFamilies;
  }
  if (next.ipFamilyPolicy === 'SingleStack') {
    if (equal(next.clusterIPs, old.clusterIPs)) next.clusterIPs = next.clusterIPs?.slice(0, 1);
    if (equal(next.ipFamilies, old.ipFamilies)) next.ipFamilies = next.ipFamilies?.slice(0, 1);
  }
  if (hasNodePorts(next) && hasNodePorts(old)) {
    const taken = new Set((next.ports ?? []).map(({ nodePort }) => nodePort));
    for (const port of next.ports ?? []) {
      if (port.nodePort) continue;
      const before = old.ports?.find(({ name }) => (name ?? '') === (port.name ?? ''));
      if (before?.nodePort && !taken.has(before.nodePort)) port.nodePort = before.nodePort;
    }
  }
  if (needsHealthCheck(next) && needsHealthCheck(old)) next.healthCheckNodePort ||= old.healthCheckNodePort;
}

/** Values that came from the old type go with it, unless they were changed on purpose: then the rules complain. */
function dropPointless(next: ServiceSpec, old: ServiceSpec): void {
  const drop = (...fields: (keyof ServiceSpec)[]): void => {
    if (fields.every((field) => equal(next[field], old[field])))
      for (const field of fields) delete next[field];
  };
  if (isExternalName(next)) {
    drop('clusterIP', 'clusterIPs');
    drop('ipFamilies', 'ipFamilyPolicy');
    drop('internalTrafficPolicy');
  }
  if (!hasNodePorts(next) && hasNodePorts(old)) {
    const before = new Set((old.ports ?? []).map(({ nodePort }) => nodePort));
    for (const port of next.ports ?? []) if (before.has(port.nodePort)) delete port.nodePort;
  }
  if (!needsHealthCheck(next)) drop('healthCheckNodePort');
  if (!isLoadBalancer(next)) {
    drop('allocateLoadBalancerNodePorts');
    drop('loadBalancerClass');
  }
  if (!isExternallyAccessible(next)) drop('externalTrafficPolicy');
}

/** What may not change. @param next  with defaults, and with what it keeps */
export function validateServiceUpdate(next: Service, old: Service): Problem[] {
  if (isExternalName(next.spec) || isExternalName(old.spec)) return [];
  const problems: Problem[] = [];
  if (isLoadBalancer(next.spec) && isLoadBalancer(old.spec)) {
    const { loadBalancerClass } = next.spec;
    if (loadBalancerClass !== old.spec.loadBalancerClass)
      problems.push(invalid('spec.loadBalancerClass', loadBalancerClass, 'may not change once set'));
  }
  if (needsHealthCheck(next.spec) && needsHealthCheck(old.spec)) {
    const { healthCheckNodePort } = next.spec;
    if (old.spec.healthCheckNodePort && healthCheckNodePort !== old.spec.healthCheckNodePort)
      problems.push(invalid('spec.healthCheckNodePort', healthCheckNodePort, 'field is immutable'));
  }
  return problems.concat(checkFixed('clusterIPs', next.spec, old.spec), checkFamilies(next.spec, old.spec));
}

function checkFamilies(next: ServiceSpec, old: ServiceSpec): Problem[] {
  return isHeadless(next) || isHeadless(old) ? [] : checkFixed('ipFamilies', next, old);
}

/** The first address and the first family stay for ever; the second comes and goes with the policy. */
function checkFixed(name: 'clusterIPs' | 'ipFamilies', next: ServiceSpec, old: ServiceSpec): Problem[] {
  const field = `spec.${name}`;
  const [now, before] = [next[name] ?? [], old[name] ?? []];
  const problems: Problem[] = [];
  if (before.length === now.length) {
    before.forEach((value, i) => {
      if (value !== now[i]) problems.push(invalid(at(field, i), now, 'may not change once set'));
    });
    return problems;
  }
  if (before.length > 0 && now.length > 0 && before[0] !== now[0])
    problems.push(invalid(at(field, 0), now, 'may not change once set'));
  if (before.length === 2 && now.length === 1 && next.ipFamilyPolicy !== 'SingleStack') {
    const detail = `must be 'SingleStack' to release the secondary ${name === 'clusterIPs' ? 'cluster IP' : 'IP family'}`;
    problems.push(invalid('spec.ipFamilyPolicy', next.ipFamilyPolicy, detail));
  }
  return problems;
}
