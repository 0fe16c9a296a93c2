/**
 * The volumes of a pod: their defaults, and what may stand in them.
 *
 * Sources that would need a storage system are refused: nothing here could mount them, and a pod would wait for ever.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go (ValidateVolumes, ValidateVolumeMounts)
 */
import { checkFieldRef, checkResourceRef, defaultField } from './field-ref.js';
import { VOLUME_FIELDS } from './pod-fields.js';
import { at, forbidden, invalid, notFoundValue, notSupported, required, type Problem } from './problem.js';
import { parseQuantity } from './quantity.js';
import { checkDnsLabel, checkUnique } from './rules.js';
import type {
  Container,
  ConfigMapSource,
  DownwardApiFile,
  PodSpec,
  TokenSource,
  Volume,
  VolumeProjection,
} from './types.js';

const DEFAULT_MODE = 0o644;
const TOKEN_SECONDS = 3600;
const MIN_TOKEN_SECONDS = 600;

/** The sources that work. */
const SOURCES = ['emptyDir', 'configMap', 'secret', 'projected', 'downwardAPI', 'hostPath'] as const;

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

export function defaultVolumes(volumes: readonly Volume[]): void {
  for (const volume of volumes) {
    const { configMap, secret, downwardAPI, projected, hostPath } = volume;
    if (SOURCES.every((source) => volume[source] === undefined) && Object.keys(volume).length === 1)
      volume.emptyDir = {};
    for (const files of [configMap, secret, downwardAPI, projected])
      if (files) files.defaultMode ??= DEFAULT_MODE;
    if (hostPath) hostPath.type ??= '';
    for (const item of downwardAPI?.items ?? []) defaultField(item.fieldRef);
    for (const source of projected?.sources ?? []) {
      if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= TOKEN_SECONDS;
      for (const item of source.downwardAPI?.items ?? []) defaultField(item.fieldRef);
    }
  }
}

/** Rules for a pod's volumes. */
export function checkVolumes({ volumes = [] }: PodSpec, field: string): Problem[] {
  return [
    ...volumes.flatMap((volume, i) => checkVolume(volume, at(field, i))),
    ...checkUnique(
      volumes,
      ({ name }) => name,
      (i) => `${at(field, i)}.name`,
    ),
  ];
}

function checkVolume(volume: Volume, field: string): Problem[] {
  const problems = checkDnsLabel(volume.name, `${field}.name`);
  const named = Object.keys(volume).filter((key) => key !== 'name');
  if (named.length === 0) problems.push(required(field, 'must specify a volume type'));
  for (const extra of named.slice(1))
    problems.push(forbidden(`${field}.${extra}`, 'may not specify more than 1 volume type'));
  for (const source of named)
    if (!(SOURCES as readonly string[]).includes(source))
      problems.push(
        forbidden(
          `${field}.${source}`,
          `no such volume can be mounted here; use one of ${SOURCES.join(', ')}`,
        ),
      );
  const { emptyDir, hostPath, configMap, secret, downwardAPI, projected } = volume;
  if (emptyDir) {
    const { medium = '', sizeLimit } = emptyDir;
    if (medium !== '' && medium !== 'Memory')
      problems.push(notSupported(`${field}.emptyDir.medium`, medium, ['', 'Memory']));
    if (sizeLimit !== undefined && (parseQuantity(sizeLimit) ?? -1) < 0)
      problems.push(
        invalid(`${field}.emptyDir.sizeLimit`, sizeLimit, 'must be a quantity greater than or equal to 0'),
      );
  }
  if (hostPath) {
    const { path, type = '' } = hostPath;
    if (!path) problems.push(required(`${field}.hostPath.path`));
    else if (!path.startsWith('/'))
      problems.push(invalid(`${field}.hostPath.path`, path, 'must be an absolute path'));
    else problems.push(...checkBackSteps(path, `${field}.hostPath.path`));
    if (!HOST_PATH_TYPES.includes(type))
      problems.push(notSupported(`${field}.hostPath.type`, type, HOST_PATH_TYPES));
  }
  if (configMap) problems.push(...checkFiles(configMap, configMap.name, `${field}.configMap`, 'name'));
  if (secret) problems.push(...checkFiles(secret, secret.secretName, `${field}.secret`, 'secretName'));
  if (downwardAPI) problems.push(...checkDownward(downwardAPI.items, `${field}.downwardAPI`));
  if (projected)
    for (const [i, source] of (projected.sources ?? []).entries())
      problems.push(...checkProjection(source, at(`${field}.projected.sources`, i)));
  for (const [name, mode] of Object.entries({ configMap, secret, downwardAPI, projected }).map(
    ([key, files]) => [`${key}.defaultMode`, files?.defaultMode] as const,
  ))
    problems.push(...checkMode(mode, `${field}.${name}`));
  return problems;
}

function checkProjection(source: VolumeProjection, field: string): Problem[] {
  const { configMap, secret, downwardAPI, serviceAccountToken } = source;
  const problems: Problem[] = [];
  const known = ['configMap', 'secret', 'downwardAPI', 'serviceAccountToken'];
  const named = Object.keys(source);
  for (const name of named)
    if (!known.includes(name))
      problems.push(
        forbidden(`${field}.${name}`, `cannot be projected here; use one of ${known.join(', ')}`),
      );
  for (const name of named.slice(1))
    problems.push(forbidden(`${field}.${name}`, 'may not specify more than 1 volume type per source'));
  if (configMap) problems.push(...checkFiles(configMap, configMap.name, `${field}.configMap`, 'name'));
  if (secret) problems.push(...checkFiles(secret, secret.name, `${field}.secret`, 'name'));
  if (downwardAPI) problems.push(...checkDownward(downwardAPI.items, `${field}.downwardAPI`));
  if (serviceAccountToken) problems.push(...checkToken(serviceAccountToken, `${field}.serviceAccountToken`));
  return problems;
}

function checkToken({ path, expirationSeconds }: TokenSource, field: string): Problem[] {
  const problems = path ? checkLocalPath(path, `${field}.path`) : [required(`${field}.path`)];
  if (expirationSeconds !== undefined && expirationSeconds < MIN_TOKEN_SECONDS)
    problems.push(
      invalid(
        `${field}.expirationSeconds`,
        expirationSeconds,
        'may not specify a duration less than 10 minutes',
      ),
    );
  return problems;
}

function checkFiles(
  { items = [] }: Pick<ConfigMapSource, 'items'>,
  name: string | undefined,
  field: string,
  nameField: string,
): Problem[] {
  const problems = name ? [] : [required(`${field}.${nameField}`)];
  for (const [i, { key, path, mode }] of items.entries()) {
    const item = at(`${field}.items`, i);
    if (!key) problems.push(required(`${item}.key`));
    problems.push(...(path ? checkLocalPath(path, `${item}.path`) : [required(`${item}.path`)]));
    problems.push(...checkMode(mode, `${item}.mode`));
  }
  return problems;
}

function checkDownward(items: readonly DownwardApiFile[] = [], field: string): Problem[] {
  return items.flatMap(({ path, fieldRef, resourceFieldRef, mode }, i) => {
    const item = at(`${field}.items`, i);
    const problems = path ? checkLocalPath(path, `${item}.path`) : [required(`${item}.path`)];
    if (fieldRef) problems.push(...checkFieldRef(fieldRef, `${item}.fieldRef`, VOLUME_FIELDS));
    else if (resourceFieldRef) {
      if (!resourceFieldRef.containerName) problems.push(required(`${item}.resourceFieldRef.containerName`));
      problems.push(...checkResourceRef(resourceFieldRef, `${item}.resourceFieldRef`));
    } else problems.push(required(`${field}.fieldRef`, 'one of fieldRef and resourceFieldRef is required'));
    return problems.concat(checkMode(mode, `${item}.mode`));
  });
}

/** Rules for a container's mounts, given the pod's volumes. */
export function checkMounts(
  { volumeMounts = [] }: Container,
  volumes: readonly Volume[],
  field: string,
): Problem[] {
  const seen = new Set<string>();
  return volumeMounts.flatMap(({ name, mountPath, subPath, subPathExpr }, i) => {
    const mount = at(`${field}.volumeMounts`, i);
    const problems: Problem[] = [];
    if (!name) problems.push(required(`${mount}.name`));
    else if (!volumes.some((volume) => volume.name === name))
      problems.push(notFoundValue(`${mount}.name`, name));
    if (!mountPath) problems.push(required(`${mount}.mountPath`));
    else if (seen.has(mountPath)) problems.push(invalid(`${mount}.mountPath`, mountPath, 'must be unique'));
    else if (!/^\/./.test(mountPath))
      problems.push(invalid(`${mount}.mountPath`, mountPath, 'must be an absolute path other than /'));
    seen.add(mountPath);
    if (subPath) problems.push(...checkLocalPath(subPath, `${mount}.subPath`));
    if (subPathExpr) {
      if (subPath)
        problems.push(
          invalid(`${mount}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'),
        );
      problems.push(...checkLocalPath(subPathExpr, `${mount}.subPathExpr`));
    }
    return problems;
  });
}

const checkMode = (mode: number | undefined, field: string): Problem[] =>
  mode === undefined || (mode >= 0 && mode <= 0o777)
    ? []
    : [invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive')];

const checkBackSteps = (path: string, field: string): Problem[] =>
  path.split('/').includes('..') ? [invalid(field, path, "must not contain '..'")] : [];

/** A path below a volume. */
function checkLocalPath(path: string, field: string): Problem[] {
  if (path.startsWith('/')) return [invalid(field, path, 'must be a relative path')];
  if (path.startsWith('..') && !path.startsWith('../'))
    return [invalid(field, path, "must not start with '..'")];
  return checkBackSteps(path, field);
}
