/**
 * The ConfigMaps and Secrets that the pods of this node name, each watched by its own name, and no others: an agent may see no
 * more, and need not.
 *
 * Theory of operation. With every list of pods: what they name and is not watched yet is listed and then watched; what none of
 * them names any more is forgotten. A pod that is new is held back from the view until everything it names has been
 * looked up once, for to its host an object that is not there and one that has not been looked up are the same. A pod that
 * runs and comes to name more (an ephemeral container) is shown as it was until then: one that is missing from a view is ended.
 */
import { CONFIG_MAP, SECRET, type Kind } from '../../api/kinds.js';
import { podReferences } from '../../api/pod-references.js';
import { type ApiObject, type ConfigMap, type Pod, type Secret } from '../../api/types.js';
import type { Client } from '../../client/client.js';
import { createInformer, type Informer } from '../../client/informer.js';

export interface References {
  /** Watch what these pods name that are on this node. Resolves when all of it has been looked up. */
  follow(pods: readonly Pod[]): Promise<void>;
  /**
   * The pods, without what has come to those of this node and names what has not been looked up; the very same list when
   * there is nothing of the kind.
   */
  settled(pods: Pod[]): Pod[];
  configMaps(): ConfigMap[];
  secrets(): Secret[];
  close(): void;
}

export interface ReferencesOptions {
  readonly client: Pick<Client, 'list' | 'watch'>;
  readonly node: string;
  /** An object has come, changed or gone, or a pod need not wait any more. */
  changed(): void;
  /** Why an object is not up to date; undefined when it is again. */
  trouble(what: string, error: Error | undefined): void;
}

interface Watched {
  readonly informer: Informer<ApiObject>;
  isKnown: boolean;
  readonly known: Promise<void>;
}

export function createReferences({ client, node, changed, trouble }: ReferencesOptions): References {
  /** By kind, and then by namespace and name. */
  const watched = new Map<Kind, Map<string, Watched>>([
    [CONFIG_MAP as Kind, new Map()],
    [SECRET as Kind, new Map()],
  ]);
  const lists = new Map<Kind, ApiObject[]>();
  let followed: readonly Pod[] = [];
  /** Pods of this node as they were shown last, by uid. */
  let shown = new Map<string | undefined, Pod>();

  const watch = (kind: Kind, key: string): Watched => {
    const [namespace, name] = key.split('/') as [string, string];
    const informer = createInformer<ApiObject>(client, kind, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      changed() {
        lists.delete(kind);
        changed();
      },
      trouble: (error) => trouble(`${kind.plural} ${key}`, error),
    });
    const one: Watched = {
      informer,
      isKnown: false,
      known: informer.start().then(() => {
        one.isKnown = true;
        changed();
      }),
    };
    return one;
  };

  /** Keys that a pod names, by kind. */
  const named = (pod: Pod): [Kind, string][] => {
    const { configMaps, secrets } = podReferences(pod);
    const at = (name: string): string => `${pod.metadata.namespace}/${name}`;
    return [
      ...[...configMaps].map((name): [Kind, string] => [CONFIG_MAP as Kind, at(name)]),
      ...[...secrets].map((name): [Kind, string] => [SECRET as Kind, at(name)]),
    ];
  };
  const isOurs = ({ spec }: Pod): boolean => spec.nodeName === node;
  const isWaiting = (pod: Pod): boolean =>
    isOurs(pod) && named(pod).some(([kind, key]) => watched.get(kind)!.get(key)?.isKnown !== true);
  const list = (kind: Kind): ApiObject[] => {
    let found = lists.get(kind);
    if (!found) {
      found = [...watched.get(kind)!.values()].flatMap(({ informer }) => [...informer.items.values()]);
      lists.set(kind, found);
    }
    return found;
  };

  return {
    async follow(pods) {
      if (pods === followed) return;
      followed = pods;
      const wanted = new Map<Kind, Set<string>>([...watched.keys()].map((kind) => [kind, new Set()]));
      for (const pod of pods.filter(isOurs)) for (const [kind, key] of named(pod)) wanted.get(kind)!.add(key);
      for (const [kind, map] of watched) {
        for (const [key, { informer }] of map)
          if (!wanted.get(kind)!.has(key)) {
            informer.close();
            trouble(`${kind.plural} ${key}`, undefined);
            map.delete(key);
            lists.delete(kind);
          }
        for (const key of wanted.get(kind)!) if (!map.has(key)) map.set(key, watch(kind, key));
      }
      await Promise.all([...watched.values()].flatMap((map) => [...map.values()].map(({ known }) => known)));
    },
    settled(pods) {
      const now = pods.some(isWaiting)
        ? pods.flatMap((pod) => (isWaiting(pod) ? (shown.get(pod.metadata.uid) ?? []) : pod))
        : pods;
      shown = new Map(now.filter(isOurs).map((pod) => [pod.metadata.uid, pod]));
      return now;
    },
    configMaps: () => list(CONFIG_MAP as Kind) as ConfigMap[],
    secrets: () => list(SECRET as Kind) as Secret[],
    close() {
      for (const map of watched.values()) for (const { informer } of map.values()) informer.close();
    },
  };
}
