/**
 * Which ConfigMaps and Secrets of its namespace a pod names: what its host has to fetch for it, and may.
 */
import { ROOT_CA } from './account-volume.js';
import { allContainers } from './all-containers.js';
import { checkDnsSubdomain } from './rules.js';
import type { Pod } from './types.js';

export interface PodReferences {
  readonly configMaps: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
}

/** The names that can be some object's, `kube-root-ca.crt` among them, which the host adds to every pod that has a token. */
export function podReferences({ spec }: Pod): PodReferences {
  const configMaps = new Set<string>([ROOT_CA]);
  const secrets = new Set<string>();
  const add = (names: Set<string>, name = ''): void => {
    if (checkDnsSubdomain(name, '').length === 0) names.add(name);
  };
  for (const { configMap, secret, projected } of spec.volumes ?? []) {
    add(configMaps, configMap?.name);
    add(secrets, secret?.secretName);
    for (const source of projected?.sources ?? []) {
      add(configMaps, source.configMap?.name);
      add(secrets, source.secret?.name);
    }
  }
  for (const { env, envFrom } of allContainers(spec)) {
    for (const { valueFrom } of env ?? []) {
      add(configMaps, valueFrom?.configMapKeyRef?.name);
      add(secrets, valueFrom?.secretKeyRef?.name);
    }
    for (const { configMapRef, secretRef } of envFrom ?? []) {
      add(configMaps, configMapRef?.name);
      add(secrets, secretRef?.name);
    }
  }
  return { configMaps, secrets };
}
