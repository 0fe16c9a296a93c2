/**
 * What a pod can be told of itself: the downward API's fields and resources.
 *
 * Source: kubernetes.io/docs/concepts/workloads/pods/downward-api; k8s.io/kubernetes, pkg/fieldpath/fieldpath.go,
 * pkg/api/v1/resource/helpers.go
 */
import { allContainers } from './all-containers.js';
import { parseQuantity } from './quantity.js';
import type { Container, FieldRef, Pod, ResourceFieldRef } from './types.js';

/** Fields of which a value is known from the start, for environment and volumes. */
const METADATA_FIELDS: Readonly<Record<string, (pod: Pod) => string>> = {
  'metadata.name': ({ metadata }) => metadata.name,
  'metadata.namespace': ({ metadata }) => metadata.namespace ?? 'default',
  'metadata.uid': ({ metadata }) => metadata.uid ?? '',
  'metadata.labels': ({ metadata }) => formatMap(metadata.labels ?? {}),
  'metadata.annotations': ({ metadata }) => formatMap(metadata.annotations ?? {}),
};

/** Fields that the environment alone may have: they do not change while a container runs. */
const RUNTIME_FIELDS: Readonly<Record<string, (pod: Pod) => string>> = {
  'spec.nodeName': ({ spec }) => spec.nodeName ?? '',
  'spec.serviceAccountName': ({ spec }) => spec.serviceAccountName ?? 'default',
  'status.hostIP': ({ status }) => status?.hostIP ?? '',
  'status.hostIPs': ({ status }) => status?.hostIP ?? '',
  'status.podIP': ({ status }) => status?.podIP ?? '',
  'status.podIPs': ({ status }) =>
    (status?.podIPs ?? []).map(({ ip }) => ip).join(',') || (status?.podIP ?? ''),
};

/** What a field path may be, by its use. */
export const ENV_FIELDS = Object.keys({ ...METADATA_FIELDS, ...RUNTIME_FIELDS }).filter(
  (path) => !/^metadata.(labels|annotations)$/.test(path),
);
export const VOLUME_FIELDS = Object.keys(METADATA_FIELDS);

/** `metadata.labels['app']`: the map and the key. */
const SUBSCRIPT = /^metadata\.(labels|annotations)\['(.*)'\]$/;

export const isSubscript = (fieldPath: string): boolean => SUBSCRIPT.test(fieldPath);

/** The value of a field; empty when the pod has none. */
export function fieldOf(pod: Pod, { fieldPath }: FieldRef): string {
  const subscript = SUBSCRIPT.exec(fieldPath);
  if (subscript) return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  return (METADATA_FIELDS[fieldPath] ?? RUNTIME_FIELDS[fieldPath])?.(pod) ?? '';
}

const formatMap = (map: Readonly<Record<string, string>>): string =>
  Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n');

/** What a node has to give, as quantities; a limit that is left out is all of it. */
export type Allocatable = Readonly<Record<string, string>>;

export const RESOURCE_FIELD = /^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-[A-Za-z0-9]+)$/;

/**
 * A container's request or limit, in units of the divisor, rounded up.
 *
 * @param self  the container that asks, unless it names another
 * @returns     undefined when the pod has no container of that name
 */
export function resourceOf(
  pod: Pod,
  { containerName, resource, divisor = '1' }: ResourceFieldRef,
  allocatable: Allocatable,
  self?: Container,
): string | undefined {
  const container = containerName ? allContainers(pod.spec).find(({ name }) => name === containerName) : self;
  const [, kind, name] = RESOURCE_FIELD.exec(resource) ?? [];
  if (!container || !kind || !name) return undefined;
  const { limits = {}, requests = {} } = container.resources ?? {};
  const value = kind === 'limits' ? (limits[name] ?? allocatable[name]) : (requests[name] ?? limits[name]);
  const unit = parseQuantity(divisor) || 1;
  // Thousandths are not exact in binary: 300m / 1m must be 300, not 301.
  return String(Math.ceil(Number(((parseQuantity(value ?? 0) ?? 0) / unit).toPrecision(15))));
}
