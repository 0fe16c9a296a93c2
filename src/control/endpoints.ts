/**
 * Endpoints, the older form, in step with the slices both ways: those of a Service with a selector are made from its
 * slices; hand-made ones of a Service without become slices, since packets go by slices alone.
 *
 * Source: k8s.io/kubernetes, pkg/controller/endpoint and pkg/controller/endpointslicemirroring.
 */
import { equal } from '../api/json.js';
import { hasSelector, isExternalName, isHeadless } from '../api/service-type.js';
import {
  MANAGED_BY,
  SERVICE_NAME,
  type Endpoint,
  type EndpointAddress,
  type EndpointPort,
  type Endpoints,
  type EndpointSlice,
  type EndpointSubset,
  type IpFamily,
  type ObjectMeta,
  type Service,
} from '../api/types.js';
import { HEADLESS_LABEL, owner, type EndpointGroup } from './endpoint-slices.js';

/** Who keeps the slices that mirror hand-made Endpoints. */
export const MIRROR = 'endpointslicemirroring-controller.k8s.io';
/** Label of Endpoints that control keeps. */
const KEPT_LABEL = 'endpoints.kubernetes.io/managed-by';
const KEEPER = 'endpoint-controller';
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror';
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';
/** One object has no more addresses than that. */
const MAX_ADDRESSES = 1000;

export const isKept = (endpoints: Endpoints): boolean => endpoints.metadata.labels?.[KEPT_LABEL] === KEEPER;

/** The Endpoints of a Service with a selector; the very same object as `old` when that is right. */
export function endpointsOf(
  service: Service,
  slices: readonly EndpointSlice[],
  old: Endpoints | undefined,
): Endpoints {
  const { subsets, isCut } = subsetsOf(service, slices);
  const labels: Record<string, string> = { ...service.metadata.labels, [KEPT_LABEL]: KEEPER };
  delete labels[HEADLESS_LABEL];
  if (isHeadless(service.spec)) labels[HEADLESS_LABEL] = '';
  const annotations = { ...old?.metadata.annotations };
  delete annotations[OVER_CAPACITY];
  if (isCut) annotations[OVER_CAPACITY] = 'truncated';
  const { name, namespace } = service.metadata;
  const metadata: ObjectMeta = { ...(old?.metadata ?? { name, namespace }), labels };
  if (old?.metadata.annotations || isCut) metadata.annotations = annotations;
  const next: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata,
    ...(subsets.length > 0 && { subsets }),
  };
  return old && equal(next, old) ? old : next;
}

function subsetsOf(
  service: Service,
  slices: readonly EndpointSlice[],
): { subsets: EndpointSubset[]; isCut: boolean } {
  const family = service.spec.ipFamilies?.[0] ?? 'IPv4';
  const mayLackPorts = !service.spec.ports?.length;
  const subsets = new Map<string, Required<EndpointSubset>>();
  let room = MAX_ADDRESSES;
  let isCut = false;
  for (const { addressType, endpoints, ports = [] } of slices) {
    if (addressType !== family || (ports.length === 0 && !mayLackPorts)) continue;
    const key = JSON.stringify(ports);
    const subset = subsets.get(key) ?? {
      addresses: [],
      notReadyAddresses: [],
      ports: ports.map(portOf),
    };
    subsets.set(key, subset);
    for (const endpoint of endpoints) {
      const { ready, terminating } = endpoint.conditions ?? {};
      if (!ready && terminating) continue;
      if (room-- <= 0) isCut = true;
      else (ready ? subset.addresses : subset.notReadyAddresses).push(addressOf(endpoint));
    }
  }
  const filled = [...subsets.values()].flatMap(({ addresses, notReadyAddresses, ports }) =>
    addresses.length + notReadyAddresses.length === 0
      ? []
      : [
          {
            ...(addresses.length > 0 && { addresses: addresses.sort(byIp) }),
            ...(notReadyAddresses.length > 0 && { notReadyAddresses: notReadyAddresses.sort(byIp) }),
            ...(ports.length > 0 && { ports }),
          },
        ],
  );
  return { subsets: filled, isCut };
}

const byIp = (a: EndpointAddress, b: EndpointAddress): number => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0);

const portOf = ({ name, port, protocol, appProtocol }: EndpointPort) => ({
  ...(name && { name }),
  port: port!,
  protocol: protocol ?? 'TCP',
  ...(appProtocol && { appProtocol }),
});

const addressOf = ({ addresses, hostname, nodeName, targetRef }: Endpoint): EndpointAddress => ({
  ip: addresses[0]!,
  ...(hostname && { hostname }),
  ...(nodeName && { nodeName }),
  ...(targetRef && { targetRef }),
});

/** Whether these Endpoints are hand-made and shall become slices. */
export function isMirrored(endpoints: Endpoints, service: Service): boolean {
  const { labels = {}, annotations = {} } = endpoints.metadata;
  return (
    !hasSelector(service.spec) &&
    !isExternalName(service.spec) &&
    !isKept(endpoints) &&
    labels[SKIP_LABEL] !== 'true' &&
    annotations['control-plane.alpha.kubernetes.io/leader'] === undefined
  );
}

export const SKIP_MIRROR = { [SKIP_LABEL]: 'true' };

/** Hand-made Endpoints as groups of endpoints. */
export function mirrorGroups({ subsets = [] }: Endpoints): EndpointGroup[] {
  const groups = new Map<string, { addressType: IpFamily; ports: EndpointPort[]; endpoints: Endpoint[] }>();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets) {
    const all = ports.map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol && { appProtocol }),
    }));
    const add = (address: EndpointAddress, ready: boolean): void => {
      const addressType = address.ip.includes(':') ? 'IPv6' : 'IPv4';
      const key = `${addressType} ${JSON.stringify(all)}`;
      const group = groups.get(key) ?? { addressType, ports: all, endpoints: [] };
      groups.set(key, group);
      const { ip, hostname, nodeName, targetRef } = address;
      group.endpoints.push({
        addresses: [ip],
        conditions: { ready },
        ...(hostname && { hostname }),
        ...(nodeName && { nodeName }),
        ...(targetRef && { targetRef }),
      });
    };
    for (const address of addresses) add(address, true);
    for (const address of notReadyAddresses) add(address, false);
  }
  return [...groups.values()];
}

/** Labels and owner of the slices that mirror Endpoints. */
export function mirrorTemplate(endpoints: Endpoints): Pick<ObjectMeta, 'labels' | 'ownerReferences'> {
  const { labels, name } = endpoints.metadata;
  return {
    labels: { ...labels, [SERVICE_NAME]: name, [MANAGED_BY]: MIRROR },
    ...owner(endpoints),
  };
}

/** Endpoints that control kept, given back to their user: the Service has no selector any more. */
export function released(endpoints: Endpoints): Endpoints {
  const labels = { ...endpoints.metadata.labels };
  delete labels[KEPT_LABEL];
  return { ...endpoints, metadata: { ...endpoints.metadata, labels } };
}
