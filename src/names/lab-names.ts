/**
 * The names of a lab: what its Lab object says of DNS, as an authority that waits for the objects.
 */
import type { FullLabSpec } from '../api/lab.js';
import { reverseZones } from './address-names.js';
import { createAuthority, type Authority } from './authority.js';
import { ClusterNames } from './cluster-names.js';
import type { EndpointNames } from './service-names.js';

export interface LabNamesOptions {
  /** Addresses of the server itself. */
  readonly servers: readonly string[];
  readonly endpointNames?: EndpointNames;
  /** Zones of reverse names beside those of pods and Services. */
  readonly reverseZones?: readonly string[];
}

/** @param spec  of a valid Lab */
export function labAuthority(spec: FullLabSpec, options: LabNamesOptions): Authority {
  const { zone, ttl, pods, hosts } = spec.dns;
  const own = [spec.podCIDR, spec.serviceCIDR].flatMap((cidr) => reverseZones(cidr) ?? []);
  const cluster = new ClusterNames({
    zone,
    pods,
    endpointNames: options.endpointNames ?? 'address',
    reverseZones: [...own, ...(options.reverseZones ?? [])],
    servers: options.servers,
  });
  return createAuthority(cluster, ttl, hosts);
}
