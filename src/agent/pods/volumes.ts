/**
 * The volumes of one pod: made with its holder, filled before its containers start, and kept up to date.
 *
 * All of them lie on the tmpfs of the holder, below its root: an emptyDir lives as long as the holder does, Secrets
 * never touch a disk, and nothing is left when the holder is gone. ConfigMaps and Secrets that change arrive with the
 * agent's next look at its objects, not after the minute or so that the kubelet takes.
 *
 * A token of the service account is asked for again when four fifths of its time are over.
 */
import { join } from 'node:path';
import type { PodObjects } from '../../api/container-environment.js';
import type { Allocatable } from '../../api/pod-fields.js';
import { hasPayload, payloadOf, type PayloadFile } from '../../api/pod-payload.js';
import { parseQuantity } from '../../api/quantity.js';
import type { ConfigMap, Pod, Secret, TokenSource, Volume } from '../../api/types.js';
import { volumesPath } from './entry.js';
import { writePayload, type VolumeFile } from './payload-writer.js';

/** Ask for a token of the pod's service account. */
export type RequestToken = (pod: Pod, source: TokenSource) => Promise<string>;

/** What a host knows that pods can be told. */
export interface VolumeContext {
  objects(): PodObjects;
  allocatable: Allocatable;
  requestToken?: RequestToken;
}

/** A token, and when to ask for the next. */
interface HeldToken {
  text: string;
  renewMs: number;
}

/** Size of an emptyDir's own tmpfs as a mount option; undefined when it needs none. */
export const tmpfsSize = ({ emptyDir }: Volume): string | undefined => {
  if (!emptyDir || (emptyDir.medium !== 'Memory' && emptyDir.sizeLimit === undefined)) return undefined;
  const bytes = parseQuantity(emptyDir.sizeLimit ?? 0) ?? 0;
  return `size=${bytes > 0 ? Math.ceil(bytes) : '50%'}`;
};

export class PodVolumes {
  readonly #context: VolumeContext;
  /** The objects that went into each volume, by identity: what is the same need not be compared. */
  #used: (ConfigMap | Secret | undefined)[] | undefined;
  #fields = '';
  readonly #tokens = new Map<string, HeldToken>();

  constructor(context: VolumeContext) {
    this.#context = context;
  }

  /**
   * Write the files of all volumes that come from objects.
   *
   * @throws {Error} in the kubelet's words, when something is not there and is not optional
   */
  async fill(pod: Pod, holderPid: number): Promise<void> {
    const used: (ConfigMap | Secret | undefined)[] = [];
    const known = this.#context.objects();
    const objects: PodObjects = {
      configMap: (namespace, name) => remember(used, known.configMap(namespace, name)),
      secret: (namespace, name) => remember(used, known.secret(namespace, name)),
    };
    const { allocatable } = this.#context;
    for (const volume of (pod.spec.volumes ?? []).filter(hasPayload))
      try {
        const files = payloadOf(volume, { pod, objects, allocatable });
        const contents = await Promise.all(files.map((file) => this.#contentOf(pod, file)));
        writePayload(join(volumesPath(holderPid), volume.name), contents);
      } catch (error) {
        const why = (error as Error).message;
        throw new Error(`MountVolume.SetUp failed for volume "${volume.name}" : ${why}`, { cause: error });
      }
    this.#used = used;
    this.#fields = changingFields(pod);
  }

  /** Whether the files may no longer be what the objects say. Cheap: called for every pod on every change. */
  isStale(pod: Pod): boolean {
    if (!pod.spec.volumes?.some(hasPayload)) return false;
    const used = this.#used;
    if (!used || changingFields(pod) !== this.#fields) return true; // an earlier agent has filled them, or it is told anew
    const now = Date.now();
    for (const { renewMs } of this.#tokens.values()) if (renewMs <= now) return true;
    const { configMap, secret } = this.#context.objects();
    const namespace = pod.metadata.namespace ?? 'default';
    const current: (ConfigMap | Secret | undefined)[] = [];
    for (const volume of pod.spec.volumes) {
      const sources = volume.projected?.sources ?? [
        { configMap: volume.configMap, secret: volume.secret && { name: volume.secret.secretName } },
      ];
      for (const source of sources) {
        if (source.configMap) current.push(configMap(namespace, source.configMap.name ?? ''));
        if (source.secret) current.push(secret(namespace, source.secret.name ?? ''));
      }
    }
    return current.length !== used.length || current.some((object, i) => object !== used[i]);
  }

  async #contentOf(pod: Pod, { path, mode, text, base64, token }: PayloadFile): Promise<VolumeFile> {
    if (token) return { path, mode, bytes: Buffer.from(await this.#tokenOf(pod, token)) };
    return {
      path,
      mode,
      bytes: base64 === undefined ? Buffer.from(text ?? '') : Buffer.from(base64, 'base64'),
    };
  }

  async #tokenOf(pod: Pod, source: TokenSource): Promise<string> {
    const { requestToken } = this.#context;
    if (!requestToken) throw new Error('there is no server that could sign a token');
    const key = JSON.stringify(source);
    const held = this.#tokens.get(key);
    if (held && held.renewMs > Date.now()) return held.text;
    const text = await requestToken(pod, source);
    const lifeMs = (source.expirationSeconds ?? 3600) * 1000;
    this.#tokens.set(key, { text, renewMs: Date.now() + lifeMs * 0.8 });
    return text;
  }
}

/** What a downwardAPI volume may have to say anew; nothing when the pod has none. */
function changingFields({ metadata, spec }: Pod): string {
  const isTold = spec.volumes?.some(
    ({ downwardAPI, projected }) => downwardAPI ?? projected?.sources?.some((source) => source.downwardAPI),
  );
  return isTold ? JSON.stringify([metadata.labels, metadata.annotations]) : '';
}

const remember = <T extends ConfigMap | Secret>(
  used: (ConfigMap | Secret | undefined)[],
  object: T | undefined,
): T | undefined => {
  used.push(object);
  return object;
};
