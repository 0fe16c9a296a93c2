/**
 * Where pods look up the ConfigMaps and Secrets of a view, and what the host has to give them.
 */
import { availableParallelism, totalmem } from 'node:os';
import type { PodObjects } from '../api/container-environment.js';
import type { Allocatable } from '../api/pod-fields.js';
import { keyOf, type ApiObject, type ClusterView } from '../api/types.js';

/** How many pods a node may have, as Kubernetes has it by default. */
const MOST_PODS = 110;

const byKey = <T extends ApiObject>(objects: readonly T[] = []): Map<string, T> =>
  new Map(objects.map((object) => [keyOf(object), object]));

/**
 * Look up in whatever view is the newest.
 *
 * @param view  asked at each look; its maps are made when it is another
 */
export function podObjects(view: () => ClusterView | undefined): () => PodObjects {
  let seen: ClusterView | undefined;
  let configMaps = byKey<NonNullable<ClusterView['configMaps']>[number]>();
  let secrets = byKey<NonNullable<ClusterView['secrets']>[number]>();
  const objects: PodObjects = {
    configMap: (namespace, name) => configMaps.get(`${namespace}/${name}`),
    secret: (namespace, name) => secrets.get(`${namespace}/${name}`),
  };
  return () => {
    const now = view();
    if (now !== seen) {
      seen = now;
      configMaps = byKey(now?.configMaps);
      secrets = byKey(now?.secrets);
    }
    return objects;
  };
}

/** What the machine has, as a node's capacity. Hosts of one machine share it, and each shows all. */
export const hostCapacity = (): Allocatable => ({
  cpu: String(availableParallelism()),
  memory: `${Math.floor(totalmem() / 1024)}Ki`,
  pods: String(MOST_PODS),
});
