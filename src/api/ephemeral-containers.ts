/**
 * Ephemeral containers: those that `kubectl debug` adds to a pod that runs. They are added by the subresource
 * `ephemeralcontainers` alone, never changed, taken away or started again, and nothing waits for them.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go: validateEphemeralContainers,
 * ValidatePodEphemeralContainersUpdate.
 */
import { equal, isMap } from './json.js';
import { checkMounts } from './pod-volumes.js';
import { at, duplicate, forbidden, notFoundValue, type Problem } from './problem.js';
import type { EphemeralContainer, Pod, PodSpec } from './types.js';

/** What containers have that serve, or take part in a pod's life. */
const NOT_FOR_THEM = [
  'ports',
  'resources',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'restartPolicy',
] as const;
const NOT_FOR_MOUNTS = ['subPath', 'subPathExpr'] as const;
const CANNOT = 'cannot be set for an Ephemeral Container';

const isSet = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : isMap(value) ? Object.keys(value).length > 0 : Boolean(value);

/**
 * The rules for a pod's ephemeral containers that are not those of every container.
 *
 * @param field  `spec.ephemeralContainers`
 */
export function checkEphemeralContainers(spec: PodSpec, field: string): Problem[] {
  const { containers, initContainers = [], ephemeralContainers = [], volumes = [] } = spec;
  const others = new Set([...containers, ...initContainers].map(({ name }) => name));
  const names = new Set(others);
  return ephemeralContainers.flatMap((container, i) => {
    const path = at(field, i);
    const { name, targetContainerName: target, volumeMounts = [] } = container;
    const problems: Problem[] = [];
    if (names.has(name)) problems.push(duplicate(`${path}.name`, name));
    names.add(name);
    if (target && !others.has(target)) problems.push(notFoundValue(`${path}.targetContainerName`, target));
    for (const one of NOT_FOR_THEM)
      if (isSet(container[one])) problems.push(forbidden(`${path}.${one}`, CANNOT));
    for (const [j, mount] of volumeMounts.entries())
      for (const one of NOT_FOR_MOUNTS)
        if (mount[one]) problems.push(forbidden(`${at(`${path}.volumeMounts`, j)}.${one}`, CANNOT));
    return [...problems, ...checkMounts(container, volumes, path)];
  });
}

/** The rule of the subresource: what is there stays as it is. */
export function checkEphemeralAdditions(next: Pod, old: Pod): Problem[] {
  const now = next.spec.ephemeralContainers ?? [];
  return (old.spec.ephemeralContainers ?? []).flatMap((before) => {
    const after = now.find(({ name }) => name === before.name);
    if (after && equal(after, before)) return [];
    const what = after ? 'changed' : 'removed';
    const sentence = `existing ephemeral containers "${before.name}" may not be ${what}`;
    return [forbidden('spec.ephemeralContainers', sentence)];
  });
}

/** A pod with the ephemeral containers of another, and nothing else of it. */
export function withEphemeralContainers(pod: Pod, from: Pod): Pod {
  const { ephemeralContainers: _, ...spec } = pod.spec;
  const wanted: EphemeralContainer[] = from.spec.ephemeralContainers ?? [];
  return { ...pod, spec: { ...spec, ...(wanted.length > 0 && { ephemeralContainers: wanted }) } };
}
