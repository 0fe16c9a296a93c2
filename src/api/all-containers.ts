/** The containers of a pod, whatever they are for. */
import type { Container, PodSpec } from './types.js';

/** All of a pod's containers, of whatever kind. */
export const allContainers = (spec: PodSpec): Container[] => [
  ...spec.containers,
  ...(spec.initContainers ?? []),
  ...(spec.ephemeralContainers ?? []),
];
