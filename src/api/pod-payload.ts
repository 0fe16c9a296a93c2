/**
 * The files that a pod's volumes hold: of a ConfigMap, a Secret, the pod's own fields, a token, or several of these
 * in one projected volume.
 *
 * Source: k8s.io/kubernetes, pkg/volume/{configmap,secret,downwardapi,projected}
 */
import { MissingError, type PodObjects } from './container-environment.js';
import { fieldOf, resourceOf, type Allocatable } from './pod-fields.js';
import type {
  ConfigMapSource,
  DownwardApiFile,
  Pod,
  TokenSource,
  Volume,
  VolumeProjection,
} from './types.js';

/** A file: its content is one of the three. */
export interface PayloadFile {
  /** Below the volume, without `..`. */
  path: string;
  /** Permission bits. */
  mode: number;
  text?: string;
  base64?: string;
  /** To be asked for: a token of the pod's service account. */
  token?: TokenSource;
}

/** Permission bits of a volume's files unless it says otherwise: 0644. */
const DEFAULT_MODE = 0o644;

/** What a payload is made of. */
export interface PayloadInput {
  pod: Pod;
  objects: PodObjects;
  allocatable: Allocatable;
}

/** Whether a volume's files come from objects, and follow them while the pod runs. */
export const hasPayload = ({ configMap, secret, downwardAPI, projected }: Volume): boolean =>
  (configMap ?? secret ?? downwardAPI ?? projected) !== undefined;

/**
 * The files of a volume; of two at one path the later counts.
 *
 * @throws {MissingError} when an object or a key is not there and is not optional
 */
export function payloadOf(volume: Volume, input: PayloadInput): PayloadFile[] {
  const { configMap, secret, downwardAPI, projected } = volume;
  const mode = (configMap ?? secret ?? downwardAPI ?? projected)?.defaultMode ?? DEFAULT_MODE;
  const sources: VolumeProjection[] = projected?.sources ?? [
    { configMap, secret: secret && { ...secret, name: secret.secretName }, downwardAPI },
  ];
  const files = new Map<string, PayloadFile>();
  for (const source of sources) for (const file of filesOf(source, mode, input)) files.set(file.path, file);
  return [...files.values()];
}

function filesOf(source: VolumeProjection, mode: number, input: PayloadInput): PayloadFile[] {
  const { configMap, secret, downwardAPI, serviceAccountToken } = source;
  const { pod, objects } = input;
  const namespace = pod.metadata.namespace ?? 'default';
  const files: PayloadFile[] = [];
  if (configMap) {
    const found = objects.configMap(namespace, configMap.name ?? '');
    const contents: Record<string, Content> = {
      ...contentsOf(found?.data, 'text'),
      ...contentsOf(found?.binaryData, 'base64'),
    };
    files.push(...pick(configMap, found && contents, mode, 'configmap', 'config'));
  }
  if (secret) {
    const found = objects.secret(namespace, secret.name ?? '');
    files.push(...pick(secret, found && contentsOf(found.data, 'base64'), mode, 'secret', 'secret'));
  }
  for (const item of downwardAPI?.items ?? [])
    files.push({ path: item.path, mode: item.mode ?? mode, text: downwardText(item, input) });
  // A token is its pod's own business, whatever the mode of the rest.
  if (serviceAccountToken)
    files.push({ path: serviceAccountToken.path, mode: 0o600, token: serviceAccountToken });
  return files;
}

type Content = Pick<PayloadFile, 'text' | 'base64'>;

const contentsOf = (
  data: Readonly<Record<string, string>> = {},
  as: 'text' | 'base64',
): Record<string, Content> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, { [as]: value }]));

/** The keys that become files: all, or those that are asked for. */
function pick(
  { name = '', items, optional = false }: ConfigMapSource,
  contents: Readonly<Record<string, Content>> | undefined,
  mode: number,
  kind: string,
  keyKind: string,
): PayloadFile[] {
  if (!contents) {
    if (optional) return [];
    throw new MissingError(`${kind} "${name}" not found`);
  }
  if (!items?.length) return Object.entries(contents).map(([path, content]) => ({ path, mode, ...content }));
  return items.flatMap((item) => {
    if (Object.hasOwn(contents, item.key))
      return { path: item.path, mode: item.mode ?? mode, ...contents[item.key] };
    if (optional) return [];
    throw new MissingError(`references non-existent ${keyKind} key: ${item.key}`);
  });
}

function downwardText({ fieldRef, resourceFieldRef }: DownwardApiFile, input: PayloadInput): string {
  if (fieldRef) return fieldOf(input.pod, fieldRef);
  if (resourceFieldRef) return resourceOf(input.pod, resourceFieldRef, input.allocatable) ?? '';
  return '';
}
