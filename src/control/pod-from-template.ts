/**
 * Pods as a controller makes them.
 */
import { canonical, clone } from '../api/json.js';
import type { ApiObject, Pod, PodTemplate } from '../api/types.js';
import { encodeSafely, hashSuffix, hashText } from './hash.js';
import { ownedBy } from './owners.js';

/**
 * A pod of an owner.
 *
 * @param name  where names are not counted see {@link freeName}
 */
export const podFromTemplate = (owner: ApiObject, template: PodTemplate, name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    ...(template.metadata?.labels && { labels: { ...template.metadata.labels } }),
    ...(template.metadata?.annotations && { annotations: { ...template.metadata.annotations } }),
    ...(template.metadata?.finalizers && { finalizers: [...template.metadata.finalizers] }),
    name,
    namespace: owner.metadata.namespace,
    ownerReferences: [ownedBy(owner)],
  },
  spec: clone(template.spec),
});

/** Names of Kubernetes' own making are cut so that something fits behind them. k8s.io/apiserver, pkg/storage/names. */
const MAX_BASE = 58;

/** `BASE-x7k2p`, a name that nobody has. @param isTaken  whether somebody has it */
export function freeName(
  base: string,
  salt: string,
  isTaken: (name: string) => boolean,
): { name: string; generateName: string } {
  const generateName = `${base.slice(0, MAX_BASE - 1)}-`;
  for (let n = 0; ; n++) {
    const name = generateName + hashSuffix(`${salt} ${n}`);
    if (!isTaken(name)) return { name, generateName };
  }
}

const texts = new WeakMap<object, string>();

/** A template as text: two are the same when their texts are. Remembered by the object, which nobody changes. */
export function templateText(template: PodTemplate): string {
  let text = texts.get(template);
  if (text === undefined) texts.set(template, (text = canonical(template)));
  return text;
}

/** A short word that differs when templates do. @param collisions  how often another one had the same */
export const templateHash = (text: string, collisions: number): string =>
  encodeSafely(String(hashText(collisions > 0 ? `${text} ${collisions}` : text)));
